"""lambdapack.toml: what it may hold, and what is said when it holds something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.config import model as config
from lambdapack.config.assets import AssetTable
from lambdapack.errors import ConfigurationError
from lambdapack.model import Caller, FunctionSettings, SecretReference

ROOT = Path(__file__).parents[2]


def _mistakes(tmp_path: Path, text: str, name: str = "lambdapack.toml") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        config.load(path)
    return caught.value.message


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    """One run names every wrong key, its table, what was expected and what was there."""
    message = _mistakes(
        tmp_path,
        """
        [build]
        arch = "arm"
        requirements = "spacy"
        [pack]
        level = 23
        [function]
        tmp = 100
        """,
    )
    assert message.startswith(f"4 mistakes in {tmp_path / 'lambdapack.toml'}:")
    assert """[build] arch: expected "x86_64" or "arm64", not 'arm'""" in message
    assert "[build] requirements: expected a list of requirements" in message
    assert "[pack] level: expected an integer from 1 to 22, not 23" in message
    assert "[function] tmp: expected an integer from 512 to 10240, not 100" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[build]\npyton = "3.12"', "[build] pyton: unknown key; did you mean python?"),
        ("[fuction]\na = 1", "[fuction]: unknown table; did you mean function?"),
        ("[zzzzz]\na = 1", "[zzzzz]: unknown table; expected one of build, slim"),
        ("build = 3", "[build]: expected a table, not 3"),
        ('[trace]\ncode = "x"\nhandler = "a.b"', "[trace] code: expected either code or handler, not both"),
        ('[trace]\nevent = "e.json"', "[trace] event: expected a handler to call with it"),
        ('[trace]\nevents = ["e.json"]', "[trace] events: expected a handler to call with it"),
        ("[traffic]\ncold = 2", "[traffic] cold: expected a number from 0 to 1"),
        (
            "[traffic]\ninvocations = inf\nduration = 1",
            "[traffic] invocations: expected a number above 0, up to",
        ),
        ("[traffic]\nduration = 900001", "[traffic] duration: expected a number above 0, up to 900000"),
        ("[traffic]\ninvocations = 0", "[traffic] invocations: expected a number above 0"),
        ("[traffic]\ncold = 0.5", "[traffic] invocations: expected a number above 0 in the table"),
        ("[traffic]\nduration = 5", "[traffic] invocations: expected a number above 0 beside duration"),
        ("[traffic]\ninvocations = 5", "[traffic] duration: expected a number above 0 beside invocations"),
        ("[function.environment]\nA = 1", "[function] environment: expected a table of texts, not 1"),
        (
            "[function]\nlog_retention = 2",
            "[function] log_retention: expected 1, 3, 5, 7, 14, 30, 60, 90, 120",
        ),
        (
            '[function]\nkms-key = "alias/mine"',
            '[function] kms_key: expected "arn:aws:kms:REGION:ACCOUNT:key/ID"',
        ),
        ('[function]\ndead-letter = "queue"', "[function] dead_letter: expected"),
        (
            '[function]\nlayers = ["arn:aws:lambda:eu-west-1:123456789012:layer:a"]',
            "[function] layers: expected",
        ),
        ('[function.secrets]\nTOKEN = "hush"', "[function] secrets: expected a table of texts, each"),
        ('[function]\ncallers = [{principal = "s3.amazonaws.com"}]', "for a service or"),
        ('[function]\ncallers = [{principal = "*"}]', "[function] callers: expected a list of tables"),
        ('[function]\ncallers = [{principal = "1", sourcearn = "x"}]', "[function] callers: expected a list"),
        ("[function]\nprovisioned = -1", "[function] provisioned: expected an integer from 0"),
        ("[slim]\nstrip = 1", "[slim] strip: expected true or false, not 1"),
        ('[assets]\n"a b" = "x"', "[assets] a b: expected a name of 1 to 64 letters"),
        ("[assets]\nmodel = 3", "[assets] model: expected a path, or a table with a path, not 3"),
        ('[assets.model]\nfetch = "use"', "[assets] model: expected a path in the table"),
        ('[assets.model]\npath = "x"\nfetc = "use"', "[assets] model.fetc: unknown key; did you mean fetch?"),
        ('[assets.model]\npath = "x"\nfetch = "now"', '[assets] model.fetch: expected "start" or "use"'),
        ("assets = 3", "[assets] expected a table of names and paths, not 3"),
        (
            '[budget]\ngrowth = "much"',
            "[budget] growth: expected megabytes (1,000,000 bytes), a number from 0",
        ),
        ("[budget]\ngrowth = -1", "[budget] growth: expected megabytes"),
        ("[budget]\ngrowth = true", "[budget] growth: expected megabytes"),
        ('[budget]\ngrowth = "nan%"', "[budget] growth: expected megabytes"),
        ('[store]\nlocation = "bucket"', '[store] location: expected "s3://BUCKET/PREFIX"'),
    ],
)
def test_a_mistake_names_the_nearest_key_or_what_is_expected(tmp_path: Path, text: str, said: str) -> None:
    """A typo is answered with the key that was meant; a wrong value with what may be there."""
    assert said in _mistakes(tmp_path, text)


@pytest.mark.parametrize("table", [name for name in config.Config.model_fields if name != "assets"])
def test_a_wrong_value_of_any_key_is_a_mistake(tmp_path: Path, table: str) -> None:
    """However the key is spelled: with hyphens or with underscores."""
    section = config.Config.model_fields[table].annotation
    assert section is not None
    for name in section.model_fields:
        for key in {name, name.replace("_", "-")}:
            said = _mistakes(tmp_path, f"[{table}]\n{key} = 1979-05-27\n")
            assert f"[{table}]" in said and "expected" in said, key


def test_mistakes_in_pyproject_name_its_table(tmp_path: Path) -> None:
    """In pyproject.toml the table is [tool.lambdapack.…], and messages say so."""
    message = _mistakes(tmp_path, "[tool.lambdapack.pack]\nlevl = 3\n", name="pyproject.toml")
    assert "[tool.lambdapack.pack] levl: unknown key; did you mean level?" in message


def test_broken_toml_is_a_message_with_the_line(tmp_path: Path) -> None:
    """A file that is not TOML is named, with the place."""
    message = _mistakes(tmp_path, "[build\n")
    assert "is not TOML" in message
    assert "line 1" in message


def test_a_file_that_is_not_text_is_a_message(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 give a message, not a traceback."""
    path = tmp_path / "lambdapack.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        config.load(path)


def test_the_nearest_file_is_found(tmp_path: Path) -> None:
    """The search goes up; a pyproject.toml without the table is passed over."""
    (tmp_path / "lambdapack.toml").write_text("")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "pyproject.toml").write_text("[project]\nname = 'x'\ndependencies = ['lambdapack']\n")
    assert config.discover(deep) == tmp_path / "lambdapack.toml"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.lambdapack.pack]\nlevel = 3\n")
    assert config.discover(deep) == tmp_path / "a" / "pyproject.toml"
    assert config.load(tmp_path / "a" / "pyproject.toml").pack.level == 3


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    """Nothing has to be configured."""
    path = tmp_path / "lambdapack.toml"
    path.write_text("")
    loaded = config.load(path)
    assert loaded == config.Config()
    assert (loaded.function.memory, loaded.function.tmp, loaded.pack.level) == (1769, 512, 19)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_KEYS = sorted(
    {key for section in ("build", "trace", "function", "pack", "local", "assets") for key in (section,)}
)


@given(st.dictionaries(st.sampled_from(_KEYS) | st.text(), _JSON | st.dictionaries(st.text(), _JSON)))
def test_any_table_is_read_or_refused_with_a_message(table: dict[str, object]) -> None:
    """Whatever is in the file, the outcome is a configuration or a ConfigurationError."""
    try:
        config.parse(table, "lambdapack.toml")
    except ConfigurationError as error:
        assert "lambdapack.toml" in error.message


def test_every_field_is_documented() -> None:
    """Every key has a meaning and says what it expects."""
    sections = {name: section.annotation for name, section in config.Config.model_fields.items()}
    sections["assets"] = AssetTable
    for name, section in sections.items():
        for key, field in section.model_fields.items():  # type: ignore[union-attr]
            assert field.description, f"[{name}] {key}"
            assert field.json_schema_extra["expected"], f"[{name}] {key}"  # type: ignore[index]


def test_the_page_is_the_models() -> None:
    """docs/configuration.md is what `python -m lambdapack.config` prints."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == config.document(), "run: python -m lambdapack.config > docs/configuration.md"


@pytest.mark.parametrize("name", ["spacy", "sklearn-pandas", "torch"])
def test_the_examples_are_valid(name: str) -> None:
    """Each example's configuration is read without a mistake."""
    loaded = config.load(ROOT / "examples" / name / "lambdapack.toml")
    assert loaded.build.requirements


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("2.5", 2.5), ('"10%"', "10%"), ('"7.5 %"', "7.5 %")])
def test_growth_is_megabytes_or_percent(tmp_path: Path, text: str, value: float | str) -> None:
    """A number, or a text that ends in %; none at all may be wanted."""
    path = tmp_path / "lambdapack.toml"
    path.write_text(f"[budget]\ngrowth = {text}\n")
    assert config.load(path).budget.growth == value


def test_a_key_may_be_written_with_hyphens() -> None:
    """As in other tools' tables; twice, once each way, is a mistake."""
    table = {"build": {"system-packages": ["libpq-devel"]}, "function": {"environment": {"A-B": "c"}}}
    read = config.parse(table, "lambdapack.toml")
    assert read.build.system_packages == ["libpq-devel"]
    assert read.function.environment == {"A-B": "c"}
    dashed = {"build": {"runtime-provided": True}, "function": {"snap-start": True}}
    for table in (dashed, {"build": {"runtime_provided": True}, "function": {"snap_start": True}}):
        read = config.parse(table, "lambdapack.toml")
        assert read.build.runtime_provided and read.function.settings.snap_start
    twice = {"build": {"system-packages": ["a"], "system_packages": ["b"]}}
    with pytest.raises(ConfigurationError, match="unknown key"):
        config.parse(twice, "lambdapack.toml")


def test_a_snapshot_of_everything_is_for_snap_start() -> None:
    """Without snap-start the setting would do nothing, and would not be missed."""
    table = {"function": {"snapshot": "all"}}
    with pytest.raises(ConfigurationError, match=r"\[function\] snapshot: expected snap-start = true"):
        config.parse(table, "lambdapack.toml")
    settings = config.parse({"function": {"snapshot": "all", "snap-start": True}}, "x").function.settings
    assert (settings.snap_start, settings.snapshot) == (True, "all")


def test_settings_of_aws_are_read_with_hyphens(tmp_path: Path) -> None:
    """As FunctionSettings has them; what the file leaves out is left as it is."""
    path = tmp_path / "lambdapack.toml"
    path.write_text(
        """
        [function]
        kms-key = ""
        dead-letter = "arn:aws:sqs:eu-west-1:123456789012:failed"
        tracing = true
        reserved-concurrency = 0
        provisioned = 2
        log-format = "json"
        log-level = "DEBUG"
        layers = ["arn:aws:lambda:eu-west-1:123456789012:layer:a:3"]
        tags = {team = "a"}
        callers = [
            {principal = "s3.amazonaws.com", source-arn = "arn:aws:s3:::uploads"},
            {principal = "123456789012"},
        ]
        [function.secrets]
        TOKEN = "ssm:/demo/token"
        """,
        encoding="utf-8",
    )
    settings = config.load(path).function.settings
    assert settings == FunctionSettings(
        kms_key="", dead_letter="arn:aws:sqs:eu-west-1:123456789012:failed", tracing=True,
        reserved_concurrency=0, provisioned=2, log_format="json", log_level="DEBUG",
        layers=("arn:aws:lambda:eu-west-1:123456789012:layer:a:3",), tags={"team": "a"},
        callers=(Caller("s3.amazonaws.com", "arn:aws:s3:::uploads"), Caller("123456789012")),
        secrets={"TOKEN": SecretReference("ssm", "/demo/token")},
    )  # fmt: skip
    path.write_text("[function]\n", encoding="utf-8")
    assert config.load(path).function.settings == FunctionSettings()


def test_a_value_among_the_secrets_is_not_repeated(tmp_path: Path) -> None:
    """Whoever wrote the secret itself where its reference belongs does not read the value in a log."""
    message = _mistakes(tmp_path, '[function.secrets]\nTOKEN = "hush"\nOTHER = 7\n')
    assert '"ssm:NAME"' in message and "hush" not in message
