"""Rules for particular packages: data that names a distribution, its files and the reason."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from benchmarks.slimming.rows import ROWS
from benchmarks.slimming.table import DOCUMENT, FIGURES, document
from benchmarks.slimming.zipped import weight
from lambdapack.model import Target, Tree
from lambdapack.slim import SlimOptions
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.rules import RULES, Rule, matcher
from lambdapack.slim.select import select

SAMPLES = {
    "torch-tests": ("torch/bin/test_api", "torch/bin/torch_shm_manager"),
    "torch-build": ("torch/bin/protoc-3.13.0.0", "torch/bin/torch_shm_manager"),
    "tensorflow-headers": ("tensorflow/include/Eigen/Core", "tensorflow/libtensorflow_cc.so.2"),
    "tensorflow-stablehlo": (
        "tensorflow/compiler/mlir/stablehlo/stablehlo_extension.so",
        "tensorflow/compiler/mlir/quantization/stablehlo/quantization_config_pb2.py",
    ),
    "tensorflow-libclang": ("clang/native/libclang.so", "clang/cindex.py"),
    "onnxruntime-c-library": (
        "onnxruntime/capi/libonnxruntime.so.1.32.0",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
    ),
    "pyarrow-link-names": ("pyarrow/libarrow_python.so.2600.1.0", "pyarrow/libarrow_python.so.2600"),
    "pyarrow-tests": ("pyarrow/_pyarrow_cpp_tests.cpython-312-x86_64-linux-gnu.so", "pyarrow/_csv.py"),
    "botocore-examples": (
        "botocore/data/ec2/2016-11-15/examples-1.json",
        "botocore/data/ec2/2016-11-15/paginators-1.json",
    ),
    "numpy-tests": (
        "numpy/_core/_simd.cpython-312-x86_64-linux-gnu.so",
        "numpy/_core/_multiarray_tests.cpython-312-x86_64-linux-gnu.so",
    ),
    "keras-tests": ("keras/src/ops/numpy_test.py", "keras/src/ops/numpy.py"),
    "scipy-tests": (
        "scipy/_lib/_test_ccallback.cpython-312-x86_64-linux-gnu.so",
        "scipy/_lib/_ccallback_c.cpython-312-x86_64-linux-gnu.so",
    ),
}
"""Rule -> a file that goes and one beside it that stays."""


def taken(root: Path, paths: dict[str, str], requested: tuple[str, ...] = ()) -> set[str]:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    tree, owners = Tree(root, Target("3.12"), ()), dict(sorted(paths.items()))
    chosen = select(tree, owners, touched=(), options=SlimOptions(), requested=requested)
    return set(chosen.dropped)


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.name)
def test_a_rule_takes_its_own_packages_files_alone(rule: Rule, tmp_path: Path) -> None:
    """What it names goes, what is beside it stays, and so does the same file of another distribution."""
    goes, stays = SAMPLES[rule.name]
    beside = {"beside.py": rule.needed_by[0]} if rule.needed_by else {}
    for owner in rule.distributions:
        assert taken(tmp_path, {goes: owner, stays: owner, **beside}) == {goes}
    assert taken(tmp_path, {goes: "another", stays: "another", **beside}) == set()


def test_a_dependency_that_was_asked_for_is_whole(tmp_path: Path) -> None:
    """libclang goes where it came with TensorFlow; asked for, or by itself, it stays."""
    clang = {"clang/native/libclang.so": "libclang"}
    both = {**clang, "tensorflow/__init__.py": "tensorflow-cpu"}
    assert taken(tmp_path, both, ("tensorflow-cpu",)) == set(clang)
    assert taken(tmp_path, both, ("tensorflow-cpu", "libclang")) == set()
    assert taken(tmp_path, clang) == set()


def test_rules_are_told_apart() -> None:
    """Each has a name of its own and a reason; a rule for packages names them and says what goes."""
    names = [rule.name for rule in (*RULES, *PACKAGE_RULES)]
    assert len(set(names)) == len(names)
    assert all(rule.why for rule in (*RULES, *PACKAGE_RULES))
    for rule in PACKAGE_RULES:
        assert rule.distributions
        assert rule.globs
        assert matcher(rule.globs)(SAMPLES[rule.name][0])


def test_a_zip_is_weighed_to_the_byte(tmp_path: Path) -> None:
    """The table's baseline is what ``zip -9`` writes: headers, names, and stored what does not shrink."""
    tree = tmp_path / "tree"
    (tree / "a/__pycache__").mkdir(parents=True)
    (tree / "a/text.py").write_text("word " * 1000)
    (tree / "a/empty").touch()
    (tree / "a/dense").write_bytes(bytes(range(256)))
    (tree / "a/__pycache__/text.pyc").write_bytes(b"code" * 100)
    found = weight(tree, {})
    sizes = {}
    for name, skip in (("zipped", ""), ("zipped_without_bytecode", ".pyc")):
        made = tmp_path / name
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in tree.rglob("*"):
                if path.is_file() and not (skip and path.name.endswith(skip)):
                    dense = path.name in ("dense", "empty")
                    kind = zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED
                    archive.write(path, path.relative_to(tree).as_posix(), kind)
        sizes[name] = made.stat().st_size
    assert found == {"installed": 5000 + 256 + 400, **sizes}


def test_the_document_says_what_the_rules_and_figures_say() -> None:
    """docs/slimming.md is made by ``python -m benchmarks.slimming`` and was made again after a change."""
    text = DOCUMENT.read_text()
    assert document(text, json.loads(FIGURES.read_text())) == text
    assert all(f"`{rule.name}`" in text for rule in (*RULES, *PACKAGE_RULES))


def test_thirty_packages() -> None:
    """The table has a row for each of the thirty, with code to run."""
    assert len({row.name for row in ROWS}) == len(ROWS) == 30
    for row in ROWS:
        compile(row.code, row.name, "exec")
