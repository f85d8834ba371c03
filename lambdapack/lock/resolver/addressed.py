"""Packages that the metadata of others names by an address: they are on no index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements import direct
from lambdapack.lock.resolver.process import Found
from lambdapack.lock.sources.prepare import Preparer
from lambdapack.model import PipOptions

__all__ = ["addressed"]


def addressed(found: Sequence[Found], preparer: Preparer) -> tuple[tuple[Found, ...], PipOptions]:
    """Fetch or build what is ``found`` at an address.

    Returns:
        All of it, with the wheels that are installed; pip's options for the pages that link to those.

    Raises:
        LambdapackError: There is nothing at an address that could be installed.
    """
    all_of_it, pages = [], []
    for one in found:
        if one.url:
            made = preparer.prepare(_direct(one))
            one = replace(one, version=made.version, filename=made.filename, hash=made.hash)  # noqa: PLW2901
            pages.append(made.page)
        all_of_it.append(one)
    return tuple(all_of_it), PipOptions.find_links(*pages)


def _direct(found: Found) -> direct.Direct:
    who = f"{', '.join(found.parents) or 'a requirement'} needs {found.name} @ {direct.shown(found.url)}"
    try:
        return direct.parse(f"{found.name} @ {found.url}", (), Path(), who)
    except ValueError as error:
        raise ConfigurationError(
            f"{who}: {error}",
            hint=f"name a wheel or a folder of it yourself: lambdapack build ... '{found.name} @ file:///...'",
        ) from None
