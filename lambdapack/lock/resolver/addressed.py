"""Packages that the metadata of others names by an address: no index has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements import direct
from lambdapack.lock.resolver.solution import Candidate
from lambdapack.lock.sources.prepare import Preparer
from lambdapack.model import PipOptions


def prepare_addressed(
    candidates: Sequence[Candidate], preparer: Preparer
) -> tuple[tuple[Candidate, ...], PipOptions]:
    """Fetch or build the candidates that are known by an address.

    Returns:
        All candidates, with the wheels that are installed; pip's options for the pages that link to those.

    Raises:
        LambdapackError: There is nothing at an address that could be installed.
    """
    complete, pages = [], []
    for candidate in candidates:
        if candidate.url:
            wheel = preparer.prepare(_reference(candidate))
            pages.append(wheel.page)
            known = replace(candidate, version=wheel.version, filename=wheel.filename, hash=wheel.hash)
            complete.append(known)
        else:
            complete.append(candidate)
    return tuple(complete), PipOptions.find_links(*pages)


def _reference(candidate: Candidate) -> direct.DirectReference:
    who = ", ".join(candidate.parents) or "a requirement"
    origin = f"{who} needs {candidate.name} @ {direct.shown(candidate.url)}"
    try:
        return direct.parse(f"{candidate.name} @ {candidate.url}", (), Path(), origin)
    except ValueError as error:
        raise ConfigurationError(
            f"{origin}: {error}",
            hint="name a wheel or a folder of it yourself: lambdapack build ... "
            f"'{candidate.name} @ file:///...'",
        ) from None
