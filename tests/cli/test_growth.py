"""why, diff and the budget of growth, over real builds of small wheels."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_github import read
from tests.support.command_line import Run, shown
from tests.support.wheelhouse import wheel

CONFIGURATION = """\
[build]
files = ["requirements.txt"]
[trace]
code = "import base"
[pack]
level = 1
[budget]
growth = "50%"
pack = 0.1
"""
BUILD = ".lambdapack/build"


def _bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="session")
def built(run_lambdapack: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was built with ``base``, and then with ``server[fast]`` as well."""
    folder = tmp_path_factory.mktemp("growing")
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel(wheels, "base", "1.0", files={"base.py": b"", "base.bin": _bytes(1, 50_000)})
    wheel(wheels, "server", "2.0", needs=["base>=1", "loop>=3; extra == 'fast'", "absent; extra == 'slow'"])
    wheel(wheels, "loop", "3.1", needs=["wheel-of-data"], files={"loop.py": b""})
    wheel(
        wheels,
        "wheel-of-data",
        "4.0",
        needs=["loop"],
        files={"heavy/__init__.py": b"", "heavy/x.bin": _bytes(2, 90_000)},
    )
    (folder / "lambdapack.toml").write_text(CONFIGURATION)
    (folder / "app.py").write_text("def handler(event, context):\n    return event\n")
    require(folder, "base")
    run_lambdapack("build", cwd=folder)
    (folder / "baseline.json").write_bytes((folder / BUILD / "build.json").read_bytes())
    require(folder, "base", "server[fast]")
    run_lambdapack("build", cwd=folder)
    return folder


def require(folder: Path, *names: str) -> None:
    """Make ``names`` the project's requirements, from its own wheels."""
    (folder / "requirements.txt").write_text("\n".join(["--no-index", "--find-links wheels", *names, ""]))


def test_why_tells_chains_bytes_and_what_would_go(run_lambdapack: Run, tiny: Path) -> None:
    """Extras and circles included: the extra's own needs go with whoever asks for the extra."""
    document = shown(run_lambdapack("why", "Wheel_of.Data", "--json", cwd=tiny))
    assert document["document"] == "lambdapack.why"
    assert document["distribution"] == {"name": "wheel-of-data", "version": "4.0"}
    assert (document["asked"], document["needed_by"]) == (False, {"loop": ""})
    assert document["chains"] == [["server[fast]", "loop", "wheel-of-data"]]
    assert [share["name"] for share in document["goes"]] == []
    assert document["sizes"]["packed"] > 90_000
    server = shown(run_lambdapack("why", "server", "--json", cwd=tiny))
    assert [share["name"] for share in server["goes"]] == ["wheel-of-data", "loop"]
    assert [share["name"] for share in server["only_asked"]] == ["base"]
    parts = (server, *server["goes"])
    assert server["saved"] == {key: sum(part["sizes"][key] for part in parts) for key in server["saved"]}
    assert run_lambdapack("why", "server", "--quiet", cwd=tiny).stdout == f"{server['saved']['packed']}\n"
    report = json.loads((tiny / BUILD / "build.json").read_text())
    assert sum(share["sizes"]["packed"] for share in report["shares"]) == report["pack"]["bytes"]
    assert sum(share["sizes"]["hot"] for share in report["shares"]) == report["pack"]["hot_bytes"]
    said = run_lambdapack("why", "base", cwd=tiny).stdout
    assert "base 1.0: you ask for it and it is needed by 1 distribution" in said
    assert "server -> base>=1" in said


def test_why_of_what_is_not_there_says_so(run_lambdapack: Run, tiny: Path) -> None:
    """A near name is offered; what was left out is said to be, and why."""
    assert "did you mean server?" in run_lambdapack("why", "sever", cwd=tiny, status=2).stderr
    said = run_lambdapack("why", "server", "--pack", "nowhere", cwd=tiny, status=2).stderr
    assert "nothing is built in nowhere" in said
    text = (tiny / "lambdapack.toml").read_text().replace("[trace]", 'exclude = ["loop"]\n[trace]')
    (tiny / "lambdapack.toml").write_text(text)
    run_lambdapack("build", cwd=tiny)
    said = run_lambdapack("why", "loop", cwd=tiny, status=2).stderr
    assert "loop is not in the pack: it was left out, as [build] exclude asks" in said


def test_diff_tells_what_came_and_who_brought_it(run_lambdapack: Run, tiny: Path) -> None:
    """Since the replaced build by default, and since a file that was kept; the other way round it went."""
    document = shown(run_lambdapack("diff", "--json", cwd=tiny))
    assert document["document"] == "lambdapack.diff"
    assert shown(run_lambdapack("diff", "baseline.json", "--json", cwd=tiny)) == document
    changes = {change["name"]: change for change in document["changes"]}
    came = {name for name, change in changes.items() if change["kind"] == "new"}
    assert came == {"server", "loop", "wheel-of-data"}
    assert {changes[name]["kind"] for name in changes.keys() - came} == {"size"}
    assert changes["wheel-of-data"]["chain"] == ["server[fast]", "loop", "wheel-of-data"]
    for key, total in document["total"].items():
        assert total == sum(change["sizes"][key] for change in changes.values())
        assert total == document["new"]["total"][key] - document["old"]["total"][key]
    back = shown(run_lambdapack("diff", BUILD, "baseline.json", "--json", cwd=tiny))
    assert {change["name"]: change["kind"] for change in back["changes"]}["loop"] == "gone"
    assert back["total"] == {key: -total for key, total in document["total"].items()}
    said = " ".join(run_lambdapack("diff", cwd=tiny, environment=[("COLUMNS", "200")]).stdout.split())
    assert "new, brought in by server[fast] -> loop" in said
    same = run_lambdapack("diff", BUILD, BUILD, cwd=tiny).stdout
    assert same.startswith("nothing changed")


def test_a_budget_that_a_new_dependency_broke_names_it_and_its_parent(
    run_lambdapack: Run, tiny: Path
) -> None:
    """Status 1, in the error and as annotations on stdout; with the earlier requirements all is well."""
    said = run_lambdapack("plan", "--check", cwd=tiny, status=1)
    assert said.stdout == ""
    assert "budget.growth is " in said.stderr
    assert re.search(
        r"wheel-of-data 4\.0 \+9\d\.\d kB \(new, brought in by server\[fast\] -> loop\)", said.stderr
    )
    done = run_lambdapack("plan", "--check", "--format", "github", cwd=tiny, status=1)
    found = {named["title"]: (level, text) for level, named, text in map(read, done.stdout.splitlines())}
    assert {title for title, (level, _) in found.items() if level == "error"} == {
        "lambdapack: budget.growth", "lambdapack: budget.pack",
    }  # fmt: skip
    for title in ("lambdapack: budget.growth", "lambdapack: budget.pack"):
        assert "(new, brought in by server[fast] -> loop)" in found[title][1]
        assert "grew: wheel-of-data 4.0 +" in found[title][1]
    assert run_lambdapack("plan", "--format", "github", "--json", cwd=tiny, status=2).stdout == ""
    require(tiny, "base")
    run_lambdapack("build", cwd=tiny)
    assert "::error" not in run_lambdapack("plan", "--check", "--format", "github", cwd=tiny).stdout
    assert "[budget] growth = 50 %; the pack was 0.1 MB" in " ".join(
        run_lambdapack("plan", cwd=tiny, environment=[("COLUMNS", "200")]).stdout.split()
    )


def test_growth_is_not_held_where_nothing_is_known(run_lambdapack: Run, tiny: Path) -> None:
    """A fresh folder has no build before: a warning says so; a build that is named has to be one."""
    (tiny / BUILD / "previous.json").unlink()
    done = run_lambdapack("plan", "--check", cwd=tiny, status=1)
    assert "[budget] growth is not checked" in done.stderr
    assert "budget.growth is" not in done.stderr
    document = shown(run_lambdapack("plan", "--json", "--against", "baseline.json", cwd=tiny, status=1))
    assert "budget.growth" in {check["name"] for check in document["checks"]}
    assert "name the earlier one" in run_lambdapack("diff", cwd=tiny, status=2).stderr
    said = run_lambdapack("plan", "--against", "lambdapack.toml", cwd=tiny, status=2).stderr
    assert "cannot read lambdapack.toml" in said


def test_a_rebuild_of_the_same_keeps_the_build_before(run_lambdapack: Run, tiny: Path) -> None:
    """What was grown by is still told after a build that changed nothing; the next change replaces the build
    that is measured from."""
    before = (tiny / BUILD / "previous.json").read_bytes()
    run_lambdapack("build", cwd=tiny)
    assert (tiny / BUILD / "previous.json").read_bytes() == before == (tiny / "baseline.json").read_bytes()
    current = (tiny / BUILD / "build.json").read_bytes()
    require(tiny, "base", "server")
    run_lambdapack("build", cwd=tiny)
    assert (tiny / BUILD / "previous.json").read_bytes() == current


def _as_an_earlier_one(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    del document["shares"]
    for distribution in document["distributions"]:
        del distribution["requires"]
    path.write_text(json.dumps(document))
    return document


def test_the_build_of_an_earlier_lambdapack_is_read_with_its_pack(run_lambdapack: Run, tiny: Path) -> None:
    """What its build.json lacks is in the pack; without the pack it is said what to do."""
    expected = shown(run_lambdapack("diff", "baseline.json", "--json", cwd=tiny))
    why = shown(run_lambdapack("why", "server", "--json", cwd=tiny))
    _as_an_earlier_one(tiny / BUILD / "build.json")
    assert shown(run_lambdapack("diff", "baseline.json", "--json", cwd=tiny)) == expected
    assert shown(run_lambdapack("why", "server", "--json", cwd=tiny)) == why
    _as_an_earlier_one(tiny / "baseline.json")
    said = run_lambdapack("diff", "baseline.json", cwd=tiny, status=2).stderr
    assert "was written by an earlier lambdapack" in said
    _as_an_earlier_one(tiny / BUILD / "previous.json")
    assert "[budget] growth is not checked" in run_lambdapack("plan", "--check", cwd=tiny, status=1).stderr
