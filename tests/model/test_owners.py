"""Who owns a file: the RECORDs' word, else its source's owner, else the only one at the top-level name."""

from __future__ import annotations

import pytest

from lambdapack.model import Distribution, Owners, Target, bytecode_of, is_cached, source_of

OWNERS = Owners.installed(
    (
        Distribution("one", "1", ("one/a.py", "space/one.py", "both.py"), ()),
        Distribution("two", "2", ("space/two.py", "six.py", "both.py"), ()),
    )
)


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("one/a.py", "one"),
        ("one/__pycache__/a.cpython-311.pyc", "one"),
        ("one/a.pyc", "one"),
        ("one/left/by/a/build.txt", "one"),
        ("one/__pycache__/gone.cpython-311.pyc", "one"),
        ("space/two.py", "two"),
        ("space/__pycache__/one.cpython-311.pyc", "one"),
        ("space/left.txt", None),
        ("__pycache__/six.cpython-311.pyc", "two"),
        ("__pycache__/gone.cpython-311.pyc", None),
        ("both.py", "two"),
        ("nowhere/x", None),
    ],
)
def test_a_file_has_the_owner_that_its_surroundings_tell(path: str, owner: str | None) -> None:
    """Bytecode belongs to its source's owner; a top-level name that two distributions share tells nothing."""
    assert OWNERS.of(path) == owner


def test_claims_count_beside_what_is_recorded() -> None:
    """A RECORD that lists a missing file below a name claims that name, alone or against another."""
    owners = Owners({"a/x": "one"}, {"a": frozenset({"two"}), "b": frozenset({"two"})})
    assert (owners.of("a/x"), owners.of("a/y"), owners.of("b/y")) == ("one", None, "two")


def test_bytecode_is_found_from_its_source_and_back() -> None:
    """Whatever the folder; what is no bytecode is its own source."""
    target = Target("3.12")
    for source in ("a/b.py", "b.py"):
        assert is_cached(bytecode_of(source, target)) and source_of(bytecode_of(source, target)) == source
    assert bytecode_of("a/b.py", target) == "a/__pycache__/b.cpython-312.pyc"
    for path in ("a/b.so", "a/b.pyc", "a__pycache__/b.pyc", "a/__pycache__/b.so"):
        assert not is_cached(path)
    assert (source_of("a/b.so"), source_of("a/b.pyc")) == ("a/b.so", "a/b.py")
