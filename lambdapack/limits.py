"""Every limit of the platform, with the page it came from. Sizes in bytes, times in seconds.

Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from typing import Final

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
measured (lambdabench)."""

TMP_MIN_MB: Final = 512
TMP_MAX_MB: Final = 10_240
TMP_DEFAULT_MB: Final = 512
MEMORY_MIN_MB: Final = 128
MEMORY_MAX_MB: Final = 10_240
MEMORY_PER_VCPU_MB: Final = 1_769
"""Memory that buys one vCPU (Lambda developer guide, "Configure Lambda function memory")."""
TIMEOUT_MAX: Final = 900
INIT_TIMEOUT: Final = 10.0
"""The init phase is killed after this and runs again inside the first invocation
(Lambda developer guide, "Understanding the Lambda execution environment lifecycle")."""
INIT_TIMEOUT_LONG: Final = 130.0
"""The same with SnapStart, provisioned concurrency or Managed Instances, or the function's timeout where that
is longer."""
INITIALIZATION_TYPES: Final = (
    "on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances",
)  # fmt: skip
"""The kinds of start, as AWS_LAMBDA_INITIALIZATION_TYPE names them
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""
RESTORE_TIMEOUT: Final = 10.0
"""A restore from a snapshot, with the hooks that run after it
(https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html)."""
SNAP_START_PYTHON: Final = (3, 12)
"""The first Python that has SnapStart."""
SNAP_START_TMP_MB: Final = 512
"""The largest /tmp that a function with SnapStart may have."""
SNAP_START_GB_SECOND_USD: Final = 0.0000015
"""What a version's snapshot costs while the version exists, for each GB of memory and second. Third parties
say so; https://aws.amazon.com/lambda/pricing/ has the price of a region."""
SNAP_START_RESTORE_GB_USD: Final = 0.00014
"""What each restore costs, for each GB of memory; as above."""
MANAGED_PYTHON: Final = (3, 13)
"""The first Python that Managed Instances have."""
MANAGED_WORKERS: Final = 16
"""Processes that take events at the same time on a Managed Instance, for each vCPU."""
FILE_DESCRIPTORS: Final = 1_024
PROCESSES: Final = 1_024
ENVIRONMENT_VARIABLES: Final = 4 * 1024
"""All environment variables of a function together."""

LOG_RETENTION_DAYS: Final = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""The days that a log group may keep
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html)."""

ASSETS: Final = 20
"""Of one function. Each is named in the role's inline policy, of 10,240 characters
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)."""

LINK_BYTES_PER_SECOND: Final = 75 * MB
"""Sustained download rate, 600 Mbit/s, measured from 128 to 3,008 MB of memory
(https://github.com/sjakthol/aws-network-benchmark)."""

S3_GET_PER_SECOND: Final = 5_500
"""Per partitioned prefix (S3 user guide, "Best practices design patterns")."""

ARCHITECTURES: Final = ("x86_64", "arm64")
