"""A pack's id depends on the lock, the target and the options, and on nothing of the machine's state."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import Run

SURROUNDINGS = (
    (("TZ", "UTC"), ("LC_ALL", "C"), ("PYTHONHASHSEED", "0")),
    (("TZ", "Asia/Kathmandu"), ("LC_ALL", "C.UTF-8"), ("PYTHONHASHSEED", "4242"), ("HOME", "/nonexistent")),
)


def test_built_twice_in_different_surroundings_the_id_is_the_same(
    run_lambdapack: Run, tmp_path: Path
) -> None:
    """Folder, umask, time zone, locale, hash seed and home do not show in the id: native code, bytecode,
    metadata and the order of first use are all in it."""
    ids = set()
    for number, surroundings in enumerate(SURROUNDINGS):
        folder = tmp_path / ("x" * (number * 30) + "here")
        folder.mkdir()
        done = run_lambdapack(
            *(
                "build",
                "markupsafe==3.0.2",
                "jinja2==3.1.6",
                "pyyaml==6.0.2",
                "--level",
                "3",
                "--quiet",
                "--jobs",
                str(number + 1),
            ),
            cwd=folder,
            environment=surroundings,
            umask=(0o022, 0o077)[number],
        )
        ids.add(done.stdout.strip().splitlines()[-1])
    assert len(ids) == 1
    assert len(ids.pop()) == 64
