"""Engines: one large library each."""

from __future__ import annotations

import glob
import os
import pickle
from typing import Any

from case import Case


def pyarrow() -> Any:
    import io

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    again = pq.read_table(io.BytesIO(stream.getvalue()))
    return [
        again.to_pydict(),
        pc.sum(table["a"]).as_py(),
        pa.get_library_dirs(),
        pa.get_libraries(),
        os.path.exists(pa.get_include()),
        pickle.loads(pickle.dumps(table)).equals(table),
        sorted(map(os.path.basename, glob.glob(os.path.dirname(pa.__file__) + "/*.so*"))),
    ]


def polars() -> Any:
    import polars as pl

    frame = pl.DataFrame({"a": [3, 1, 2], "b": ["x", "y", "x"]})
    grouped = frame.lazy().group_by("b").agg(pl.col("a").sum()).sort("b").collect()
    return [
        grouped.to_dicts(),
        pl.SQLContext(frame=frame).execute("select max(a) as m from frame").collect().item(),
        pickle.loads(pickle.dumps(frame)).equals(frame),
    ]


def duckdb() -> Any:
    import duckdb

    connection = duckdb.connect()
    return [
        connection.execute("select sum(range), 'x' || 1 from range(10)").fetchall(),
        sorted(
            row[0]
            for row in connection.execute(
                "select extension_name from duckdb_extensions() where loaded"
            ).fetchall()
        ),
    ]


def opencv() -> Any:
    import cv2
    import numpy as np

    image = np.zeros((64, 64, 3), np.uint8)
    cv2.circle(image, (32, 32), 10, (255, 255, 255), -1)
    name = cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(name)  # opened natively
    encoded = cv2.imencode(".png", image)[1]
    return [
        cv2.data.haarcascades,
        cascade.empty(),
        len(cascade.detectMultiScale(image)),
        len(os.listdir(cv2.data.haarcascades)),
        int(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).sum()),
        encoded.shape,
        cv2.ORB_create().detect(image, None) is not None,
    ]


CASES = (
    Case(
        "pyarrow==26.0.1",
        ("pyarrow", "pyarrow.parquet", "pyarrow.dataset", "pyarrow.flight", "pyarrow.lib"),
        pyarrow,
    ),
    Case("polars==2.1.0", ("polars", "polars.selectors", "polars.io"), polars),
    Case("duckdb==2.0.0", ("duckdb", "duckdb.sqltypes", "duckdb.func"), duckdb),
    Case("opencv-python-headless==4.13.0.92", ("cv2", "cv2.data", "cv2.utils", "cv2.typing"), opencv),
)
