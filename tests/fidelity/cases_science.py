"""Arrays and what is built on them."""

from __future__ import annotations

import ctypes
import glob
import os
import pickle
import sys
from typing import Any

from case import Case


def numpy() -> Any:
    import numpy as np
    from numpy.lib import introspect

    rng = np.random.default_rng(0)
    matrix = rng.random((4, 4))
    libraries = sorted(glob.glob(os.path.dirname(np.__file__) + "/../numpy.libs/libscipy_openblas64_*"))
    blas = ctypes.CDLL(os.path.normpath(libraries[0]))
    return [
        float(np.linalg.det(matrix)),
        np.fft.fft([1, 2, 3]).real.tolist(),
        pickle.loads(pickle.dumps(matrix)).tolist(),
        os.path.exists(np.get_include()),
        np.__config__.show("dicts")["Build Dependencies"]["blas"]["name"],
        introspect.opt_func_info.__module__,
        [os.path.basename(path) for path in libraries],
        hasattr(blas, "scipy_openblas_get_config64_"),
    ]


def scipy() -> Any:
    import scipy
    from scipy import integrate, linalg, optimize, sparse, special, stats

    return [
        optimize.minimize(lambda x: (x - 3) ** 2, 0).x.round(4).tolist(),
        integrate.quad(lambda x: x, 0, 1)[0],
        float(special.gamma(5)),
        stats.norm.cdf(0),
        linalg.eigvals([[2, 0], [0, 3]]).real.tolist(),
        sparse.csr_matrix([[1, 0]]).nnz,
        sorted(name for name in dir(scipy) if not name.startswith("_")),
    ]


def pandas() -> Any:
    import io

    import pandas as pd

    frame = pd.DataFrame(
        {"a": [1, 2], "t": pd.to_datetime(["2024-01-01", "2024-06-01"]).tz_localize("Europe/Berlin")}
    )
    return [
        frame.to_json(),
        pd.read_csv(io.StringIO("x,y\n1,2\n")).sum().to_dict(),
        pickle.loads(pickle.dumps(frame)).equals(frame),
        frame.to_html()[:100],
        frame.plot.__module__,
    ]


def sklearn() -> Any:
    import numpy as np
    from sklearn import datasets, svm
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import all_estimators, estimator_html_repr

    iris = datasets.load_iris()  # packaged data
    model = make_pipeline(StandardScaler(), svm.SVC()).fit(iris.data, iris.target)
    forest = RandomForestClassifier(5, random_state=0).fit(iris.data, iris.target)
    return [
        model.score(iris.data, iris.target),
        pickle.loads(pickle.dumps(forest)).predict(iris.data[:5]).tolist(),
        len(estimator_html_repr(model)) > 1000,
        sorted(name for name, _ in all_estimators()),
        datasets.load_digits().images.shape,
        str(np.round(datasets.load_sample_image("china.jpg").mean(), 4)),
        len(iris.DESCR),
    ]


def matplotlib() -> Any:
    import io

    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib import font_manager, style

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], label="$x^2$")
    axes.legend()
    sizes = []
    for kind in ("png", "svg", "pdf"):
        stream = io.BytesIO()
        figure.savefig(stream, format=kind)
        sizes.append(len(stream.getvalue()) > 1000)
    return [
        sizes,
        matplotlib.matplotlib_fname(),
        matplotlib.get_data_path(),
        font_manager.findfont("DejaVu Sans"),
        sorted(style.available),
        plt.get_cmap("viridis")(0.5),
        len(font_manager.fontManager.ttflist) > 10,
        matplotlib.cbook.get_sample_data("s1045.ima.gz", asfileobj=False)
        if hasattr(matplotlib.cbook, "get_sample_data")
        else None,
    ]


def sympy() -> Any:
    import sympy as sp
    from sympy.parsing.latex import parse_latex
    from sympy.utilities.lambdify import lambdify

    x = sp.symbols("x")
    try:
        parse_latex("x")
    except ImportError as error:
        said = str(error)
    return [
        str(sp.integrate(sp.sin(x) * x, x)),
        str(sp.solve(x**2 - 2)),
        lambdify(x, x**2)(3),
        said,
        str(pickle.loads(pickle.dumps(x + 1))),
    ]


def networkx() -> Any:
    import networkx as nx

    graph = nx.karate_club_graph()
    return [
        nx.shortest_path(graph, 0, 33),
        round(nx.pagerank(graph)[0], 6),
        sorted(nx.utils.backends.backends) if hasattr(nx.utils, "backends") else None,
        nx.number_connected_components(nx.graph_atlas(100)),
        len(nx.generate_network_text.__doc__ or ""),
    ]


def shapely() -> Any:
    import shapely
    from shapely.geometry import Point, Polygon, shape

    circle = Point(0, 0).buffer(1)
    return [
        round(circle.area, 6),
        Polygon([(0, 0), (1, 0), (1, 1)]).intersection(circle).wkt[:40],
        shapely.geos_version,
        pickle.loads(pickle.dumps(circle)).equals(circle),
        shape({"type": "Point", "coordinates": (1, 2)}).x,
    ]


def statsmodels() -> Any:
    import numpy as np
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    data = sm.datasets.longley.load_pandas().data  # a packaged CSV file
    fit = smf.ols("TOTEMP ~ GNP", data).fit()
    return [
        fit.params.round(4).to_dict(),
        sm.tsa.acf(np.arange(10.0), nlags=2).tolist(),
        sm.datasets.__path__,
        sm.datasets.longley.DESCRLONG,
    ]


def lightgbm() -> Any:
    import lightgbm
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.random((200, 3))
    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1).fit(x, x.sum(1))
    return [
        model.predict(x[:2]).round(6).tolist(),
        lightgbm.libpath._find_lib_path() if hasattr(lightgbm.libpath, "_find_lib_path") else None,
    ]


def numba() -> Any:
    import llvmlite.binding as llvm
    import numba

    @numba.njit
    def add(a: Any, b: Any) -> Any:
        return a + b

    @numba.vectorize(["float64(float64)"])
    def half(a: Any) -> Any:
        return a / 2

    return [
        add(1, 2),
        half(3.0),
        llvm.llvm_version_info,
        os.path.dirname(llvm.ffi.__file__),
        len(add.signatures),
        "numba.cuda" in sys.modules,
    ]


CASES = (
    Case("numpy==2.4.6", ("numpy", "numpy.linalg", "numpy.random", "numpy.ma", "numpy.polynomial"), numpy),
    Case("scipy==1.17.1", ("scipy", "scipy.signal", "scipy.spatial", "scipy.io"), scipy),
    Case("pandas==3.1.1", ("pandas", "pandas.plotting", "pandas.api.types", "dateutil.zoneinfo"), pandas),
    Case(
        "scikit-learn==1.9.1",
        ("sklearn", "sklearn.linear_model", "sklearn.cluster", "joblib", "threadpoolctl"),
        sklearn,
    ),
    Case(
        "matplotlib==3.11.2",
        ("matplotlib", "matplotlib.font_manager", "mpl_toolkits.mplot3d", "kiwisolver", "fontTools.ttLib"),
        matplotlib,
    ),
    Case("sympy==1.14.0", ("sympy", "sympy.physics.units", "mpmath"), sympy),
    Case("networkx==3.6.1", ("networkx", "networkx.algorithms.approximation"), networkx),
    Case("shapely==2.2.0", ("shapely", "shapely.geometry", "shapely.lib", "shapely.ops"), shapely),
    Case("statsmodels==0.15.0", ("statsmodels.api", "statsmodels", "patsy"), statsmodels),
    Case("lightgbm==4.7.0", ("lightgbm", "lightgbm.sklearn"), lightgbm),
    Case("numba==0.68.1", ("numba", "numba.core", "llvmlite.binding"), numba),
)
