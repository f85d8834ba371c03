"""Which files of a tree stay, and which rule takes the others."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from lambdapack.python.module_names import imports, module_name
from lambdapack.slim.globs import matcher
from lambdapack.slim.namespaces import last_files
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.reading import Read, files_read
from lambdapack.slim.rules import EXEMPTIONS, RULES, Rule

__all__ = ["USER_RULE", "Selection", "cached_name", "select", "source_name"]

USER_RULE = "drop"
"""Name, in the report, of what the user's own patterns took."""
_CACHE = "__pycache__"
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t](?:\\\r?\n|\([^)]*\)|[^\n])*", re.MULTILINE)


@dataclass(frozen=True)
class Selection:
    """What becomes of the files of a tree.

    Attributes:
        dropped: Path -> the rule that takes it.
        spared: Paths that a rule would have taken but the trace touched.
        read: Files that a rule would have taken but the package's own code names.
    """

    dropped: Mapping[str, str]
    spared: tuple[str, ...]
    read: tuple[Read, ...] = ()


def cached_name(path: str, tag: str) -> str:
    """Where the bytecode of ``a/b.py`` is: ``a/__pycache__/b.<tag>.pyc``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{_CACHE}/{name.removesuffix('.py')}.{tag}.pyc"


def source_name(path: str) -> str | None:
    """The source of a file in ``__pycache__``; ``None`` for any other file."""
    folder, _, name = path.rpartition("/")
    if not name.endswith(".pyc") or (folder != _CACHE and not folder.endswith(f"/{_CACHE}")):
        return None
    return f"{folder.removesuffix(_CACHE)}{name.split('.')[0]}.py"


def select(
    root: Path,
    paths: Sequence[str],
    *,
    owners: Mapping[str, str],
    touched: Collection[str],
    tag: str,
    keep: Iterable[str] = (),
    drop: Iterable[str] = (),
    disable: Collection[str] = (),
    restore: Collection[tuple[str, str]] = (),
    requested: Collection[str] = (),
) -> Selection:
    """Decide for every file.

    In this order: what the trace touched stays; so does what ``keep`` or an exemption matches; then the
    user's ``drop`` and the rules take what they match, except modules that code which stays imports, files
    that it names as data (``slim.reading``) and the last files of namespace packages that something names
    (``slim.namespaces``). Bytecode goes with its source.

    Args:
        root: The tree.
        paths: Its files, relative and POSIX style.
        owners: Path -> distribution.
        touched: The trace's files.
        tag: The target's ``cache_tag``.
        keep, drop: Patterns (``slim.globs``).
        disable: Names of rules that do not apply.
        restore: Names of rules and the distributions in which they do not apply.
        requested: Distributions that the user asked for; the others are there for their sake.
    """
    rules = [rule for rule in (*RULES, *_applying(owners, requested)) if rule.name not in disable]
    user = matcher(drop)
    kept, exempt = matcher(keep), _exempt(root, paths, owners)
    hot = {source_name(path) or path for path in touched}
    taken: dict[str, str] = {}
    spared: list[str] = []
    find = [(rule, _matches(rule)) for rule in rules]
    sources = [path for path in paths if source_name(path) is None]
    for path in sources:
        name = USER_RULE if user(path) else _rule_for(root, path, owners[path], find)
        if (
            name is None
            or (name, owners[path]) in restore
            or kept(path)
            or (exempt(path) and name != USER_RULE)
        ):
            continue
        if path in hot:
            spared.append(path)
        else:
            taken[path] = name
    _give_back_imported(root, sources, taken, {rule.name: rule for rule in rules})
    read = files_read(root, sources, taken, owners=owners, rules={rule.name: rule for rule in rules})
    for path in (path for one in read for path in one.files):
        del taken[path]
    for path in last_files(root, sources, taken, {rule.name for rule in rules if not rule.folders}):
        del taken[path]
    caches = [path for path in paths if "caches" not in disable and ("caches", owners[path]) not in restore]
    _add_bytecode(paths, taken, tag, caches=frozenset(caches))
    return Selection(taken, tuple(spared), tuple(read))


def _matches(rule: Rule) -> Callable[[str], bool]:
    by_glob = matcher(rule.globs)
    return lambda path: by_glob(path) or not rule.folders.isdisjoint(path.split("/")[:-1])


def _applying(owners: Mapping[str, str], requested: Collection[str]) -> Iterator[Rule]:
    """The rules for packages that are in the tree."""
    there = set(owners.values())
    for rule in PACKAGE_RULES:
        wanted = not rule.needed_by or (
            not there.isdisjoint(rule.needed_by) and set(requested).isdisjoint(rule.distributions)
        )
        if wanted and not there.isdisjoint(rule.distributions):
            yield rule


def _rule_for(
    root: Path, path: str, owner: str, rules: Iterable[tuple[Rule, Callable[[str], bool]]]
) -> str | None:
    for rule, matches in rules:
        if rule.distributions and owner not in rule.distributions:
            continue
        if matches(path) and _starts_with(root / path, rule.magic):
            return rule.name
    return None


def _starts_with(path: Path, magic: bytes) -> bool:
    if not magic:
        return True
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _exempt(root: Path, paths: Sequence[str], owners: Mapping[str, str]) -> Callable[[str], bool]:
    always = matcher(glob for one in EXEMPTIONS if not one.marker for glob in one.globs)
    marked: dict[str, list[str]] = {}
    for exemption in EXEMPTIONS:
        candidates = {owners[path] for path in filter(matcher(exemption.globs), paths)}
        if exemption.marker and candidates:
            for owner in _marked(root, paths, owners, candidates, exemption.marker):
                marked.setdefault(owner, []).extend(exemption.globs)
    by_owner = {owner: matcher(globs) for owner, globs in marked.items()}

    def exempt(path: str) -> bool:
        if always(path):
            return True
        owner = by_owner.get(owners[path])
        return owner is not None and owner(path)

    return exempt


def _marked(
    root: Path, paths: Sequence[str], owners: Mapping[str, str], candidates: Set[str], marker: bytes
) -> set[str]:
    """Which of the distributions have a Python file with ``marker`` in it."""
    found: set[str] = set()
    for path in paths:
        owner = owners[path]
        if path.endswith(".py") and owner in candidates - found and marker in (root / path).read_bytes():
            found.add(owner)
    return found


def _give_back_imported(
    root: Path, sources: Sequence[str], taken: dict[str, str], rules: Mapping[str, Rule]
) -> None:
    """Take back, from ``taken``, the modules that kept code imports from dropped folders."""
    folders = {name for rule in rules.values() for name in rule.folders}
    modules = {
        name: path
        for path in sources
        if (rule := rules.get(taken.get(path, ""))) and rule.folders and (name := module_name(path))
    }
    pending = [path for path in sources if path not in taken and path.endswith(".py")]
    while pending and modules:
        for name in _imported(root, pending.pop(), folders):
            for module in _with_packages(name):
                path = modules.pop(module, None)
                if path is None or path not in taken:
                    continue
                back = _whole_folder(path, taken, rules[taken[path]])
                for found in back:
                    del taken[found]
                pending += [found for found in back if found.endswith(".py")]


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _whole_folder(path: str, taken: Mapping[str, str], rule: Rule) -> list[str]:
    """What comes back with a module: itself, or the outermost folder that made the rule match."""
    if not rule.whole:
        return [path]
    parts = path.split("/")
    first = next(number for number, part in enumerate(parts) if part in rule.folders)
    prefix = "/".join(parts[: first + 1]) + "/"
    return [found for found, name in taken.items() if name == rule.name and found.startswith(prefix)]


def _imported(root: Path, path: str, folders: Set[str]) -> Iterator[str]:
    """Modules that a file imports, anywhere in it, where any of ``folders`` is named in doing so."""
    data = (root / path).read_bytes()
    inside = not folders.isdisjoint(path.split("/"))
    named = re.compile("|".join(sorted(folders)).encode())
    if not inside and not any(named.search(match[0]) for match in _IMPORT.finditer(data)):
        return
    name = module_name(path)
    if name is None:
        return
    package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
    try:
        module = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from imports(module, package, functions=True)


def _add_bytecode(paths: Sequence[str], taken: dict[str, str], tag: str, *, caches: Set[str]) -> None:
    """Bytecode goes with its source, or, of ``caches``, for being that of another version or of no source."""
    there = set(paths)
    for path in paths:
        source = source_name(path)
        if source is None:
            continue
        if source in taken:
            taken[path] = taken[source]
        elif path in caches and (source not in there or path != cached_name(source, tag)):
            taken[path] = "caches"
