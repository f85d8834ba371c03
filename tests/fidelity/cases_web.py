"""What web services and workers are made of: many of them compiled."""

from __future__ import annotations

import pickle
from typing import Any

from case import Case


def pydantic() -> Any:
    import pydantic

    class Model(pydantic.BaseModel):
        a: int
        b: list[float] = []

    try:
        Model(a="x")  # type: ignore[arg-type]
    except pydantic.ValidationError as error:
        said = error.errors(include_url=False)
    return [
        Model(a="1").model_dump_json(),
        str(said),
        Model.model_json_schema(),
        pydantic.version.version_short(),
    ]  # type: ignore[arg-type]


def lxml() -> Any:
    import lxml.html
    from lxml import etree, isoschematron

    root = etree.fromstring("<a><b c='1'>x</b></a>")
    schema = isoschematron.Schematron(  # reads its own style sheets
        etree.XML(
            '<schema xmlns="http://purl.oclc.org/dsdl/schematron"><pattern id="p"><rule context="a">'
            '<assert test="b">no b</assert></rule></pattern></schema>'
        )
    )
    return [
        root.xpath("//b/@c"),
        schema.validate(root),
        lxml.html.fromstring("<p>x<br>y").text_content(),
        etree.LIBXML_VERSION,
    ]


def cryptography() -> Any:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"x")
    key = Fernet(b"A" * 43 + b"=")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return [digest.finalize().hex(), key.decrypt(key.encrypt(b"secret")).decode(), public.decode()]


def pillow() -> Any:
    import io

    from PIL import Image, ImageDraw, ImageFont, features

    image = Image.new("RGB", (64, 32), "white")
    ImageDraw.Draw(image).text((2, 2), "hello", fill="black", font=ImageFont.load_default(12))
    saved = {}
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        stream = io.BytesIO()
        image.save(stream, kind)
        saved[kind] = Image.open(io.BytesIO(stream.getvalue())).size
    return [
        saved,
        sorted(Image.registered_extensions()),
        image.tobytes()[:99].hex(),
        features.get_supported(),
    ]


def sqlalchemy() -> Any:
    import sqlalchemy as sa
    from sqlalchemy.dialects import registry
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "rows"
        id = mapped_column(sa.Integer, primary_key=True)
        name = mapped_column(sa.String)

    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Row(name="x"))
        session.commit()
        found = session.scalars(sa.select(Row.name)).all()
    return [
        list(found),
        registry.load("postgresql.psycopg2").__name__,
        sa.util.has_compiled_ext() if hasattr(sa.util, "has_compiled_ext") else None,
    ]


def aiohttp() -> Any:
    import asyncio

    from aiohttp import ClientSession, web

    async def fetch() -> Any:
        async def hello(request: Any) -> Any:
            return web.json_response({"path": request.path})

        application = web.Application()
        application.router.add_get("/{name}", hello)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/x") as response:
                return await response.json()
        finally:
            await runner.cleanup()

    return asyncio.run(fetch())


def psycopg2() -> Any:
    import psycopg2
    from psycopg2 import errorcodes, sql

    try:
        psycopg2.connect("host=127.0.0.1 port=9 connect_timeout=1")
    except psycopg2.OperationalError as error:
        said = str(error)
    return [
        said,
        errorcodes.lookup("23505"),
        repr(sql.SQL("select {}").format(sql.Identifier("x"))),
        psycopg2.__libpq_version__,
    ]


def nacl() -> Any:
    from nacl import hash as hashing
    from nacl.encoding import HexEncoder
    from nacl.secret import SecretBox
    from nacl.signing import SigningKey

    box = SecretBox(b"k" * 32)
    signed = SigningKey(b"s" * 32).sign(b"x", encoder=HexEncoder)
    return [hashing.sha256(b"x").decode(), box.decrypt(box.encrypt(b"y")).decode(), signed.decode()]


def bcrypt() -> Any:
    import bcrypt

    return [bcrypt.hashpw(b"x", b"$2b$04$abcdefghijklmnopqrstuu").decode()]


def babel() -> Any:
    from datetime import date

    from babel import Locale, localedata
    from babel.dates import format_date, get_timezone_name
    from babel.numbers import format_currency

    return [
        format_date(date(2024, 2, 29), "full", "de"),
        format_currency(1234.5, "EUR", locale="fr_FR"),
        len(localedata.locale_identifiers()),
        Locale("ja").get_display_name("en"),
        get_timezone_name("Europe/Berlin", locale="pt_BR") if get_timezone_name else None,
        pickle.loads(pickle.dumps(Locale("sv"))).english_name,
    ]


def botocore() -> Any:
    import botocore.session

    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    client = session.create_client("sqs", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
    return [
        len(session.get_available_services()),
        loader.search_paths[0],
        loader.list_available_services("paginators-1")[:20],
        client.meta.endpoint_url,
        session.get_available_regions("s3")[:5],
        client.can_paginate("list_queues"),
    ]


def boto3() -> Any:
    import boto3

    resource = boto3.resource("s3", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
    url = resource.meta.client.meta.endpoint_url
    return [
        url,
        boto3.Session().get_available_resources(),
        resource.Bucket("b").Object("k").key,
        boto3.resource.__doc__,
    ]


def setuptools() -> Any:
    import warnings

    warnings.simplefilter("ignore")
    import pkg_resources

    found = pkg_resources.get_distribution("babel")
    return [
        sorted(str(one) for one in pkg_resources.working_set),
        found.location,
        [str(one) for one in pkg_resources.require("sqlalchemy")],
        pkg_resources.resource_exists("babel", "global.dat"),
        len(pkg_resources.resource_string("botocore", "data/endpoints.json")),
        pkg_resources.resource_filename("lxml", "isoschematron/resources"),
        pkg_resources.resource_isdir("lxml", "isoschematron/resources"),
        sorted(pkg_resources.resource_listdir("lxml", "isoschematron")),
        sorted(map(str, pkg_resources.iter_entry_points("babel.extractors"))),
        found.has_metadata("entry_points.txt"),
        type(pkg_resources.get_provider("babel")).__name__,
    ]


def regex() -> Any:
    import regex

    return [
        regex.findall(r"\p{Lu}\w+", "Äpfel und Birnen"),
        regex.sub(r"(?<n>a){e<=1}", "b", "cat"),
        pickle.loads(pickle.dumps(regex.compile("a+"))).pattern,
    ]


CASES = (
    Case(
        "pydantic==2.14.3",
        ("pydantic", "pydantic.networks", "pydantic.v1", "pydantic_core", "annotated_types"),
        pydantic,
    ),
    Case("lxml==6.1.3", ("lxml", "lxml.etree", "lxml.objectify", "lxml.html", "lxml.isoschematron"), lxml),
    Case(
        "cryptography==50.0.2",
        ("cryptography", "cryptography.x509", "cryptography.hazmat.bindings._rust"),
        cryptography,
    ),
    Case(
        "pillow==13.0.0", ("PIL", "PIL.Image", "PIL._imaging", "PIL.ImageFont", "PIL.PngImagePlugin"), pillow
    ),
    Case(
        "sqlalchemy==2.1.9",
        ("sqlalchemy", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql", "sqlalchemy.ext.automap"),
        sqlalchemy,
    ),
    Case(
        "aiohttp==3.14.5", ("aiohttp", "aiohttp.web", "multidict", "yarl", "frozenlist", "propcache"), aiohttp
    ),
    Case("psycopg2-binary==2.9.13", ("psycopg2", "psycopg2.extras", "psycopg2.pool"), psycopg2),
    Case("pynacl==1.6.2", ("nacl", "nacl.bindings", "nacl.public", "cffi"), nacl),
    Case("bcrypt==5.0.0", ("bcrypt", "bcrypt._bcrypt"), bcrypt),
    Case("babel==2.18.0", ("babel", "babel.dates", "babel.messages.frontend"), babel),
    Case(
        "botocore==1.44.5",
        ("botocore", "botocore.session", "botocore.auth", "jmespath", "dateutil"),
        botocore,
    ),
    Case("boto3==1.44.5", ("boto3", "boto3.dynamodb.conditions", "s3transfer"), boto3),
    Case(
        "setuptools==79.0.1",
        ("setuptools", "pkg_resources", "setuptools.dist", "_distutils_hack"),
        setuptools,
    ),
    Case("regex==2026.11.15", ("regex",), regex),
)
