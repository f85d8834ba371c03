"""The shim on Python 3.14 and 3.15: their own zstd decoder, and all imports lazy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdapack.python import interpreter
from tests.support import newer_pythons
from tests.support.shim_world import World, running_world


@pytest.fixture(scope="module", params=newer_pythons.parameters())
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lambdapack_cache: Path
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("newer" + request.param)
    with running_world(folder, interpreter.find(request.param), lambdapack_cache) as world:
        yield world


def test_the_extension_comes_before_the_standard_librarys_decoder(world: World) -> None:
    """The extension is the faster one; without one the standard library's decoder is taken."""
    code = "import runtime_shim; print(runtime_shim._decoder().__name__)"
    shipped = (world.function / "runtime_shim/backend_c.so").exists()
    assert shipped is (world.interpreter.python == "3.14")
    expected = "zstandard.backend_c" if shipped else "runtime_shim._zstd"
    assert world.run(code).splitlines()[-1] == expected


def test_a_start_with_the_standard_librarys_decoder(world: World) -> None:
    """Every frame of a pack arrives, and what it holds is imported."""
    extension = world.function / "runtime_shim/backend_c.so"
    aside = extension.rename(world.function / "aside.so") if extension.exists() else None
    try:
        world.forget()
        code = """
            import runtime_shim, heavy.second
            runtime_shim.ready()
            data = open(heavy.__path__[0] + "/bulk3.bin", "rb").read()
            print(runtime_shim.stats()["frames"] > 3, heavy.VERSION, len(data))
            """
        assert world.run(code).splitlines()[-1].split() == ["True", "1.0", str(1024 * 1024)]
    finally:
        if aside is not None:
            aside.rename(extension)


def test_a_frame_has_exactly_the_size_of_the_index(world: World) -> None:
    """Too much, too little, a frame cut off and one that is none are refused; the right size is filled."""
    code = """
        import runtime_shim
        from compression import zstd
        from runtime_shim import _fetch, _source, _zstd
        content = bytes(range(256)) * 2000
        stored = zstd.compress(content)
        for more in (-1, 0, 1):
            data = memoryview(bytearray(len(content) + more))
            try:
                _fetch.decompress(_zstd, memoryview(stored), data)
                print("case", more, bytes(data) == content)
            except _source.FetchError as error:
                print("case", more, "does not decompress" in str(error), error.retry)
        for broken in (stored[:-2], b"?" + stored[1:]):
            try:
                _fetch.decompress(_zstd, memoryview(broken), memoryview(bytearray(len(content))))
            except (_source.FetchError, zstd.ZstdError):
                print("case refused")
        """
    said = [line for line in world.run(code).splitlines() if line.startswith("case ")]
    assert said == ["case -1 True False", "case 0 True", "case 1 True False", "case refused", "case refused"]


def test_a_start_with_all_imports_lazy(world: World) -> None:
    """``runtime_shim.handler`` starts the pack as Lambda imports it, and the user's imports find it later.

    None of the shim's own imports is left for later: in a fork or under a lock it would never end.
    """
    if world.interpreter.python == "3.14":
        pytest.skip("Python 3.14 has no lazy imports")
    (world.function / "lazily.py").write_text(
        "import heavy.second\nimport single\n\n\n"
        "def handler(event, context):\n    return [heavy.second.leaf.LEAF, single.__name__]\n"
    )
    code = """
        import sys
        from importlib import import_module
        import runtime_shim as never_used
        assert "runtime_shim" not in sys.modules, "this start would prove nothing"
        shim = import_module("runtime_shim")
        lazy = "heavy" not in sys.modules
        assert sys.get_lazy_imports() == "all"
        own = [module for name, module in sys.modules.items() if name.startswith("runtime_shim")]
        left = [(module.__name__, name) for module in own for name, value in vars(module).items()
            if type(value).__name__ == "lazy_import" and name != "annotations"]
        assert len(own) > 15 and not left, left
        print(lazy, shim.handler({}, None), "heavy" in sys.modules, shim.stats()["frames"] > 3)
        """
    world.forget()
    more = {"PYTHON_LAZY_IMPORTS": "all", "LAMBDAPACK_HANDLER": "lazily.handler"}
    assert world.run(code, **more).splitlines()[-1] == "True ['leaf', 'single'] True True"


def test_a_refusal_ends_the_start(world: World) -> None:
    """A thread of the fetching process imports what explains a refusal, and does not wait to do so.

    That process was forked in the shim's own import, for whose end CPython 3.14 makes other threads wait.
    """
    world.forget()
    stored = world.stored.rename(world.stored.with_name("aside"))
    try:
        said = world.run("import runtime_shim, heavy.second", status=1)
    finally:
        stored.rename(world.stored)
    assert "PackError" in said and "the pack is gone" in said


def test_threads_of_a_handlers_import_use_the_pack(world: World) -> None:
    """``runtime_shim.handler`` imports the user's module in its own; that one's threads do not wait."""
    (world.function / "threaded.py").write_text(
        "import threading\nfound = []\n\n\ndef work():\n    import heavy.second\n    import runtime_shim\n"
        "    found.append((heavy.second.leaf.LEAF, open(heavy.__path__[0] + '/data.txt').read()))\n\n\n"
        "thread = threading.Thread(target=work, daemon=True)\nthread.start()\nthread.join(20)\n\n\n"
        "def handler(event, context):\n    return found\n"
    )
    world.forget()
    code = "import runtime_shim; print(runtime_shim.handler({}, None))"
    said = world.run(code, LAMBDAPACK_HANDLER="threaded.handler").splitlines()[-1]
    assert said == "[('leaf', 'some data\\n')]"
