"""A line plotted into a PNG."""

import io
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def handler(event, context):
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [1, 4, 9])
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    return sink.getvalue()[1:4].decode()
