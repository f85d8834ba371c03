"""A build from end to end, and what is remembered between builds.

Requirements go in; a pack, its ``build.json``, the packs of assets and the bill of materials come out.
``container``, imported where it is used, runs one of lambdapack's own commands in Linux.
"""

from lambdapack.pipeline import build_json, matrix
from lambdapack.pipeline.build_json import BuildReport, missing_libraries
from lambdapack.pipeline.building import build
from lambdapack.pipeline.built import previous, read_built
from lambdapack.pipeline.estimating import estimate
from lambdapack.pipeline.handler_source import check_source
from lambdapack.pipeline.options import BuildOptions, Reuse
from lambdapack.pipeline.rebuilding import LocalInputs, failure, rebuild
from lambdapack.pipeline.stages import BuildResult

__all__ = [
    "BuildOptions", "BuildReport", "BuildResult", "LocalInputs", "Reuse", "build", "build_json",
    "check_source", "container", "estimate", "failure", "matrix", "missing_libraries", "previous",
    "read_built", "rebuild",
]  # fmt: skip
