"""What a running program does not need, as data. The first rule that matches a file names the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Rule:
    """Files that go.

    Attributes:
        name: What ``disable`` in the configuration calls it.
        why: Why no program on Lambda needs them.
        folders: Names of folders: everything below one goes, unless code that stays imports from it.
        whole: Whether such a folder stays as a whole when something imports from it; else only the
            modules that are imported do.
        globs: Patterns over the path (``matcher``).
        magic: Only files that begin with these bytes.
        distributions: Only files of these, by canonical name; of any where empty.
        needed_by: Only where one of these is installed too and the user asked for none of
            ``distributions``: those are then there for its sake alone.
        read: Whether a package's own code may read such files as data (``slim.reading``): it names their
            suffix, and those in the whole ``package``, or in its own ``folder``, stay.
    """

    name: str
    why: str
    folders: frozenset[str] = frozenset()
    whole: bool = False
    globs: tuple[str, ...] = ()
    magic: bytes = b""
    distributions: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    read: Literal["", "package", "folder"] = ""


@dataclass(frozen=True)
class Exemption:
    """Files that stay although a rule matches.

    Attributes:
        globs: Patterns over the path.
        why: What needs them.
        marker: Only in distributions of which a Python file has these bytes; always where empty.
    """

    globs: tuple[str, ...]
    why: str
    marker: bytes = b""


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether any of ``patterns`` matches a path.

    ``*`` and ``?`` stay inside one folder, ``**`` crosses folders (``spacy/lang/**``, ``**/tests/**``), and
    a pattern without a slash is for the file's name, wherever it is (``*.pyx``).
    """
    expressions = [_expression(pattern) for pattern in patterns]
    if not expressions:
        return lambda path: False
    compiled = re.compile("|".join(expressions))
    return lambda path: compiled.fullmatch(path) is not None


def _expression(pattern: str) -> str:
    if "/" not in pattern and pattern != "**":
        pattern = "**/" + pattern
    if pattern.endswith("/"):
        pattern += "**"
    out = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern.removeprefix("/")):
        out.append({"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token, re.escape(token)))
    return "".join(out)


RULES: Final = (
    Rule(
        "tests",
        "a package's own tests",
        folders=frozenset(("tests", "test", "_tests", "testsuite")),
        globs=("conftest.py",),
    ),
    Rule(
        "docs",
        "documentation and manual pages",
        folders=frozenset(("docs", "doc", "documentation")),
        whole=True,
        globs=("share/man/**", "share/doc/**", "share/info/**"),
    ),
    Rule(
        "examples",
        "examples, tutorials and benchmarks",
        folders=frozenset(("examples", "example", "tutorials", "demos", "benchmarks")),
        whole=True,
    ),
    Rule(
        "headers",
        "C and C++ headers: Lambda has no compiler",
        globs=("*.h", "*.hh", "*.hpp", "*.hxx", "*.h++", "*.cuh", "*.inl", "*.ipp", "*.tcc"),
        read="folder",
    ),
    Rule(
        "native-sources",
        "C, C++, Cython, Rust and Fortran sources of what is compiled already",
        globs=(
            *("*.c", "*.cc", "*.cpp", "*.cxx", "*.c++", "*.cu"),
            *("*.pyx", "*.pxd", "*.pxi", "*.pyx.in", "*.pxd.in", "*.pxi.in", "*.pyx.tp", "*.c.src"),
            *("*.rs", "Cargo.toml", "Cargo.lock", "*.f", "*.f90", "*.f95", "*.for", "*.pyf"),
            *("*.asm", "*.s", "*.S"),
        ),
        read="folder",
    ),
    Rule(
        "static-libraries",
        "archives for a linker",
        globs=("*.a", "*.lib"),
        magic=b"!<arch>\n",
    ),
    Rule(
        "build-files",
        "files of build systems and linkers",
        globs=(
            *("CMakeLists.txt", "*.cmake", "*.cmake.in", "**/pkgconfig/*.pc", "lib/pkgconfig/**"),
            *("meson.build", "meson.options", "Makefile", "*.am", "configure.ac", "*.gypi", "*.gyp"),
            *("*.la", "*.o"),
        ),
    ),
    Rule(
        "stubs",
        "type stubs, which only type checkers read",
        globs=("*.pyi", "py.typed", "*-stubs/**"),
        read="package",
    ),
    Rule(
        "foreign-binaries",
        "programs and libraries for Windows and macOS",
        globs=("*.exe", "*.dll", "*.dylib", "*.pyd"),
    ),
    Rule(
        "installer",
        "what pip noted for itself, signatures and software bills of materials",
        globs=tuple(
            f"*.dist-info/{name}"
            for name in (
                *("INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s"),
                *("zip-safe", "uv_cache.json", "uv_build.json", "sboms/**"),
            )
        ),
    ),
    Rule(
        "scripts",
        "console scripts: their first line names an interpreter of the machine that built them",
        globs=("bin/**",),
        magic=b"#!",
    ),
    Rule(
        "caches",
        "caches of tools and editors, bytecode of other Python versions",
        folders=frozenset((".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", ".git")),
        globs=(".DS_Store", "Thumbs.db", "*.orig", "*.rej", "*~", "*.pyo", "*.swp"),
    ),
)

EXEMPTIONS: Final = (
    Exemption(("**/typeshed/**",), "type checkers and completers read typeshed at run time"),
    Exemption(("django/test/**",), "django.test is public API"),
    Exemption(("twisted/trial/test/**",), "trial imports its own test helpers by name"),
    Exemption(("triton/**/include/**", "triton/**/*.c"), "triton compiles at run time"),
    Exemption(("**/*.pyi",), "lazy_loader reads stubs at run time", marker=b"attach_stub"),
)
