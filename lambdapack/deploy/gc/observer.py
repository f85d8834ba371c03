"""What functions, versions and layers there are in a region, and which packs they name. Only reads."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lambdapack.deploy.aws import Clients, naming
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.deploy.gc.models import LATEST, KnownLayer, KnownVersion
from lambdapack.errors import ConfigurationError
from lambdapack.store.aws_errors import code_of

_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# 404 alone is what a stand-in for AWS answers to a call that the stand-in has not.
_ABSENT = frozenset({"ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException", "404"})
_NUMBER = re.compile(r"\d+")

Beat = Callable[[], None]


def versions(clients: Clients, ignored: Collection[str], beat: Beat) -> Iterator[KnownVersion]:
    """All versions of all functions in the region, ``$LATEST`` among them, but for ``ignored`` functions.

    Raises:
        LambdapackError: AWS could not be asked: then nobody knows what is needed.
    """
    with errors_of_aws(f"listing the functions in {clients.region}", action="lambda:ListFunctions"):
        pages = clients["lambda"].get_paginator("list_functions").paginate(FunctionVersion="ALL")
        for page in pages:
            beat()
            for item in page["Functions"]:
                if item["FunctionName"] not in ignored:
                    yield _version(item, clients.region)


def _version(item: Mapping[str, Any], region: str) -> KnownVersion:
    description = str(item.get("Description") or "")
    environment = item.get("Environment") or {}
    # Our own variables, those that an exported stack sets, and whatever else names a pack.
    texts = [description, *map(str, environment.get("Variables", {}).values())]
    return KnownVersion(
        region=region,
        function=str(item["FunctionName"]),
        number=str(item.get("Version", LATEST)),
        arn=str(item["FunctionArn"]),
        modified=_seconds(item.get("LastModified")),
        ids=frozenset(name for text in texts for name in _ID.findall(text)),
        code=_hex(str(item.get("CodeSha256", ""))),
        layers=frozenset(str(layer["Arn"]) for layer in item.get("Layers") or ()),
        ours=naming.pack_of(description) is not None,
        readable=not environment.get("Error"),
    )


def _hex(base64_digest: str) -> str:
    try:
        return base64.b64decode(base64_digest, validate=True).hex()
    except binascii.Error:
        return ""


def _seconds(moment: str | None) -> float:
    """``2026-01-31T12:00:00.000+0000`` in seconds since 1970; 0 where Lambda says nothing."""
    if not moment:
        return 0.0
    # datetime.fromisoformat takes +0000 and Z from Python 3.11 on.
    text = re.sub(r"([+-]\d\d)(\d\d)\Z", r"\1:\2", moment.replace("Z", "+00:00"))
    return datetime.fromisoformat(text).timestamp()


def held(names: Iterable[str], clients: Clients) -> dict[str, str]:
    """Why versions of these functions must stay: ARN of the version -> what else relies on the version."""
    found: dict[str, str] = {}
    sources = _event_sources(clients)
    for name in names:
        arn, aliases = _aliases(name, clients)
        for number, why in (*aliases, *_provisioned(name, clients)):
            found[f"{arn}:{number}"] = why
    return sources | found


def _aliases(name: str, clients: Clients) -> tuple[str, list[tuple[str, str]]]:
    """The function's ARN, and each version that an alias sends calls to; nothing for no such function."""
    pairs = []
    arn = ""
    for page in _pages(clients, "list_aliases", f"the aliases of {name}", FunctionName=name):
        for alias in page["Aliases"]:
            arn = str(alias["AliasArn"]).rpartition(":")[0]
            weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            numbers = [str(alias["FunctionVersion"]), *map(str, weights)]
            pairs += [(number, f"the alias {alias['Name']} sends calls to it") for number in numbers]
    return arn, pairs


def _provisioned(name: str, clients: Clients) -> Iterator[tuple[str, str]]:
    pages = _pages(
        clients,
        "list_provisioned_concurrency_configs",
        f"the provisioned concurrency of {name}",
        FunctionName=name,
    )
    for page in pages:
        for config in page.get("ProvisionedConcurrencyConfigs", ()):
            number = str(config["FunctionArn"]).rpartition(":")[2]
            if _NUMBER.fullmatch(number):
                yield number, "it has provisioned concurrency"


def _event_sources(clients: Clients) -> dict[str, str]:
    found = {}
    for page in _pages(clients, "list_event_source_mappings", "the event sources"):
        for mapping in page["EventSourceMappings"]:
            arn = str(mapping.get("FunctionArn", ""))
            if _NUMBER.fullmatch(arn.rpartition(":")[2]):
                found[arn] = "an event source calls it"
    return found


def invokers(version: KnownVersion, clients: Clients) -> bool:
    """Whether others were given the right to call this very version."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    doing = f"reading who may call {version.name}"
    with errors_of_aws(doing, action="lambda:GetPolicy", resource=version.arn):
        try:
            answer = clients["lambda"].get_policy(FunctionName=version.function, Qualifier=version.number)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return False
            raise
    statements = json.loads(answer.get("Policy") or "{}").get("Statement", [])
    return any(str(each.get("Resource", "")).endswith(f":{version.number}") for each in statements)


def layers(clients: Clients, beat: Beat) -> Iterator[KnownLayer]:
    """The layers in the region that deployments made, with all their versions."""
    for page in _pages(clients, "list_layers", "the layers"):
        beat()
        for layer in page["Layers"]:
            if naming.is_layer_of_ours(str(layer["LayerArn"])):
                yield from _layer_versions(str(layer["LayerName"]), clients, beat)


def _layer_versions(name: str, clients: Clients, beat: Beat) -> Iterator[KnownLayer]:
    for page in _pages(clients, "list_layer_versions", f"the layer {name}", LayerName=name):
        for item in page["LayerVersions"]:
            beat()
            number = int(item["Version"])
            size, shared = _layer_details(name, number, clients)
            arn = str(item["LayerVersionArn"])
            yield KnownLayer(clients.region, name, number, arn, size, _seconds(item["CreatedDate"]), shared)


def _layer_details(name: str, number: int, clients: Clients) -> tuple[int, bool]:
    """The size in bytes of a version of a layer, and whether others may use the version."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    which = {"LayerName": name, "VersionNumber": number}
    with errors_of_aws(f"looking at the layer {name}", action="lambda:GetLayerVersion", resource=name):
        answer = clients["lambda"].get_layer_version(**which)
    size = int(answer.get("Content", {}).get("CodeSize", 0))
    with errors_of_aws(f"looking at the layer {name}", action="lambda:GetLayerVersionPolicy", resource=name):
        try:
            clients["lambda"].get_layer_version_policy(**which)
        except ClientError as error:
            if code_of(error) in _ABSENT:
                return size, False
            raise
    return size, True


def _pages(clients: Clients, operation: str, what: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """All pages of a list; none where AWS has no such function."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    action = "lambda:" + "".join(part.capitalize() for part in operation.split("_"))
    with errors_of_aws(f"listing {what} in {clients.region}", action=action):
        try:
            yield from clients["lambda"].get_paginator(operation).paginate(**parameters)
        except ClientError as error:
            if code_of(error) not in _ABSENT:
                raise


def builds(folders: Iterable[Path]) -> frozenset[str]:
    """The ids of all packs that were built into these folders, as file names and reports give them.

    Raises:
        ConfigurationError: A folder cannot be read.
    """
    found: set[str] = set()
    for folder in folders:
        try:
            for path in sorted(folder.rglob("*")):
                found.update(_ID.findall(path.name))
                if path.suffix == ".json" and not path.name.endswith(".index.json"):
                    found.update(_ID.findall(path.read_text("utf-8", errors="replace")))
        except OSError as error:
            raise ConfigurationError(
                f"reading the builds in {folder}: {error.strerror}", hint="mend --builds"
            ) from error
    return frozenset(found)
