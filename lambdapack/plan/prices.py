"""AWS's prices as data, in US dollars: what each is for, where it was read, and which could not be verified.

AWS's pages fill their tables by script, so that the figures were read in copies of what AWS publishes: its
price list, and the maps that its pages and its calculator are filled from. ``SOURCES`` has page, copy, day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import inf
from typing import Final, NamedTuple

from lambdapack import limits

__all__ = ["BASE", "REGIONS", "SOURCES", "Prices", "Tier", "of"]

BASE: Final = "us-east-1"
"""Whose prices stand for those of a region that is not here."""


class Tier(NamedTuple):
    """A price up to a quantity a month; what is above has the next tier's.

    Attributes:
        up_to: The quantity in GB-seconds, of all functions of a region, an account and an architecture.
        usd: The price of a GB-second.
    """

    up_to: float
    usd: float


@dataclass(frozen=True)
class Prices:
    """What a region charges for one architecture, in US dollars. A GB is 2**30 bytes, as AWS counts.

    Attributes:
        region, arch: Whose prices they are.
        request: One invocation.
        gb_second: A second of a GB of memory while code runs, init included, by tiers.
        tmp_gb_second: The same of a GB of /tmp above 512 MB.
        reserved_gb_second: A second of a GB that provisioned concurrency keeps ready.
        provisioned_gb_second: A second of a GB of memory while code runs there.
        cached_gb_second: A second of a GB of memory for which SnapStart keeps a version's snapshot.
        restored_gb: A GB of memory restored from a snapshot.
        s3_gb_month: A GB in S3 Standard for a month, up to 50 TB.
        s3_get: One GET.
        unverified: Field -> why its figure is not certain, for people; the other fields were verified.
    """

    region: str
    arch: str
    request: float
    gb_second: tuple[Tier, ...]
    tmp_gb_second: float
    reserved_gb_second: float
    provisioned_gb_second: float
    cached_gb_second: float
    restored_gb: float
    s3_gb_month: float
    s3_get: float
    unverified: Mapping[str, str]


_READ = date(2026, 11, 26)
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_LIST = "the price list AWSLambda as published on 2026-09-19, in copies of others"
_MAP = (
    "https://calculator.aws/pricing/2.0/meteredUnitMaps/lambda/USD/current/lambda.json in a copy of 2024 or "
    "later; us-east-1 and ap-northeast-2 agree with the price list of 2026"
)
_S3 = limits.Source(
    "https://aws.amazon.com/s3/pricing/", _READ,
    "https://b0.p.awsstatic.com/pricing/2.0/meteredUnitMaps/s3/USD/current/s3-standard.json of 2024-09-25; "
    "us-east-1, eu-central-1, ap-northeast-1 and -2 agree with the price list AmazonS3 of 2026",
)  # fmt: skip
_SNAPSHOTS = limits.Source(_LAMBDA, _READ, f"{_LIST}; us-east-1's are in the page's own example")
SOURCES: Final[Mapping[str, limits.Source]] = {
    "request": limits.Source(_LAMBDA, _READ, _LIST),
    "gb_second": limits.Source(_LAMBDA, _READ, _LIST),
    "tmp_gb_second": limits.Source(_LAMBDA, _READ, _MAP),
    "reserved_gb_second": limits.Source(_LAMBDA, _READ, _MAP),
    "provisioned_gb_second": limits.Source(_LAMBDA, _READ, _MAP),
    "cached_gb_second": _SNAPSHOTS,
    "restored_gb": _SNAPSHOTS,
    "s3_gb_month": _S3,
    "s3_get": _S3,
}
"""Field of ``Prices`` -> where its figures were read."""

_TIERS: Final = {
    "x86_64": (Tier(6e9, 0.0000166667), Tier(15e9, 0.0000150000), Tier(inf, 0.0000133334)),
    "arm64": (Tier(7.5e9, 0.0000133334), Tier(18.75e9, 0.0000120001), Tier(inf, 0.0000106667)),
}
"""The same in all regions below, as far as the first tier goes."""
_REQUEST: Final = 0.20e-6
"""The same in all regions below."""
_ARM: Final = 0.8
"""What provisioned concurrency costs on arm64, as a part of x86_64's, where both are known."""
_ARM_KNOWN: Final = ("us-east-1", "ap-northeast-2")

REGIONS: Final[Mapping[str, tuple[float, float, float, float, float]]] = {
    #  1e-6 dollars: /tmp  reserved  provisioned, dollars: S3's GB and month, 1e-6 dollars: GET
    "us-east-1": (0.0309, 4.1667, 9.7222, 0.023, 0.40),
    "us-east-2": (0.0309, 4.1667, 9.7222, 0.023, 0.40),
    "us-west-1": (0.0370, 4.9041, 11.4430, 0.026, 0.44),
    "us-west-2": (0.0309, 4.1667, 9.7222, 0.023, 0.40),
    "ca-central-1": (0.0340, 4.6460, 10.8407, 0.025, 0.44),
    "sa-east-1": (0.0586, 6.6372, 15.4867, 0.0405, 0.56),
    "eu-west-1": (0.0340, 4.6460, 10.8407, 0.023, 0.40),
    "eu-west-2": (0.0358, 4.8304, 11.2709, 0.024, 0.42),
    "eu-west-3": (0.0358, 4.8673, 11.3569, 0.024, 0.42),
    "eu-central-1": (0.0367, 5.0147, 11.7011, 0.0245, 0.43),
    "eu-north-1": (0.0323, 4.4248, 10.3245, 0.023, 0.40),
    "ap-south-1": (0.0352, 4.4985, 10.4966, 0.025, 0.40),
    "ap-northeast-1": (0.0370, 5.3835, 12.5615, 0.025, 0.37),
    "ap-northeast-2": (0.0352, 5.1254, 11.9592, 0.025, 0.35),
    "ap-northeast-3": (0.0370, 5.3835, 12.5615, 0.025, 0.37),
    "ap-southeast-1": (0.0370, 5.1991, 12.1313, 0.025, 0.40),
    "ap-southeast-2": (0.0370, 5.2360, 12.2173, 0.025, 0.44),
}
"""What differs between regions; the others have no figures here."""

_SNAP_START: Final = {
    "us-east-1": (0.0000015046, 0.0001397998),
    "ap-northeast-1": (0.0000015046, 0.0001397998),
    "ap-northeast-2": (0.0000018383, 0.0001674588),
}
"""Snapshot kept, and restored, where it could be read; the price list has one for both architectures."""


def of(region: str, arch: str) -> Prices:
    """The prices of ``region``; those of ``BASE``, with its name, where the region has none here."""
    region = region if region in REGIONS else BASE
    tmp, reserved, provisioned, stored, get = REGIONS[region]
    part = _ARM if arch == "arm64" else 1.0
    cached, restored = _SNAP_START.get(region, _SNAP_START[BASE])
    return Prices(
        region, arch, _REQUEST, _TIERS[arch], _micro(tmp), _micro(reserved * part),
        _micro(provisioned * part), cached, restored, stored, _micro(get), _unverified(region, arch),
    )  # fmt: skip


def _micro(price: float) -> float:
    """A price in 1e-6 dollars, as AWS rounds its prices: to ten digits."""
    return round(price * 1e-6, 10)


def _unverified(region: str, arch: str) -> dict[str, str]:
    found = {}
    if region != BASE:
        found["gb_second"] = f"the prices above {_TIERS[arch][0].up_to:,.0f} GB-seconds a month are {BASE}'s"
    if region not in _SNAP_START:
        found |= dict.fromkeys(("cached_gb_second", "restored_gb"), f"SnapStart's prices are {BASE}'s")
    if arch == "arm64" and region not in _ARM_KNOWN:
        words = "provisioned concurrency on arm64 is taken to cost 80 % of x86_64's, as it does elsewhere"
        found |= dict.fromkeys(("reserved_gb_second", "provisioned_gb_second"), words)
    return found
