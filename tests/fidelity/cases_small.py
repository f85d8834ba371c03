"""Small distributions: quick enough for every run."""

from __future__ import annotations

import os
import pickle
from typing import Any

from case import Case


def jinja2() -> Any:
    from jinja2 import DictLoader, Environment, PackageLoader
    from jinja2.ext import babel_extract

    environment = Environment(loader=DictLoader({"a": "{% for x in y %}{{ x|title }} {% endfor %}"}))
    loader = PackageLoader("jinja2", ".")
    try:
        environment.from_string("{{ a.b.c }}").render()
    except Exception as error:
        said = str(error)
    return [
        environment.get_template("a").render(y=["b", "c"]),
        said,
        callable(babel_extract),
        [name for name in loader.list_templates() if "/" not in name],
        len(loader.get_source(environment, "defaults.py")[0]),
        environment.overlay(loader=loader).list_templates() == loader.list_templates(),
    ]


def click() -> Any:
    import click
    from click.testing import CliRunner

    @click.command()
    @click.option("--name", default="x")
    def hello(name: str) -> None:
        click.echo(f"hello {name}")

    return [CliRunner().invoke(hello, ["--name", "y"]).output, CliRunner().invoke(hello, ["--help"]).output]


def requests() -> Any:
    import requests

    request = requests.Request("GET", "http://localhost/a", params={"b": "ü"}).prepare()
    session = requests.Session()
    try:
        session.get("http://127.0.0.1:9/", timeout=1)
    except requests.ConnectionError as error:
        failed = type(error).__name__
    return [
        request.url,
        sorted(session.adapters),
        failed,
        requests.certs.where(),
        requests.utils.DEFAULT_CA_BUNDLE_PATH,
    ]


def certifi() -> Any:
    import ssl

    import certifi

    context = ssl.create_default_context(cafile=certifi.where())  # OpenSSL opens it
    return [certifi.where(), len(certifi.contents()), context.cert_store_stats()]


def yaml() -> Any:
    import yaml

    text = "a: [1, 2, {b: 2001-01-01}]\n"
    return [
        str(yaml.safe_load(text)),
        str(yaml.load(text, yaml.CSafeLoader)),
        yaml.__with_libyaml__,
        yaml.dump({"a": 1}),
    ]


def pytz() -> Any:
    from datetime import datetime

    import pytz

    zones = ["Europe/Berlin", "America/New_York", "Asia/Kolkata"]
    moment = datetime(2024, 7, 1, 12)
    return [
        [pytz.timezone(zone).localize(moment).isoformat() for zone in zones],
        len(pytz.all_timezones),
        pytz.country_names["de"],
        len(pytz.open_resource("zone.tab").read()),
        str(pickle.loads(pickle.dumps(pytz.timezone(zones[0])))),
    ]


def msgpack() -> Any:
    import msgpack

    return [msgpack.unpackb(msgpack.packb({"a": [1, 2.5, None]})), msgpack.Packer.__module__]


def orjson() -> Any:
    import orjson

    return [orjson.dumps({"a": [1, 2.5]}).decode(), orjson.loads(b"[1]")]


def rich() -> Any:
    import io

    from rich.console import Console
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.traceback import Traceback

    console = Console(file=io.StringIO(), width=400, color_system=None)
    table = Table("a", "b")
    table.add_row("1", ":smile:")
    console.print(table)
    console.print(Syntax("def f(): pass", "python"))
    try:
        Console(width="no").print("x")  # type: ignore[arg-type]
    except Exception:
        console.print(Traceback(show_locals=False))
    return console.file.getvalue()  # type: ignore[attr-defined]


def websockets() -> Any:
    import asyncio

    import websockets
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    async def echo() -> Any:
        async with serve(lambda socket: socket.send("hello"), "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as client:
                return await client.recv()

    return [asyncio.run(echo()), websockets.speedups is not None if hasattr(websockets, "speedups") else None]


def jsonschema() -> Any:
    import jsonschema
    from jsonschema import Draft202012Validator, validators

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    return [
        [error.message for error in Draft202012Validator(schema).iter_errors({"a": "x"})],
        Draft202012Validator.check_schema(schema),
        validators.validator_for({"$schema": "http://json-schema.org/draft-07/schema#"}).__name__,
        os.path.basename(jsonschema.__file__),
    ]


def _by_value(pickler: Any) -> Any:
    import yaml
    from click.testing import CliRunner

    def both(text: str) -> Any:
        return yaml.safe_load(text), CliRunner().charset

    return [pickle.loads(pickler(both))("[1]"), len(pickler(yaml.safe_load)) > 20]


def cloudpickle() -> Any:
    import cloudpickle
    import yaml

    by_reference = _by_value(cloudpickle.dumps)
    cloudpickle.register_pickle_by_value(yaml)
    by_value = cloudpickle.dumps(yaml.safe_load)
    return [
        by_reference,
        pickle.loads(by_value)("{a: 1}"),
        len(by_value) > 1000,
    ]


def dill() -> Any:
    import dill
    import dill.source
    import yaml

    settings = dill.dumps(yaml.safe_load, byref=False, recurse=True)
    return [_by_value(dill.dumps), dill.loads(settings)("[2]"), dill.source.getsource(yaml.safe_load)[:60]]


CASES = (
    Case(
        "cloudpickle==3.1.2",
        ("cloudpickle", "cloudpickle.cloudpickle_fast"),
        cloudpickle,
        {"3.15-lazy": "it cannot pickle a function by value whose module has lazy imports"},
    ),
    Case(
        "dill==0.4.1",
        ("dill", "dill.source", "dill.detect"),
        dill,
        dict.fromkeys(("3.15", "3.15-lazy"), "it reads code.co_lnotab, which Python 3.15 has not"),
    ),
    Case("jinja2==3.1.6", ("jinja2", "jinja2.sandbox", "jinja2.ext", "jinja2.nativetypes"), jinja2),
    Case("click==8.5.1", ("click", "click.testing", "click.shell_completion"), click),
    Case(
        "requests==2.34.2",
        ("requests", "requests.adapters", "urllib3", "idna", "charset_normalizer"),
        requests,
    ),
    Case("certifi==2026.10.18", ("certifi",), certifi),
    Case("pyyaml==6.0.4", ("yaml", "yaml.cyaml", "_yaml"), yaml),
    Case("pytz==2026.6", ("pytz", "pytz.tzinfo", "pytz.reference"), pytz),
    Case("msgpack==1.2.4", ("msgpack", "msgpack._cmsgpack", "msgpack.fallback"), msgpack),
    Case("orjson==3.13.0", ("orjson", "orjson.orjson"), orjson),
    Case("rich==15.0.0", ("rich", "rich.console", "rich.progress", "pygments", "markdown_it"), rich),
    Case("websockets==17.4", ("websockets", "websockets.asyncio.client", "websockets.speedups"), websockets),
    Case(
        "jsonschema==4.26.0",
        ("jsonschema", "jsonschema_specifications", "referencing", "rpds", "attrs", "attr"),
        jsonschema,
    ),
)
