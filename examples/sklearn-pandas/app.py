"""Train a classifier on a small table and predict with it: scikit-learn and pandas."""

import runtime_shim  # noqa: F401 - first: streams the pack into place while the rest is imported

import pandas as pd  # isort: skip
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def handler(event, context):
    frame = pd.DataFrame(event["train"])
    features = frame.columns.drop("label")
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(frame[features], frame["label"])
    asked = pd.DataFrame(event["predict"])[features]
    means = frame.groupby("label")[list(features)].mean().round(3)
    return {
        "predictions": model.predict(asked).tolist(),
        "accuracy": float(model.score(frame[features], frame["label"])),
        "means": means.to_dict(orient="index"),
    }
