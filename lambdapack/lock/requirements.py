"""Read what the user wants: requirement strings, ``requirements.txt`` and ``pyproject.toml``."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Requirements", "read_requirements"]


@dataclass(frozen=True)
class Requirements:
    """What was asked for, with everything that pip-tools needs to resolve it.

    Attributes:
        lines: One requirement a line, normalised, with its markers and hashes.
        names: Canonical names that the lines ask for, in order, each once.
        constraints: The same as ``lines`` for constraints, which limit versions and ask for nothing.
        options: pip's options on where files come from, e.g. ``("--find-links", "/wheels")``.
        origins: Where each of ``lines`` came from, e.g. ``requirements.txt:3``.
        constraint_origins: The same for ``constraints``.
    """

    lines: tuple[str, ...]
    names: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    constraint_origins: tuple[str, ...] = ()


_COMMAND_LINE = "the command line"
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_OTHER_HASH = re.compile(r"(sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_FLAGS = frozenset(("--no-index", "--pre", "--prefer-binary"))
_VALUED = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--pypi-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--trusted-host": "--trusted-host",
}
# Satisfied by how lambdapack works: hashes are always required and binaries always taken.
_MOOT = frozenset(("--require-hashes",))
_MOOT_VALUED = frozenset(("--only-binary",))
_INCLUDES = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_ELSEWHERE = re.compile(r"^(\.{0,2}/|~|file:|https?:|(git|hg|svn|bzr)\+)|\.(whl|zip|tar\.gz|tgz)$|/")


@dataclass
class _Reader:
    lines: dict[str, str] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seen: set[tuple[Path, bool]] = field(default_factory=set)

    def file(self, path: Path, constraint: bool, origin: str | None) -> None:
        key = (path.resolve(), constraint)
        if key in self.seen:
            return
        self.seen.add(key)
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            where = f"{origin}: " if origin else ""
            self.problems.append(f"{where}{path} cannot be read: {reason}")
            return
        if path.suffix == ".toml":
            self.pyproject(path, text)
            return
        for number, line in logical_lines(text):
            self.line(line, f"{path}:{number}", path.parent, constraint)

    def line(self, line: str, origin: str, folder: Path, constraint: bool) -> None:
        line = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), line)
        if line.startswith("-"):
            self.option(line, origin, folder, constraint)
        else:
            self.requirement(line, origin, constraint)

    def option(self, line: str, origin: str, folder: Path, constraint: bool) -> None:
        try:
            words = shlex.split(line)
        except ValueError as error:
            self.problems.append(f"{origin}: {line!r} cannot be split into words: {error}")
            return
        while words:
            name, value = _split_option(words)
            if name in _FLAGS:
                self.options.append(name)
            elif name in _MOOT or name in _MOOT_VALUED:
                continue
            elif name in _INCLUDES and value:
                self.include(value, origin, folder, constraint or _INCLUDES[name])
            elif name in _VALUED and value:
                here = folder / value
                local = name in ("-f", "--find-links") and here.exists()
                self.options += [_VALUED[name], str(here.resolve()) if local else value]
            elif name in _INCLUDES or name in _VALUED:
                self.problems.append(f"{origin}: {name} needs a value")
            else:
                self.problems.append(f"{origin}: {_unsupported(name, line)}")
                return

    def include(self, value: str, origin: str, folder: Path, constraint: bool) -> None:
        if re.match(r"[a-z][a-z0-9+.-]+://", value):
            self.problems.append(f"{origin}: {value} is not on this machine; download it and name the file")
            return
        self.file(folder / value, constraint, origin)

    def requirement(self, line: str, origin: str, constraint: bool) -> None:
        try:
            text, hashes = _split_hashes(line)
            parsed = Requirement(text)
        except ValueError as error:
            self.problems.append(f"{origin}: {_malformed(line, error)}")
            return
        if parsed.url:
            self.problems.append(
                f"{origin}: {line!r} points at one file; name the package instead and let pip find the wheel "
                f"in a folder or index (--find-links, --extra-index-url)"
            )
            return
        normal = " ".join([_normalised(parsed), *(f"--hash={value}" for value in hashes)])
        if constraint:
            self.constraints.setdefault(normal, origin)
            return
        self.lines.setdefault(normal, origin)
        self.names.setdefault(canonicalize_name(parsed.name))

    def pyproject(self, path: Path, text: str) -> None:
        try:
            table: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{path}: not TOML: {error}")
            return
        project = table.get("project")
        found = project.get("dependencies") if isinstance(project, dict) else None
        if found is None or not isinstance(found, list):
            self.problems.append(f"{path}: {_no_dependencies(table, found)}")
            return
        for number, value in enumerate(found):
            where = f"{path}:{_line_of(text, value)}"
            if isinstance(value, str):
                self.line(value.strip(), where, path.parent, False)
            else:
                self.problems.append(f"{where}: project.dependencies[{number}] is not a string: {value!r}")


def read_requirements(arguments: Sequence[str], files: Sequence[Path]) -> Requirements:
    """Read requirement strings and files; a ``.toml`` file is read as ``pyproject.toml``.

    Raises:
        ConfigurationError: Names every line that cannot be used, by file and line.
    """
    reader = _Reader()
    for argument in arguments:
        if argument.endswith((".txt", ".in", ".toml")) and Path(argument).is_file():
            reader.problems.append(f"{argument!r} is a file: name it after -r")
        elif argument.startswith("-"):
            reader.problems.append(f"{argument!r} is an option, not a requirement")
        else:
            reader.line(argument.strip(), _COMMAND_LINE, Path(), False)
    for path in files:
        reader.file(path, False, None)
    _check(reader, bool(arguments or files))
    return Requirements(
        tuple(reader.lines),
        tuple(reader.names),
        tuple(reader.constraints),
        tuple(reader.options),
        tuple(reader.lines.values()),
        tuple(reader.constraints.values()),
    )


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments removed, each with the number of its first line."""
    parts: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
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
    rest = _COMMENT.sub("", "".join(parts)).strip()
    if rest:
        yield first, rest


def _check(reader: _Reader, asked: bool) -> None:
    if reader.problems:
        count = len(reader.problems)
        listed = "".join(f"\n  {problem}" for problem in reader.problems)
        raise ConfigurationError(
            f"{count} requirement{'s' if count > 1 else ''} cannot be used:{listed}",
            hint="a requirement is a name with optional extras, versions and markers, e.g. 'spacy>=3.7'",
        )
    if not reader.lines:
        raise ConfigurationError(
            "the requirement files ask for no package" if asked else "no requirements were given",
            hint="name packages (lambdapack build spacy) or a file (lambdapack build -r requirements.txt)",
        )


def _split_option(words: list[str]) -> tuple[str, str | None]:
    """Take one option, and its value where it has one, off the front of ``words``."""
    name, equals, value = words.pop(0).partition("=")
    if not equals and not name.startswith("--") and len(name) > 2:
        return name[:2], name[2:]
    if equals:
        return name, value
    takes = name in _VALUED or name in _INCLUDES or name in _MOOT_VALUED
    return name, words.pop(0) if takes and words else None


def _unsupported(name: str, line: str) -> str:
    if name in ("-e", "--editable"):
        return f"{line!r} installs from a folder; build a wheel of it and name the package (--find-links)"
    if name == "--no-binary":
        return f"{line!r} asks for a build from source, and packs are built from wheels"
    return f"{name} is not an option that a requirements file may have here"


def _split_hashes(line: str) -> tuple[str, list[str]]:
    """Part ``name==1 --hash=sha256:…`` into requirement and SHA-256 hashes."""
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


def _normalised(parsed: Requirement) -> str:
    extras = f"[{','.join(sorted(canonicalize_name(e) for e in parsed.extras))}]" if parsed.extras else ""
    marker = f" ; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}{extras}{parsed.specifier}{marker}"


def _malformed(line: str, error: ValueError) -> str:
    if _ELSEWHERE.search(line.split(" ", maxsplit=1)[0]):
        return f"{line!r} is a path or URL; name the package, and its folder with --find-links"
    # packaging draws an arrow under the line; its first line says it all.
    reason = str(error).splitlines()[0] if isinstance(error, InvalidRequirement) else str(error)
    return f"{line!r} is not a requirement: {reason}"


def _no_dependencies(table: dict[str, Any], found: object) -> str:
    if found is not None:
        return "project.dependencies is not a list of strings"
    project = table.get("project")
    dynamic = project.get("dynamic") if isinstance(project, dict) else None
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        return "project.dependencies is dynamic: only its build backend knows them; list them in a file"
    if isinstance(table.get("tool"), dict) and "poetry" in table["tool"]:
        return "has no [project] dependencies, only Poetry's own table; export them to a requirements file"
    return "has no [project] dependencies"


def _line_of(text: str, value: object) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if isinstance(value, str) and value in line.replace('\\"', '"'):
            return number
    return 1
