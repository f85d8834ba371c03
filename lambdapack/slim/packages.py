"""What particular packages carry that no program on Lambda needs, as data.

Each of them was looked for in the package's own Python code and in the dynamic sections of its libraries:
nothing but its tests, its build or a compiler names what goes. docs/slimming.md says what each rule saves.
What is merely seldom used stays: data sets and sample data that a public function returns, AWS services that
few call, languages that few speak; ``[slim] drop`` is for those.
"""

from __future__ import annotations

from typing import Final

from lambdapack.slim.rules import Rule

_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-cpu-aws", "tf-nightly")

PACKAGE_RULES: Final = (
    Rule(
        "torch-tests",
        "programs, models and libraries of C++ tests, of which torch.testing._internal alone names one",
        globs=(
            *("torch/bin/test_*", "torch/bin/*Test", "torch/bin/*.pt", "torch/bin/*.ptl"),
            *("torch/bin/upgrader_models/**", "torch/lib/libtorchbind_test.so"),
            *("torch/lib/libjitbackend_test.so", "torch/lib/libbackend_with_compiler.so"),
            "torch/lib/libaoti_custom_ops.so",
        ),
        distributions=("torch",),
    ),
    Rule(
        "torch-build",
        "protoc, headers and CMake files, for building C++ extensions; Lambda has no compiler",
        globs=("torch/bin/protoc*", "torch/include/**", "torch/share/cmake/**"),
        distributions=("torch",),
    ),
    Rule(
        "tensorflow-headers",
        "headers, also those without a header's name, for building custom operations",
        globs=("tensorflow/include/**",),
        distributions=_TENSORFLOW,
    ),
    Rule(
        "tensorflow-stablehlo",
        "bindings to take StableHLO programs apart; nothing in TensorFlow or Keras imports them",
        globs=("tensorflow/compiler/mlir/stablehlo/**",),
        distributions=_TENSORFLOW,
    ),
    Rule(
        "tensorflow-libclang",
        "TensorFlow asks for libclang to generate code when it is built; nothing in it imports clang",
        globs=("clang/native/*.so*",),
        distributions=("libclang",),
        needed_by=_TENSORFLOW,
    ),
    Rule(
        "onnxruntime-c-library",
        "a second copy of the runtime for C programs: the Python module has its own inside, and links none",
        globs=("onnxruntime/capi/libonnxruntime.so.*",),
        distributions=("onnxruntime",),
    ),
    Rule(
        "pyarrow-link-names",
        "copies of libraries under the names that a linker looks for; extensions load `*.so.<ABI>`",
        globs=("pyarrow/libarrow_python*.so", "pyarrow/libarrow_python*.so.*.*.*"),
        distributions=("pyarrow",),
    ),
    Rule(
        "pyarrow-tests",
        "an extension that runs the C++ tests",
        globs=("pyarrow/_pyarrow_cpp_tests.*",),
        distributions=("pyarrow",),
    ),
    Rule(
        "botocore-examples",
        "examples of calls, which only the generator of botocore's own documentation reads",
        globs=("botocore/data/**/examples-1.json*",),
        distributions=("botocore",),
    ),
    Rule(
        "numpy-tests",
        "extensions that only NumPy's tests import",
        globs=(
            *("numpy/*core/_simd.*.so", "numpy/*core/_umath_tests.*.so", "numpy/*core/_rational_tests.*.so"),
            *("numpy/*core/_operand_flag_tests.*.so", "numpy/*core/_struct_ufunc_tests.*.so"),
        ),
        distributions=("numpy",),
    ),
    Rule(
        "keras-tests",
        "tests beside the modules that they test",
        globs=("keras/src/**/*_test.py",),
        distributions=("keras",),
    ),
    Rule(
        "scipy-tests",
        "extensions that only SciPy's tests import",
        globs=("scipy/**/_test_*.so", "scipy/ndimage/_ctest*.so", "scipy/ndimage/_cytest*.so"),
        distributions=("scipy",),
    ),
)
