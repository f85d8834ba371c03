"""What is watched, and what CloudWatch has for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAMESPACE = "lambdapack"
"""Of the shim's metrics."""
LAMBDA = "AWS/Lambda"
"""Of Lambda's."""
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html
_DASHBOARD_NAME_MAX = 255


@dataclass(frozen=True)
class Watched:
    """What is watched.

    Attributes:
        name, arn, group: The function, its ARN and its log group.
        timeout: Seconds that an invocation may take.
        init_limit: Seconds that an init phase may take.
        notify: ARNs that an alarm tells: topics of SNS, mostly.
    """

    name: str
    arn: str
    group: str
    timeout: int
    init_limit: float
    notify: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        """Where the function is."""
        return self.arn.split(":")[3]

    @property
    def title(self) -> str:
        """The dashboard's name."""
        return f"lambdapack-{self.name}"[:_DASHBOARD_NAME_MAX]

    @property
    def failures(self) -> str:
        """The metric of starts that the shim gave up. A filter of plain text can set no dimension."""
        return f"pack_errors_{self.name}"


@dataclass(frozen=True)
class Watching:
    """What CloudWatch is to have, or has: each by its name, as the arguments of the call that puts it there.

    Attributes:
        dashboard: The dashboard's body; ``None`` where there is none.
        alarms: ``put_metric_alarm``.
        filters: ``put_metric_filter``.
    """

    dashboard: Mapping[str, Any] | None = None
    alarms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
