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
