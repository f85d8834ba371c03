"""Read what the user wants: requirement strings, ``requirements.txt``, ``pyproject.toml`` and lock files."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements import direct
from lambdapack.lock.requirements.direct import DirectReference
from lambdapack.lock.requirements.fields import read_text
from lambdapack.lock.requirements.formats import pipfile, poetry, pylock, pyproject, uv
from lambdapack.lock.requirements.locked import LockFile, Scope, index_options
from lambdapack.model import NO_OPTIONS, PipOptions, Target


@dataclass(frozen=True)
class Requirements:
    """What the user asks for, with everything that pip-tools needs for a resolution.

    Attributes:
        lines: One requirement a line, normalised, with markers and hashes.
        names: Canonical names that the lines ask for, in order, each once.
        constraints: Lines of the same form which limit versions and ask for no package.
        options: pip's options on where files come from.
        origins: Where each of ``lines`` came from, e.g. ``requirements.txt:3``.
        constraint_origins: The same for ``constraints``.
        direct: Files and folders that are named by address or path.
        locks: Lock files, whose versions and hashes are what is installed.
        extras, groups: Normalised names of the extras and groups that are taken of lock files.
        no_binary: Names of which an sdist is to be taken; ``:all:`` for every one.
        only_binary: The same for wheels.
    """

    lines: tuple[str, ...]
    names: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: PipOptions = NO_OPTIONS
    origins: tuple[str, ...] = ()
    constraint_origins: tuple[str, ...] = ()
    direct: tuple[DirectReference, ...] = ()
    locks: tuple[LockFile, ...] = ()
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether lock files say everything, so that an index cannot change what is installed."""
        return bool(self.locks) and not (self.lines or self.direct)

    @property
    def is_empty(self) -> bool:
        """Whether no package is asked for."""
        return not (self.lines or self.direct or self.locks)

    @property
    def shown(self) -> tuple[str, ...]:
        """What the user asks for, for people: no password, and no folder of this machine."""
        references = [reference.name or reference.filename for reference in self.direct]
        return (*self.lines, *references, *(lock.path.name for lock in self.locks))

    def scope(self, target: Target, python: str) -> Scope:
        """What to read lock files for: ``target``, whose Python has the full version ``python``."""
        return Scope(target.markers(python), self.extras, self.groups)


_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_FLAGS = frozenset(("--no-index", "--pre", "--prefer-binary"))
_VALUED = {
    "-i": "index-url",
    "--index-url": "index-url",
    "--pypi-url": "index-url",
    "--extra-index-url": "extra-index-url",
    "-f": "find-links",
    "--find-links": "find-links",
    "--trusted-host": "trusted-host",
}
# Hashes are always required.
_ALWAYS_ON = frozenset(("--require-hashes",))
_FORMATS = frozenset(("--only-binary", "--no-binary"))
_FOLDERS = frozenset(("-e", "--editable"))
_INCLUDES = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_LOCKS: dict[str, Callable[[Path], LockFile]] = {
    "uv.lock": uv.read,
    "poetry.lock": poetry.read,
    "Pipfile.lock": pipfile.read,
}
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")


@dataclass
class _Reader:
    """Collects requirements file by file, and every problem with them."""

    lines: dict[str, str] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    options: PipOptions = NO_OPTIONS
    names: dict[str, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seen: set[tuple[Path, bool]] = field(default_factory=set)
    direct: list[DirectReference] = field(default_factory=list)
    locks: list[LockFile] = field(default_factory=list)
    formats: dict[str, dict[str, None]] = field(default_factory=lambda: {name: {} for name in _FORMATS})
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    known: dict[str, dict[Path, frozenset[str]]] = field(default_factory=lambda: {"extra": {}, "group": {}})

    def requirements(self) -> Requirements:
        return Requirements(
            lines=tuple(self.lines),
            names=tuple(self.names),
            constraints=tuple(self.constraints),
            options=self.options,
            origins=tuple(self.lines.values()),
            constraint_origins=tuple(self.constraints.values()),
            direct=tuple(self.direct),
            locks=tuple(self.locks),
            extras=self.extras,
            groups=self.groups,
            no_binary=tuple(sorted(self.formats["--no-binary"])),
            only_binary=tuple(sorted(self.formats["--only-binary"])),
        )

    def argument(self, argument: str) -> None:
        if argument.endswith((".txt", ".in", ".toml", ".lock")) and Path(argument).is_file():
            self.problems.append(f"{argument!r} is a file: name it after -r")
        elif argument.startswith("-"):
            self.problems.append(f"{argument!r} is an option, not a requirement")
        else:
            self.line(argument.strip(), "the command line", Path(), False)

    def file(self, path: Path, constraint: bool, origin: str | None) -> None:
        key = (path.resolve(), constraint)
        if key in self.seen:
            return
        self.seen.add(key)
        if read := _LOCKS.get(path.name) or (pylock.read if _PYLOCK.fullmatch(path.name) else None):
            self.lock(read(path))
            return
        if path.suffix == ".toml":
            self.pyproject(path)
            return
        try:
            text = read_text(path)
        except ConfigurationError as error:
            self.problems.append(f"{origin}: {error.message}" if origin else error.message)
            return
        for number, line in logical_lines(text):
            self.line(line, f"{path}:{number}", path.parent, constraint)

    def line(self, line: str, origin: str, folder: Path, constraint: bool) -> None:
        line = _VARIABLE.sub(lambda variable: os.environ.get(variable[1], variable[0]), line)
        if line.startswith("-"):
            self.option(line, origin, folder, constraint)
        else:
            self.requirement(line, origin, folder, constraint)

    def option(self, line: str, origin: str, folder: Path, constraint: bool) -> None:
        try:
            words = shlex.split(line)
        except ValueError as error:
            self.problems.append(f"{origin}: {line!r} cannot be split into words: {error}")
            return
        while words:
            name, value = _split_option(words)
            if name in _FLAGS:
                self.options += PipOptions(((name.removeprefix("--"), ""),))
            elif name in _ALWAYS_ON:
                continue
            elif name in _FORMATS and value:
                self.format(name, value)
            elif name in _FOLDERS and value:
                self.requirement(value, origin, folder, constraint)
            elif name in _INCLUDES and value:
                self.include(value, origin, folder, constraint or _INCLUDES[name])
            elif name in _VALUED and value:
                here = folder / value
                local = name in ("-f", "--find-links") and here.exists()
                self.options += PipOptions(((_VALUED[name], str(here.resolve()) if local else value),))
            elif name in (*_INCLUDES, *_VALUED, *_FORMATS, *_FOLDERS):
                self.problems.append(f"{origin}: {name} needs a value")
            else:
                self.problems.append(
                    f"{origin}: {name} is not an option that a requirements file may have here"
                )
                return

    def format(self, option: str, value: str) -> None:
        """Take ``--no-binary`` and ``--only-binary`` as pip does: the later of the two counts."""
        mine = self.formats[option]
        other = self.formats["--no-binary" if option == "--only-binary" else "--only-binary"]
        for name in (part.strip() for part in value.split(",")):
            if name == ":none:":
                mine.clear()
            elif name:
                package = canonicalize_name(name)
                mine[package] = None
                other.pop(package, None)
                if package == ":all:":
                    other.clear()

    def include(self, value: str, origin: str, folder: Path, constraint: bool) -> None:
        if re.match(r"[a-z][a-z0-9+.-]+://", value):
            self.problems.append(f"{origin}: {value} is not on this machine; download it and name the file")
            return
        self.file(folder / value, constraint, origin)

    def requirement(self, line: str, origin: str, folder: Path, constraint: bool) -> None:
        try:
            text, hashes = split_hashes(line)
            if direct.is_direct(text):
                if constraint:
                    raise ValueError("a constraint names versions, not files")
                self.direct.append(direct.parse(text, tuple(hashes), folder, origin))
                return
            parsed = Requirement(text)
        except ValueError as error:
            # packaging draws an arrow under the line; its first line says it all.
            reason = str(error).splitlines()[0] if isinstance(error, InvalidRequirement) else str(error)
            said = direct.shown(f"{line!r} is not a requirement: {reason}")
            self.problems.append(f"{origin}: {said}")
            return
        normal = " ".join([normalised(parsed), *(f"--hash={value}" for value in hashes)])
        if constraint:
            self.constraints.setdefault(normal, origin)
            return
        self.lines.setdefault(normal, origin)
        self.names.setdefault(canonicalize_name(parsed.name))

    def pyproject(self, path: Path) -> None:
        project = pyproject.read(path)
        self.known["extra"][path] = frozenset(project.extras)
        self.known["group"][path] = frozenset(project.groups)
        for text, number in project.wanted(self.extras, self.groups):
            self.line(text, f"{path}:{number}", path.parent, False)

    def lock(self, lock: LockFile) -> None:
        self.known["extra"][lock.path] = lock.extras
        self.known["group"][lock.path] = lock.groups
        self.locks.append(lock)
        self.options += index_options(lock.registries)


def read_requirements(
    arguments: Sequence[str],
    files: Sequence[Path],
    *,
    extras: Collection[str] = (),
    groups: Collection[str] = (),
    optional: bool = False,
) -> Requirements:
    """Read requirement strings and files; what a file is, its name says.

    Args:
        arguments: As pip takes them: requirements, addresses, paths of files and folders.
        files: ``uv.lock``, ``poetry.lock``, ``Pipfile.lock``, ``pylock.toml``, ``pylock.*.toml``; any other
            ``.toml`` is a ``pyproject.toml``, anything else a requirements file.
        extras, groups: Names of what to take of those files that have extras or groups.
        optional: Whether the user may ask for no package.

    Raises:
        ConfigurationError: Names every line that cannot be used, by file and line, or the key of a lock; or
            no package is asked for.
    """
    reader = _Reader(
        extras=frozenset(map(canonicalize_name, extras)), groups=frozenset(map(canonicalize_name, groups))
    )
    for argument in arguments:
        reader.argument(argument)
    for path in files:
        reader.file(path, False, None)
    _check(reader)
    requirements = reader.requirements()
    if requirements.is_empty and not optional:
        raise ConfigurationError(
            "the requirement files ask for no package"
            if arguments or files
            else "no requirements were given",
            hint="name packages (lambdapack build spacy) or a file (lambdapack build -r requirements.txt)",
        )
    return requirements


def _check(reader: _Reader) -> None:
    if reader.problems:
        count = len(reader.problems)
        listed = "".join(f"\n  {problem}" for problem in reader.problems)
        raise ConfigurationError(
            f"{count} requirement{'s' if count > 1 else ''} cannot be used:{listed}",
            hint="a requirement is a name with optional extras, versions and markers, e.g. 'spacy>=3.7'",
        )
    for kind, wanted in (("extra", reader.extras), ("group", reader.groups)):
        have = {name for names in reader.known[kind].values() for name in names}
        if wanted - have:
            where = next(iter(reader.known[kind]), Path("the command line"))
            raise ConfigurationError(
                f"{where} has no {kind} {', '.join(sorted(wanted - have))} "
                f"(it has: {', '.join(sorted(have)) or 'none'})",
                hint=f"mend --{kind}, or [build] {kind}s",
            )


def _split_option(words: list[str]) -> tuple[str, str | None]:
    """Take one option, and its value where it has one, off the front of ``words``."""
    name, equals, value = words.pop(0).partition("=")
    if not equals and not name.startswith("--") and len(name) > 2:
        return name[:2], name[2:]
    if equals:
        return name, value
    takes = name in (*_VALUED, *_INCLUDES, *_FORMATS, *_FOLDERS)
    return name, words.pop(0) if takes and words else None


_COMMENT = re.compile(r"(^|\s+)#.*$")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_OTHER_HASH = re.compile(r"(sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments removed, each with the number of its first line."""
    parts: list[str] = []
    first = 0
    # An empty line at the end closes a continuation that nothing follows.
    for number, raw in enumerate([*text.splitlines(), ""], 1):
        if not parts:
            first = number
        comment = raw.lstrip().startswith("#")
        # As pip does: a comment ends a continuation, even one that ends in a backslash itself.
        if raw.endswith("\\") and not comment:
            parts.append(raw[:-1])
            continue
        line = _COMMENT.sub("", "".join([*parts, " " + raw if comment else raw])).strip()
        parts = []
        if line:
            yield first, line


def split_hashes(line: str) -> tuple[str, list[str]]:
    """Part ``name==1 --hash=sha256:…`` into requirement and SHA-256 hashes.

    Raises:
        ValueError: The line has another option, a malformed hash, or hashes of other kinds alone.
    """
    text, *rest = re.split(r"\s+(?=--?[a-z])", line)
    hashes: list[str] = []
    others = 0
    for option in rest:
        name, _, value = option.replace(" ", "=", 1).partition("=")
        if name != "--hash":
            raise ValueError(f"{name} is not an option that a requirement may have here")
        if _SHA256.fullmatch(value.strip()):
            hashes.append(value.strip())
        elif _OTHER_HASH.fullmatch(value.strip()):
            others += 1
        else:
            raise ValueError(f"{value.strip()!r} is not a hash like sha256: and 64 hexadecimal digits")
    if others and not hashes:
        raise ValueError("the lock is made of SHA-256 hashes, and this requirement has only others")
    return text, sorted(set(hashes))


def normalised(parsed: Requirement) -> str:
    """A requirement in one spelling: names are canonical, and extras in order."""
    extras = f"[{','.join(sorted(canonicalize_name(e) for e in parsed.extras))}]" if parsed.extras else ""
    marker = f" ; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}{extras}{parsed.specifier}{marker}"
