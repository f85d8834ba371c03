"""What the image lacks for a build is read out of what compilers, linkers and build systems print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.install.docker import prerequisites

SAID = [
    ("psycopg/psycopg.h:35:10: fatal error: libpq-fe.h: No such file or directory", "header", "libpq-fe.h",
     "libpq-devel"),
    ("src/x.c:3:10: fatal error: 'openssl/ssl.h' file not found", "header", "openssl/ssl.h", "openssl-devel"),
    ("a.cpp:1:10: fatal error: own/thing.hpp: No such file or directory", "header", "own/thing.hpp", None),
    ("/usr/bin/ld: cannot find -lxslt", "library", "xslt", "libxslt-devel"),
    ("/usr/bin/ld: cannot find -lcrypto: No such file or directory", "library", "crypto", "openssl-devel"),
    ("ld.lld: error: unable to find library -lgomp", "library", "gomp", "libgomp"),
    ("Package libxml-2.0 was not found in the pkg-config search path.", "pkg-config module", "libxml-2.0",
     "libxml2-devel"),
    ("Package 'cairo', required by 'virtual:world', not found", "pkg-config module", "cairo", "cairo-devel"),
    ("No package 'libffi' found", "pkg-config module", "libffi", "libffi-devel"),
    ('../meson.build:4:0: ERROR: Dependency "openblas" not found, tried pkgconfig and cmake',
     "pkg-config module", "openblas", "openblas-devel"),
    ("CMake Error: Could NOT find GEOS (missing: GEOS_LIBRARY)", "CMake package", "GEOS", "geos-devel"),
    ("error: command 'gcc' failed: No such file or directory", "program", "gcc", "gcc"),
    ("/bin/sh: line 1: cmake: command not found", "program", "cmake", "cmake"),
    ("/bin/sh: 1: gfortran: not found", "program", "gfortran", "gcc-gfortran"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'git'", "program", "git", "git"),
    ("Error: pg_config executable not found.", "program", "pg_config", "libpq-devel"),
    ("../meson.build:1:0: ERROR: Unknown compiler(s): [['gfortran'], ['flang']]", "program", "gfortran",
     "gcc-gfortran"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "name", "package"), SAID)
def test_what_is_missing_is_named(line: str, kind: str, name: str, package: str | None) -> None:
    """In each tool's own words: what it is, its name, and the package that has it, if that is known."""
    missing = prerequisites.find_missing(
        ["running build_ext", line, "error: command failed with exit code 1"]
    )
    assert missing is not None
    assert (missing.kind, missing.name, missing.line) == (kind, name, 1)
    assert missing.package("rpm") == package
    assert name in str(missing)


@pytest.mark.parametrize(
    "line",
    [
        "error: expected ';' before '}' token",
        "ModuleNotFoundError: No module named 'x'",
        "Page not found",
        "",
    ],
)
def test_other_failures_miss_no_prerequisite(line: str) -> None:
    """A build that fails for another reason is not blamed on the image, whatever else was not found."""
    assert prerequisites.find_missing([line]) is None


@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_output_is_read(lines: list[str]) -> None:
    """Whatever a build prints, reading it ends, and what is found is on the line that it names."""
    missing = prerequisites.find_missing(lines)
    assert missing is None or missing.name in lines[missing.line]


def test_every_package_has_both_names() -> None:
    """The table names each package as Amazon Linux and as Debian do."""
    table = json.loads(Path(prerequisites.__file__).with_name("packages.json").read_text())
    assert set(table) == {"header", "library", "pkg-config module", "CMake package", "program"}
    for names in table.values():
        for package in names.values():
            assert package.keys() == {"rpm", "deb"}
            assert all(package.values())
