"""A small regression with scikit-learn over a frame of pandas."""

import mark  # noqa: F401 - first: says when the dependencies are there

import pandas
from sklearn.linear_model import LogisticRegression


def handler(event, context):
    frame = pandas.DataFrame({"x": [0.0, 5.0, 0.5, 4.5], "y": [0, 1, 0, 1], "z": [1, 3, 2, 2]})
    model = LogisticRegression().fit(frame[["x"]], frame["y"])
    return {
        "mean": float(frame.groupby("y")["z"].mean().mean()),
        "classes": [int(label) for label in model.predict(frame[["x"]])],
    }
