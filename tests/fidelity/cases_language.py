"""Language and models: lazy modules, plugins and data of their own."""

from __future__ import annotations

import os
import pickle
from typing import Any

from case import Case


def nltk() -> Any:
    import nltk
    from nltk.stem import PorterStemmer, SnowballStemmer

    folder = os.path.join(os.environ["HOME"], "nltk_data", "corpora", "stopwords")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "mine"), "w") as file:
        file.write("a\nb\n")
    nltk.data.path.insert(0, os.path.join(os.environ["HOME"], "nltk_data"))
    from nltk.corpus import stopwords, wordnet

    try:
        wordnet.synsets("dog")
    except LookupError as error:
        said = str(error)[:200]
    return [
        PorterStemmer().stem("running"),
        SnowballStemmer("german").stem("Häuser"),
        nltk.wordpunct_tokenize("a-b c."),
        stopwords.words("mine"),
        said,
        nltk.__version__,
        nltk.CFG.fromstring("S -> 'a'").productions()[0].lhs().symbol(),
    ]


def transformers() -> Any:
    import sys

    import transformers
    from tokenizers import Tokenizer, models
    from transformers import AutoConfig, BertConfig, PreTrainedTokenizerFast
    from transformers.models.bert import modeling_bert  # noqa: F401  # lazy: needs torch

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    )
    try:
        transformers.BertModel(BertConfig())
    except Exception as error:
        said = str(error)
    return [
        tokenizer("a")["input_ids"],
        BertConfig().hidden_size,
        said,
        type(transformers).__name__,
        len(dir(transformers)),
        transformers.utils.is_torch_available(),
        AutoConfig.for_model("gpt2").model_type,
        len(transformers.models.auto.configuration_auto.CONFIG_MAPPING),
        "transformers.models.gpt2.modeling_gpt2" in sys.modules,
        pickle.loads(pickle.dumps(BertConfig())).to_dict() == BertConfig().to_dict(),
    ]


def tokenizers() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["a b ab abc"] * 5, trainers.BpeTrainer(vocab_size=10, show_progress=False))
    return [tokenizer.encode("ab abc").tokens, pickle.loads(pickle.dumps(tokenizer)).get_vocab_size()]


def sentencepiece() -> Any:
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world", "hello there", "word of the world"] * 20),
        model_writer=model,
        vocab_size=15,
        minloglevel=2,
    )
    return [
        sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).encode("hello", out_type=str),
        sentencepiece.__version__,
    ]


def gensim() -> Any:
    from gensim import corpora, models
    from gensim.utils import simple_preprocess

    texts = [["a", "b"], ["b", "c"], ["c", "a"]]
    dictionary = corpora.Dictionary(texts)
    vectors = models.Word2Vec(texts, min_count=1, vector_size=4, seed=1, workers=1)
    return [
        dictionary.token2id,
        simple_preprocess("Hello, World"),
        vectors.wv["a"].shape,
        models.word2vec.FAST_VERSION,
        models.TfidfModel([dictionary.doc2bow(text) for text in texts])[[(0, 1)]],
    ]


def spacy() -> Any:
    import spacy
    from spacy.lang.de import German
    from spacy.util import registry

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "ORG", "pattern": "Acme"}])
    doc = nlp("Acme's here. It doesn't move.")
    return [
        [token.text for token in doc],
        [entity.label_ for entity in doc.ents],
        [token.text for token in German()("Das ist's, z.B. hier.")],
        sorted(registry.find_all("languages") if hasattr(registry, "find_all") else [])[:10],
        sorted(registry.get_registry_names()),
        sorted(registry.architectures.get_all())[:20],
        nlp.config["nlp"]["lang"],
        spacy.util.get_installed_models(),
        [token.lemma_ for token in spacy.blank("en")("x")],
        pickle.loads(pickle.dumps(nlp))("a b").text,
    ]


def onnxruntime() -> Any:
    import numpy as np
    import onnxruntime

    name = onnxruntime.datasets.get_example("mul_1.onnx") if hasattr(onnxruntime, "datasets") else None
    out: list[Any] = [name, onnxruntime.get_available_providers(), onnxruntime.get_device()]

    # A model by hand: y = x + x.
    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2, len(data)]) + data

    def value(label: bytes) -> bytes:
        shape = field(2, field(1, b"\x08\x02"))
        return field(1, label) + field(2, field(1, b"\x08\x01" + shape))

    node = field(1, b"x") + field(1, b"x") + field(2, b"y") + field(4, b"Add")
    graph = field(1, node) + field(2, b"g") + field(11, value(b"x")) + field(12, value(b"y"))
    model = b"\x08\x08" + field(7, graph) + field(8, b"\x10\x0d")
    session = onnxruntime.InferenceSession(model)
    return [*out, session.run(None, {"x": np.ones(2, np.float32)})[0].tolist()]


CASES = (
    Case("nltk==3.10.4", ("nltk", "nltk.tokenize", "nltk.corpus", "nltk.sentiment.vader"), nltk),
    Case(
        "transformers==5.23.0",
        ("transformers", "transformers.models.auto", "huggingface_hub", "safetensors"),
        transformers,
    ),
    Case("tokenizers==0.23.3", ("tokenizers", "tokenizers.models"), tokenizers),
    Case("sentencepiece==0.2.3", ("sentencepiece",), sentencepiece),
    Case("gensim==4.4.0", ("gensim", "gensim.models", "smart_open"), gensim),
    Case("spacy==3.8.18", ("spacy", "spacy.lang.en", "thinc.api", "srsly", "catalogue"), spacy),
    Case("onnxruntime==1.32.0", ("onnxruntime", "onnxruntime.capi"), onnxruntime),
)
