"""boto3's clients, made once and on first use."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from lambdapack import limits
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.store import patience

_ONCE = patience.once(limits.TIMEOUT_MAX + 60)
"""For calls that invoke a function."""


class Clients:
    """One client a service, from one session.

    Args:
        region: The region; by default ``AWS_REGION``, else what boto3 finds.
        arguments: Further arguments for every client, e.g. ``endpoint_url``.
        once: Make each call once, and wait as long as a function may run: a call that is made again is paid
            for again.
    """

    def __init__(
        self, region: str | None = None, *, arguments: Mapping[str, Any] | None = None, once: bool = False
    ) -> None:
        # boto3 reads AWS_DEFAULT_REGION alone (https://github.com/boto/boto3/issues/3620).
        region = region or os.environ.get("AWS_REGION") or None
        self._arguments = dict(arguments or {})
        self._clients: dict[str, Any] = {}
        self._patience = _ONCE if once else patience.CALLS
        with errors_of_aws("connecting to AWS"):
            import boto3  # noqa: PLC0415 - slow

            self._session = boto3.Session(region_name=region)

    def __getitem__(self, service: str) -> Any:
        """The client of ``service``, e.g. ``clients["lambda"]``."""
        if service not in self._clients:
            with errors_of_aws(f"connecting to AWS {service}"):
                self._clients[service] = patience.make_client(
                    self._session, service, self._patience, **self._arguments
                )
        return self._clients[service]

    def once(self) -> Clients:
        """The same, but with each call made once, and waited for as long as a function may run."""
        other = copy.copy(self)
        other._clients = {}
        other._patience = _ONCE
        return other

    @property
    def region(self) -> str:
        """The region that the clients call."""
        return str(self["lambda"].meta.region_name)
