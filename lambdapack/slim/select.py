"""Which files of a tree stay, and which rule takes the others."""

from __future__ import annotations

import ast
import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.model import Target, Tree, bytecode_of, is_cached, source_of
from lambdapack.python.module_names import imports, module_name
from lambdapack.slim.namespaces import last_files
from lambdapack.slim.packages import PACKAGE_RULES
from lambdapack.slim.reading import Mention, find_mentions
from lambdapack.slim.restoring import Group
from lambdapack.slim.rules import EXEMPTIONS, RULES, Rule, matcher

USER_RULE = "drop"
"""Name, in the report, of what the user's own patterns took."""
_CACHES = "caches"
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t](?:\\\r?\n|\([^)]*\)|[^\n])*", re.MULTILINE)


@dataclass(frozen=True)
class SlimOptions:
    """What a user may say about slimming.

    Attributes:
        keep: Patterns of files that no rule drops (``rules.matcher`` says how they match).
        drop: Patterns of further files to drop. What the trace touched stays all the same.
        disable: Names of rules that do not apply (``rule_names()``).
        strip: Strip shared objects.
        sources: Keep the ``.py`` files. Without them tracebacks have no lines and ``inspect.getsource``
            fails.
    """

    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    strip: bool = True
    sources: bool = True


def rule_names() -> tuple[str, ...]:
    """The names that ``disable`` may hold."""
    return tuple(rule.name for rule in (*RULES, *PACKAGE_RULES))


def check_options(options: SlimOptions) -> None:
    """Refuse options that make no sense, before anything slow is done.

    Raises:
        ConfigurationError: ``options`` name an unknown rule.
    """
    unknown = sorted(set(options.disable) - set(rule_names()))
    if unknown:
        close = difflib.get_close_matches(unknown[0], rule_names(), n=1)
        raise ConfigurationError(
            f"there is no slimming rule {unknown[0]!r} (there are: {', '.join(rule_names())})",
            hint=f"did you mean {close[0]!r}?" if close else None,
        )


@dataclass(frozen=True)
class Selection:
    """What becomes of the files of a tree.

    Attributes:
        dropped: Path -> the rule that takes it.
        spared: Paths that a rule would have taken but the trace touched.
        mentions: Files that a rule would have taken but the package's own code names.
    """

    dropped: Mapping[str, str]
    spared: tuple[str, ...]
    mentions: tuple[Mention, ...] = ()


def select(
    tree: Tree,
    owners: Mapping[str, str],
    *,
    touched: Collection[str],
    options: SlimOptions,
    restore: Collection[Group] = (),
    requested: Collection[str] = (),
) -> Selection:
    """Decide for every file.

    In this order: what the trace touched stays; so does what ``keep`` or an exemption matches; then the
    user's ``drop`` and the rules take what they match, except modules that code which stays imports, files
    that it names as data (``slim.reading``) and the last files of namespace packages that something names
    (``slim.namespaces``). Bytecode goes with its source.

    Args:
        tree: The installed tree.
        owners: Each of its files, in order, and the distribution that it belongs to.
        touched: The trace's files.
        options: The user's wishes.
        restore: Names of rules and the distributions in which they do not apply.
        requested: Distributions that the user asked for; the others are there for their sake.
    """
    applying = (*RULES, *_package_rules(owners, requested))
    rules = {rule.name: rule for rule in applying if rule.name not in options.disable}
    sources = [path for path in owners if not is_cached(path)]
    matched = {
        path: name
        for path, name in _matched(tree.root, sources, owners, rules.values(), options)
        if (name, owners[path]) not in restore
    }
    hot = {*touched, *map(source_of, touched)}
    spared = tuple(path for path in matched if path in hot)
    taken = {path: name for path, name in matched.items() if path not in hot}
    mentions = _give_back(tree.root, sources, taken, owners, rules)
    taken.update([*_bytecode(owners, taken, tree.target, options.disable, restore)])
    return Selection(taken, spared, tuple(mentions))


def _give_back(
    root: Path,
    sources: Sequence[str],
    taken: dict[str, str],
    owners: Mapping[str, str],
    rules: Mapping[str, Rule],
) -> list[Mention]:
    """Take out of ``taken`` what code that stays needs; the files among it that the code names as data."""
    _give_back_imported(root, sources, taken, rules)
    mentions = find_mentions(root, sources, taken, owners=owners, rules=rules)
    for path in (path for mention in mentions for path in mention.files):
        del taken[path]
    by_glob = {rule.name for rule in rules.values() if not rule.folders}
    for path in last_files(root, sources, taken, by_glob):
        del taken[path]
    return mentions


def _matched(
    root: Path,
    sources: Sequence[str],
    owners: Mapping[str, str],
    rules: Iterable[Rule],
    options: SlimOptions,
) -> Iterator[tuple[str, str]]:
    """Files that may go, and the rule, or the user's own pattern, that would take each."""
    dropped, kept, exempt = matcher(options.drop), matcher(options.keep), _exempt(root, owners)
    matchers = [(rule, _matches(rule)) for rule in rules]
    for path in sources:
        if kept(path):
            continue
        if dropped(path):
            yield path, USER_RULE
        elif (name := _rule_for(root, path, owners[path], matchers)) and not exempt(path):
            yield path, name


def by_name(
    owners: Mapping[str, str], options: SlimOptions, requested: Collection[str] = ()
) -> frozenset[str]:
    """What ``select`` takes of files that are not there yet, as far as names tell: more than of a tree.

    No code is looked at that imports from a folder of tests, or that names a file.
    """
    applying = (*RULES, *_package_rules(owners, requested))
    matchers = [(rule, _matches(rule)) for rule in applying if rule.name not in options.disable]
    dropped, kept = matcher(options.drop), matcher(options.keep)
    exempt = matcher(glob for each in EXEMPTIONS if not each.marker for glob in each.globs)
    return frozenset(
        path
        for path, owner in owners.items()
        if not kept(path) and (dropped(path) or (not exempt(path) and _named(path, owner, matchers)))
    )


def _named(path: str, owner: str, rules: Iterable[tuple[Rule, Callable[[str], bool]]]) -> bool:
    return any(
        matches(path) and (not rule.distributions or owner in rule.distributions) for rule, matches in rules
    )


def _matches(rule: Rule) -> Callable[[str], bool]:
    by_glob = matcher(rule.globs)
    return lambda path: by_glob(path) or not rule.folders.isdisjoint(path.split("/")[:-1])


def _package_rules(owners: Mapping[str, str], requested: Collection[str]) -> Iterator[Rule]:
    """The rules for packages that are in the tree."""
    there = set(owners.values())
    for rule in PACKAGE_RULES:
        applies = not rule.needed_by or (
            not there.isdisjoint(rule.needed_by) and set(requested).isdisjoint(rule.distributions)
        )
        if applies and not there.isdisjoint(rule.distributions):
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


def _exempt(root: Path, owners: Mapping[str, str]) -> Callable[[str], bool]:
    """A function that says whether a file stays although a rule matches."""
    always = matcher(glob for exemption in EXEMPTIONS if not exemption.marker for glob in exemption.globs)
    globs: dict[str, list[str]] = defaultdict(list)
    for exemption in EXEMPTIONS:
        candidates = {owners[path] for path in filter(matcher(exemption.globs), owners)}
        if exemption.marker and candidates:
            for owner in _marked(root, owners, candidates, exemption.marker):
                globs[owner].extend(exemption.globs)
    marked = {owner: matcher(patterns) for owner, patterns in globs.items()}

    def exempt(path: str) -> bool:
        return always(path) or (owners[path] in marked and marked[owners[path]](path))

    return exempt


def _marked(root: Path, owners: Mapping[str, str], candidates: Set[str], marker: bytes) -> set[str]:
    """Which of the distributions ``candidates`` have ``marker`` in a Python file."""
    marked: set[str] = set()
    for path, owner in owners.items():
        if path.endswith(".py") and owner in candidates - marked and marker in (root / path).read_bytes():
            marked.add(owner)
    return marked


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
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                path = modules.pop(".".join(parts[:length]), None)
                if path is None or path not in taken:
                    continue
                returned = _whole_folder(path, taken, rules[taken[path]])
                for each in returned:
                    del taken[each]
                pending += [each for each in returned if each.endswith(".py")]


def _whole_folder(path: str, taken: Mapping[str, str], rule: Rule) -> list[str]:
    """What comes back with a module: itself, or the outermost folder that made the rule match."""
    if not rule.whole:
        return [path]
    parts = path.split("/")
    first = next(number for number, part in enumerate(parts) if part in rule.folders)
    prefix = "/".join(parts[: first + 1]) + "/"
    return [file for file, name in taken.items() if name == rule.name and file.startswith(prefix)]


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


def _bytecode(
    owners: Mapping[str, str],
    taken: Mapping[str, str],
    target: Target,
    disable: Collection[str],
    restore: Collection[Group],
) -> Iterator[tuple[str, str]]:
    """Bytecode that goes, and its rule: its source's, or "caches" for another version's or without source."""
    for path in filter(is_cached, owners):
        source = source_of(path)
        if source in taken:
            yield path, taken[source]
        elif _CACHES in disable or (_CACHES, owners[path]) in restore:
            continue
        elif source not in owners or path != bytecode_of(source, target):
            yield path, _CACHES
