"""Packages import only what stands above them, and of that only its face: the order is CONTRIBUTING's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lambdapack
from lambdapack.memo import AFTER_A_PACK

ROOT = Path(lambdapack.__file__).parent
LAYERS = (
    {"__init__"},
    {"errors", "limits", "progress"},
    {"files", "memo", "model"},
    {"elf", "python"},
    {"config"},
    {"store", "pack"},
    {"lock"},
    {"install"},
    {"trace"},
    {"slim"},
    {"plan"},
    {"deploy"},
    {"local"},
    {"pipeline"},
    {"report"},
    {"cli"},
    {"__main__"},
)
"""What a package may import: all that stands in a row above its own."""
SHIM_USERS = {"memo", "pack", "install", "trace", "plan", "deploy", "local", "pipeline", "report"}
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}


def module_of(path: Path, root: Path) -> str:
    """``lambdapack/lock/__init__.py`` -> ``lambdapack.lock``."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a file imports; no name for a bare ``import``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import stays in its package: the driver runs where there is no lambdapack.
            yield from ((str(node.module), alias.name) for alias in node.names if not node.level)


def face(package: Path) -> frozenset[str]:
    """The names in the ``__all__`` of a module or package; of a table of constants, all that it defines."""
    defined = set()
    for node in ast.parse(package.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
        if isinstance(node, ast.AnnAssign):
            defined.add(ast.unparse(node.target))
    return frozenset(name for name in defined if not name.startswith("_"))


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module of the package at ``root``; ``None`` where there is no such module."""
    if module.endswith("."):
        return None
    base = root.parent.joinpath(*module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


def is_public(module: str, name: str, root: Path) -> bool:
    """Whether others may import ``name`` of ``module``.

    They may where each package on the way names the next in its ``__all__``, or the next is itself a package.
    """
    _, *parts = (f"{module}.{name}" if file_of(f"{module}.{name}", root) else module).split(".")
    inside = root
    for number, part in enumerate(parts):
        inside = inside / part
        is_package = (inside / "__init__.py").is_file()
        if number and not is_package and part not in face(inside.parent / "__init__.py"):
            return False
    file = inside / "__init__.py" if inside.is_dir() else inside.with_suffix(".py")
    return bool(file_of(f"{module}.{name}", root)) or name in face(file)


def faults(root: Path) -> Iterator[str]:
    """Every import of the package at ``root`` that goes against an arrow, or past a face."""
    # The table of contents names every room, and imports none before it is asked to.
    for path in sorted(set(root.rglob("*.py")) - {root / "__init__.py"}):
        own = module_of(path, root).split(".")[1]
        for module, name in imports(path):
            top, *rest = module.split(".")
            if top == "runtime_shim" and own not in SHIM_USERS:
                yield f"{path.relative_to(root)} imports {module}"
            if top != root.name:
                continue
            target = rest[0] if rest else (name if file_of(f"{module}.{name}", root) else "__init__")
            if target == own:
                continue
            if target == "__init__" and name not in ("", "__version__"):
                yield f"{path.relative_to(root)} imports {name} from the table of contents"
            elif ROW[target] >= ROW[own]:
                yield f"{path.relative_to(root)} imports {module} {name}, which stands below it"
            elif rest and not is_public(module, name, root):
                yield f"{path.relative_to(root)} imports {module} {name}, which is not public"


def test_arrows_go_one_way_and_end_at_faces() -> None:
    """No package imports one that stands beside or below it, and of others only what they make public."""
    assert list(faults(ROOT)) == []


def test_every_entry_has_its_row() -> None:
    """A new package has to be given its place."""
    found = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert found == set(ROW)


def test_the_top_stays_readable() -> None:
    """At most 24 entries at the top: a reader takes them in at one sight."""
    assert len([path for path in ROOT.iterdir() if path.name != "__pycache__"]) <= 24


def test_what_makes_a_pack_imports_nothing_that_comes_after_it() -> None:
    """``tool_digest`` leaves out what comes after a pack: nothing that makes one may lean on that."""
    makers = {"elf", "python", "pack", "lock", "install", "trace", "slim"}
    for path in (path for name in makers for path in (ROOT / name).rglob("*.py")):
        for module, _ in imports(path):
            top, _, rest = module.partition(".")
            assert top != "lambdapack" or rest.partition(".")[0] not in AFTER_A_PACK, f"{path}: {module}"


def test_the_rooms_of_the_lock_stage_go_one_way() -> None:
    """Reading knows nothing of fetching, and fetching nothing of resolving."""
    rooms = ("requirements", "sources", "resolver")
    for row, room in enumerate(rooms):
        paths = list((ROOT / "lock" / room).rglob("*.py"))
        assert paths
        for path in paths:
            for module, name in imports(path):
                target = f"{module}.{name}".removeprefix("lambdapack.lock.").partition(".")[0]
                assert target not in rooms[row + 1 :], f"{path}: {module}"


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("lock/new.py", "from lambdapack.install import choose", "stands below it"),
        ("deploy/new.py", "from lambdapack.local import LocalCloud", "stands below it"),
        ("errors.py", "from lambdapack import cli", "stands below it"),
        ("cli/new.py", "from lambdapack.pack.frames import Frame", "is not public"),
        ("cli/new.py", "from lambdapack.pack import tar", "is not public"),
        ("elf/new.py", "import runtime_shim", "imports runtime_shim"),
        ("slim/new.py", "from lambdapack import build", "from the table of contents"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, file: str, line: str, said: str) -> None:
    """An import against an arrow, past a face, or of the shim from where it has no business, is named."""
    root = tmp_path / "lambdapack"
    for path in ROOT.rglob("*.py"):
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    with (root / file).open("a") as added:
        added.write(f"\n{line}\n")
    assert [fault for fault in faults(root) if fault.startswith(file) and said in fault]
