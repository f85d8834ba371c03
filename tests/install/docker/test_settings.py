"""lambdapack.install.docker.settings: which of pip's settings reach the container."""

from __future__ import annotations

from pathlib import Path

from lambdapack.install.docker import settings
from lambdapack.model import PipOptions


def test_variables_win_over_every_section_of_the_files(tmp_path: Path) -> None:
    """The section of a pip command would win over the global one, in which the variable is written."""
    (tmp_path / "pip.conf").write_text(
        "[global]\ntimeout = 1\nretries = 2\n[install]\ntimeout = 3\nuser = 1\n"
    )
    environment = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_TIMEOUT": "4", "HOME": str(tmp_path)}
    values = settings.read(environment=environment).values
    timeouts = {name: value for name, value in values.items() if name[1] == "timeout"}
    assert timeouts == {("global", "timeout"): "4"}
    assert values["global", "retries"] == "2"
    assert ("install", "user") not in values, "where this machine installs to is no matter of the container"


def test_passwords_are_secret_wherever_they_are(tmp_path: Path) -> None:
    """Of an address with a password, the password; of one with a user alone, the user, who may be a token."""
    environment = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "https://me:p%40ss@example.com/simple",
        "HTTPS_PROXY": "http://token@proxy",
        "HOME": str(tmp_path),
    }
    options = PipOptions((("find-links", "https://us:other@example.com/"), ("pre", "")))
    secrets = settings.read(options, environment).secrets(options)
    assert set(secrets) == {"p%40ss", "p@ss", "token", "other"}
    assert settings.masked("p%40ss p@ss token other me", secrets) == "**** **** **** **** me"
