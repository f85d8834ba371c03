"""Every limit of the platform. Sizes in bytes, times in seconds.

``SOURCES`` has the page of each, and the day on which it was last read. Prices are in ``plan/prices.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple


class Source(NamedTuple):
    """Where a figure comes from.

    Attributes:
        page: The address of who answers for the figure.
        read: The day on which it was last compared with the page, or with a copy.
        copy: Which copy was read, where the page itself could not be; ``""`` for a stored copy of the page.
    """

    page: str
    read: date
    copy: str = ""


class Quota(NamedTuple):
    """A limit that an account can have raised.

    Attributes:
        name: As Service Quotas names the limit.
        code: What Service Quotas finds it by.
        default: What an account has; a new one may have less.
        unit: Of the value, ``""`` for a number.
    """

    name: str
    code: str
    default: float
    unit: str


MIB: Final = 1024 * 1024
MB: Final = 1_000_000

# Lambda counts "50 MB" and "250 MB" in MiB: the error message prints 262144000 bytes.
ZIP_DIRECT_UPLOAD: Final = 50 * MIB
"""Largest zip that CreateFunction takes in the request itself; a larger one goes through S3."""
UNZIPPED: Final = 262_144_000
"""Function and layers together, unzipped."""

LAYERS: Final = 5
"""Of one function."""
LAYER_SIZE: Final = ZIP_DIRECT_UPLOAD - 64 * 1024
"""Bytes of files in a layer that one call still takes; the rest is more than a zip's own records need."""
CODE_SECONDS_PER_MB: Final = 0.006
"""What a megabyte of zip and layers adds to a cold start before init, outside Init Duration: 4 to 8 ms were
measured."""

TMP_MIN_MB: Final = 512
TMP_MAX_MB: Final = 10_240
TMP_DEFAULT_MB: Final = 512
MEMORY_MIN_MB: Final = 128
MEMORY_MAX_MB: Final = 10_240
MEMORY_PER_VCPU_MB: Final = 1_769
"""Memory that buys one vCPU."""
INIT_VCPUS: Final = 2.0
"""The vCPUs that init has at least, whatever the memory: undocumented, but measured by many."""
TIMEOUT_MAX: Final = 900
INIT_TIMEOUT: Final = 10.0
"""The init phase is killed after this and runs again inside the first invocation."""
INIT_TIMEOUT_LONG: Final = 130.0
"""The same with SnapStart, provisioned concurrency or Managed Instances, or the function's timeout where that
is longer."""
INITIALIZATION_TYPES: Final = (
    "on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances",
)  # fmt: skip
"""The kinds of start, as AWS_LAMBDA_INITIALIZATION_TYPE names them."""
RESTORE_TIMEOUT: Final = 10.0
"""A restore from a snapshot, with the hooks that run after the restore."""
SNAP_START_PYTHON: Final = (3, 12)
"""The first Python that has SnapStart."""
SNAP_START_TMP_MB: Final = 512
"""The largest /tmp that a function with SnapStart may have."""
MANAGED_PYTHON: Final = (3, 13)
"""The first Python that Managed Instances have."""
MANAGED_WORKERS: Final = 16
"""Processes that take events at the same time on a Managed Instance, for each vCPU."""
FILE_DESCRIPTORS: Final = 1_024
PROCESSES: Final = 1_024
ENVIRONMENT_VARIABLES: Final = 4 * 1024
"""All environment variables of a function together."""
TAGS: Final = 50
"""Of one function, without those of AWS."""
TAG_KEY: Final = 128
TAG_VALUE: Final = 256

LOG_RETENTION_DAYS: Final = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""The days that a log group may keep."""

ASSETS: Final = 20
"""Of one function. Each is named in the role's inline policy, of 10,240 characters."""

MANAGED_POLICY: Final = 6_144
"""Characters of a managed policy of IAM, white space not counted."""
CLOCK_SKEW: Final = 5 * 60
"""Seconds by which a clock may be wrong before AWS refuses what it signs; S3 allows 15 minutes."""

LINK_BYTES_PER_SECOND: Final = 75 * MB
"""Sustained download rate, 600 Mbit/s, measured from 128 to 3,008 MB of memory."""

S3_GET_PER_SECOND: Final = 5_500
"""Per partitioned prefix."""

ARCHITECTURES: Final = ("x86_64", "arm64")

QUOTAS: Final = (
    Quota("Concurrent executions", "L-B99A9384", 1_000, ""),
    Quota("Function and layer storage", "L-2ACBD22F", 75, "GB"),
    Quota("Elastic network interfaces per VPC", "L-9FEE3D26", 500, ""),
)
"""What of Lambda's limits an account can have raised, by region; the others are the same for everybody."""

_DOCS = "https://docs.aws.amazon.com/"
_READ = date(2026, 11, 26)
_OTHERS = "copies in the guides of others"


def _page(path: str, copy: str = "") -> Source:
    return Source(_DOCS + path, _READ, copy)


_QUOTAS_PAGE = _page("lambda/latest/dg/gettingstarted-limits.html")
_SNAP_START_PAGE = _page("lambda/latest/dg/snapstart.html")
_HOOKS_PAGE = _page("lambda/latest/dg/snapstart-runtime-hooks-python.html")
_MEASURED = Source(
    "https://github.com/sjakthol/aws-network-benchmark", _READ, "others' measurement, of 2024-06-15"
)
_BENCH = Source("https://lambdabench.dev", _READ, "others' measurement, of 2026")
SOURCES: Final[Mapping[str, Source]] = {
    "ZIP_DIRECT_UPLOAD": _QUOTAS_PAGE,
    "UNZIPPED": _QUOTAS_PAGE,
    "LAYERS": _QUOTAS_PAGE,
    "LAYER_SIZE": _QUOTAS_PAGE,
    "CODE_SECONDS_PER_MB": _BENCH,
    "TMP_MIN_MB": _QUOTAS_PAGE,
    "TMP_MAX_MB": _QUOTAS_PAGE,
    "TMP_DEFAULT_MB": _QUOTAS_PAGE,
    "MEMORY_MIN_MB": _QUOTAS_PAGE,
    "MEMORY_MAX_MB": _QUOTAS_PAGE,
    "MEMORY_PER_VCPU_MB": _page("lambda/latest/dg/configuration-memory.html", _OTHERS),
    "INIT_VCPUS": _BENCH,
    "TIMEOUT_MAX": _QUOTAS_PAGE,
    "INIT_TIMEOUT": _page("lambda/latest/dg/lambda-runtime-environment.html"),
    "INIT_TIMEOUT_LONG": _HOOKS_PAGE,
    "INITIALIZATION_TYPES": _page("lambda/latest/dg/configuration-envvars.html", _OTHERS),
    "RESTORE_TIMEOUT": _HOOKS_PAGE,
    "SNAP_START_PYTHON": _SNAP_START_PAGE,
    "SNAP_START_TMP_MB": _SNAP_START_PAGE,
    "MANAGED_PYTHON": _page("lambda/latest/dg/lambda-managed-instances-runtimes.html"),
    "MANAGED_WORKERS": _page("lambda/latest/dg/lambda-managed-instances-python-runtime.html"),
    "FILE_DESCRIPTORS": _QUOTAS_PAGE,
    "PROCESSES": _QUOTAS_PAGE,
    "ENVIRONMENT_VARIABLES": _QUOTAS_PAGE,
    "TAGS": _page("lambda/latest/dg/configuration-tags.html", _OTHERS),
    "TAG_KEY": _page("lambda/latest/api/API_TagResource.html", _OTHERS),
    "TAG_VALUE": _page("lambda/latest/api/API_TagResource.html", _OTHERS),
    "LOG_RETENTION_DAYS": _page(
        "AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html",
        "the service model of botocore",
    ),
    "ASSETS": _page("IAM/latest/UserGuide/reference_iam-quotas.html", _OTHERS),
    "MANAGED_POLICY": _page("IAM/latest/UserGuide/reference_iam-quotas.html", _OTHERS),
    "CLOCK_SKEW": _page("IAM/latest/UserGuide/reference_sigv-troubleshooting.html", _OTHERS),
    "LINK_BYTES_PER_SECOND": _MEASURED,
    "S3_GET_PER_SECOND": _page("AmazonS3/latest/userguide/optimizing-performance.html"),
    "ARCHITECTURES": _page("lambda/latest/dg/foundation-arch.html", _OTHERS),
    "QUOTAS": _QUOTAS_PAGE,
}
"""Name -> where it was read."""
