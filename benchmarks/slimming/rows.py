"""The packages of the table, and what each must still do after slimming."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """One package.

    Attributes:
        name: As pip knows it.
        code: Run on the unpacked pack; imports it and uses it a little.
        requirements: What is installed; its name alone unless told.
        python: The target's.
        exclude: Distributions that pip installs and the lock leaves out; what is measured against has them.
        glibc: Newest C library that its wheels may ask for; ``None`` for the target's own.
        remark: For the table's readers.
    """

    name: str
    code: str
    requirements: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    python: str = "3.12"
    glibc: tuple[int, int] | None = None
    remark: str = ""


ROWS = (
    Row(
        "torch",
        "import torch, torch.nn.functional as f\n"
        "net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))\n"
        "f.cross_entropy(net(torch.randn(3, 4)), torch.tensor([0, 1, 0])).backward()\n"
        "assert torch.jit.script(net)(torch.ones(1, 4)).shape == (1, 2)",
        requirements=("torch==2.13.0+cpu", "numpy"),
        python="3.11",
        glibc=(2, 28),
        remark="the CPU wheel (`+cpu`), not PyPI's default one with CUDA; it is manylinux_2_28",
    ),
    Row(
        "tensorflow-cpu",
        "import tensorflow as tf\n"
        "model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(2)])\n"
        "assert model.predict(tf.ones((3, 4)), verbose=0).shape == (3, 2)",
    ),
    Row(
        "scipy",
        "from scipy import stats, linalg, optimize, sparse, signal, ndimage, special\n"
        "import numpy as np\n"
        "assert abs(stats.norm.cdf(0) - 0.5) < 1e-9 and linalg.det(np.eye(3)) == 1\n"
        "assert abs(optimize.brentq(lambda x: x - 2, 0, 5) - 2) < 1e-9",
    ),
    Row(
        "numpy",
        "import numpy as np, numpy.testing\n"
        "m = np.random.default_rng(0).random((50, 50))\n"
        "np.testing.assert_allclose(np.linalg.inv(m) @ m, np.eye(50), atol=1e-8)",
    ),
    Row(
        "pandas",
        "import io, pandas as pd, pandas.testing\n"
        "frame = pd.read_csv(io.StringIO('a,b\\n1,x\\n2,y\\n3,x'))\n"
        "assert frame.groupby('b').a.sum().to_dict() == {'x': 4, 'y': 2}\n"
        "assert pd.Timestamp('2024-06-01', tz='Europe/Paris').hour == 0",
    ),
    Row(
        "scikit-learn",
        "from sklearn import datasets, ensemble, linear_model\n"
        "x, y = datasets.load_iris(return_X_y=True)\n"
        "assert ensemble.RandomForestClassifier(5).fit(x, y).score(x, y) > 0.9\n"
        "linear_model.LogisticRegression(max_iter=500).fit(x, y)",
    ),
    Row(
        "opencv-python-headless",
        "import cv2, numpy as np\n"
        "image = np.zeros((64, 64, 3), np.uint8)\n"
        "cv2.circle(image, (32, 32), 10, (255, 255, 255), -1)\n"
        "done, data = cv2.imencode('.png', cv2.GaussianBlur(image, (5, 5), 0))\n"
        "assert cv2.imdecode(data, 1).shape == (64, 64, 3)\n"
        "assert cv2.Canny(image, 100, 200).any()",
    ),
    Row(
        "pyarrow",
        "import io, pyarrow as pa, pyarrow.parquet as pq, pyarrow.compute as pc, pyarrow.dataset\n"
        "table, file = pa.table({'a': [1, 2, 3]}), io.BytesIO()\n"
        "pq.write_table(table, file, compression='zstd')\n"
        "assert pq.read_table(io.BytesIO(file.getvalue())) == table and pc.sum(table['a']).as_py() == 6\n"
        "import pyarrow.csv, pyarrow.flight, pyarrow.fs, pyarrow.orc, pyarrow.acero, pyarrow.substrait",
    ),
    Row(
        "onnxruntime",
        "import onnxruntime\n"
        "assert 'CPUExecutionProvider' in onnxruntime.get_available_providers()\n"
        "onnxruntime.SessionOptions()",
    ),
    Row(
        "transformers",
        "from transformers import BertConfig, AutoConfig, PreTrainedTokenizerFast\n"
        "from tokenizers import Tokenizer, models\n"
        "assert BertConfig().hidden_size == 768\n"
        "PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))",
        remark="without a framework, as `pip install transformers` gives it",
    ),
    Row(
        "spacy",
        "import spacy\n"
        "assert [t.text for t in spacy.blank('en')('Hello, world')] == ['Hello', ',', 'world']\n"
        "spacy.blank('de').add_pipe('sentencizer')",
    ),
    Row(
        "matplotlib",
        "import io, matplotlib\nmatplotlib.use('Agg')\n"
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2, 3]); plt.title('$x^2$')\n"
        "out = io.BytesIO(); plt.savefig(out, format='png'); plt.savefig(out, format='pdf')\n"
        "plt.savefig(out, format='svg'); assert out.tell() > 1000",
    ),
    Row(
        "pillow",
        "import io\nfrom PIL import Image, ImageDraw, ImageFont\n"
        "for kind in ('PNG', 'JPEG', 'WEBP', 'TIFF', 'GIF'):\n"
        "    out = io.BytesIO(); Image.new('RGB', (32, 32)).save(out, kind)\n"
        "    assert Image.open(io.BytesIO(out.getvalue())).resize((8, 8)).size == (8, 8)\n"
        "ImageDraw.Draw(Image.new('L', (50, 20))).text((0, 0), 'x', font=ImageFont.load_default(12), fill=1)",
    ),
    Row(
        "lxml",
        "from lxml import etree, objectify, isoschematron\nimport lxml.html\n"
        "assert etree.fromstring('<a><b/></a>').xpath('count(//b)') == 1\n"
        "assert lxml.html.fromstring('<p>x').text == 'x'",
    ),
    Row(
        "cryptography",
        "from cryptography.fernet import Fernet\nfrom cryptography import x509\n"
        "from cryptography.hazmat.primitives.asymmetric import ed25519, rsa\n"
        "box = Fernet(Fernet.generate_key())\n"
        "assert box.decrypt(box.encrypt(b'x')) == b'x'\n"
        "ed25519.Ed25519PrivateKey.generate().sign(b'x')",
    ),
    Row(
        "grpcio",
        "import grpc, grpc.aio, grpc.experimental\n"
        "from concurrent import futures\n"
        "server = grpc.server(futures.ThreadPoolExecutor(1))\n"
        "port = server.add_insecure_port('127.0.0.1:0'); server.start()\n"
        "grpc.channel_ready_future(grpc.insecure_channel(f'127.0.0.1:{port}')).result(30)\n"
        "grpc.ssl_channel_credentials(); server.stop(0)",
    ),
    Row(
        "numba",
        "import numba, numpy as np\n"
        "assert numba.njit(lambda a: a.sum() * 2)(np.ones(3)) == 6\n"
        "numba.vectorize(['float64(float64)'])(lambda x: x + 1)(np.ones(2))",
        remark="with llvmlite, which is most of it",
    ),
    Row(
        "statsmodels",
        "import numpy as np, statsmodels.api as sm, statsmodels.formula.api as smf, statsmodels.tsa.api\n"
        "data = sm.datasets.longley.load_pandas().data\n"
        "assert smf.ols('TOTEMP ~ GNP', data).fit().rsquared > 0.9",
    ),
    Row(
        "xgboost",
        "import numpy as np, xgboost as xgb\n"
        "x = np.random.default_rng(0).random((50, 4)); y = (x[:, 0] > 0.5).astype(int)\n"
        "model = xgb.train({'objective': 'binary:logistic'}, xgb.DMatrix(x, y), 5)\n"
        "assert model.predict(xgb.DMatrix(x)).shape == (50,)",
        exclude=("nvidia-nccl-cu13",),
        remark="nvidia-nccl-cu13, which moves data between GPUs, is left out with `exclude`; the zip has it",
    ),
    Row(
        "lightgbm",
        "import numpy as np, lightgbm as lgb\n"
        "x = np.random.default_rng(0).random((100, 4))\n"
        "lgb.train({'objective': 'regression', 'verbose': -1}, lgb.Dataset(x, x[:, 0]), 5).predict(x)",
    ),
    Row(
        "shapely",
        "import shapely, shapely.ops, shapely.wkt\n"
        "from shapely.geometry import Point\n"
        "assert 3 < Point(0, 0).buffer(1).area < 3.2",
    ),
    Row(
        "geopandas",
        "import io, geopandas as gpd\nfrom shapely.geometry import Point\n"
        "frame = gpd.GeoDataFrame({'a': [1]}, geometry=[Point(2, 49)], crs='EPSG:4326')\n"
        "assert abs(frame.to_crs(3857).geometry[0].x - 222639) < 1\n"
        "text = io.BytesIO(); frame.to_file(text, driver='GeoJSON')\n"
        "assert len(gpd.read_file(io.BytesIO(text.getvalue()))) == 1",
    ),
    Row(
        "botocore",
        "import botocore.session\nsession = botocore.session.get_session()\n"
        "assert len(session.get_available_services()) > 300\n"
        "session.create_client('s3', region_name='us-east-1', aws_access_key_id='x',"
        " aws_secret_access_key='x').get_paginator('list_objects_v2')",
    ),
    Row(
        "sympy",
        "import sympy\nx = sympy.symbols('x')\n"
        "assert sympy.integrate(sympy.sin(x), (x, 0, sympy.pi)) == 2\n"
        "assert sympy.latex(x**2) == 'x^{2}' and sympy.parse_expr('x + 1') == x + 1",
    ),
    Row(
        "nltk",
        "import nltk, nltk.stem, nltk.translate\n"
        "assert nltk.stem.PorterStemmer().stem('running') == 'run'\n"
        "assert nltk.RegexpTokenizer(r'\\w+').tokenize('a b') == ['a', 'b']",
    ),
    Row(
        "gensim",
        "from gensim.models import Word2Vec, LdaModel\nfrom gensim.corpora import Dictionary\n"
        "texts = [['a', 'b', 'c'], ['b', 'c', 'd']] * 20\n"
        "assert Word2Vec(texts, vector_size=8, min_count=1, workers=1).wv['a'].shape == (8,)\n"
        "words = Dictionary(texts); LdaModel([words.doc2bow(t) for t in texts], 2, words)",
    ),
    Row(
        "polars",
        "import io, polars as pl\n"
        "frame = pl.DataFrame({'a': [1, 2, 3], 'b': ['x', 'y', 'x']})\n"
        "sums = frame.lazy().group_by('b').agg(pl.col('a').sum()).sort('b').collect()\n"
        "assert sums['a'].to_list() == [4, 2]\n"
        "out = io.BytesIO(); frame.write_parquet(out); pl.read_parquet(io.BytesIO(out.getvalue()))",
    ),
    Row(
        "duckdb",
        "import duckdb\n"
        "assert duckdb.sql('select sum(range) from range(5)').fetchall() == [(10,)]\n"
        "duckdb.sql(\"copy (select 1 a) to 'x.parquet'\")\n"
        "assert duckdb.sql(\"from 'x.parquet'\").fetchall() == [(1,)]",
    ),
    Row(
        "sentencepiece",
        "import io, sentencepiece as spm\nout = io.BytesIO()\n"
        "spm.SentencePieceTrainer.train(sentence_iterator=iter(['hello world', 'hello there'] * 50),\n"
        "    model_writer=out, vocab_size=30, hard_vocab_limit=False, minloglevel=2)\n"
        "assert spm.SentencePieceProcessor(model_proto=out.getvalue()).encode('hello')",
    ),
    Row(
        "tokenizers",
        "from tokenizers import Tokenizer, models, trainers, pre_tokenizers\n"
        "one = Tokenizer(models.BPE(unk_token='?')); one.pre_tokenizer = pre_tokenizers.Whitespace()\n"
        "one.train_from_iterator(['hello world'] * 5, trainers.BpeTrainer(special_tokens=['?']))\n"
        "assert one.encode('hello').tokens",
    ),
)
