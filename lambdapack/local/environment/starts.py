"""The kinds of start that Lambda has, as the runtime is told of them, and what differs between them."""

from __future__ import annotations

from dataclasses import dataclass

from lambdapack import limits

ON_DEMAND, PROVISIONED, SNAP_START, MANAGED = limits.INITIALIZATION_TYPES


@dataclass(frozen=True)
class Settings:
    """The settings in which the environments of one function may differ.

    Attributes:
        memory_mb, tmp_mb: As in ``FunctionSettings``.
        start: One of ``limits.INITIALIZATION_TYPES``.
        workers: With ``MANAGED``: how many processes take events at the same time.
        program: Text of a Python program that starts the runtime client in the runtime's stead.
        timeout: Seconds that init and each invocation may take then, instead of Lambda's and the function's.
        boost: Whether init has ``limits.INIT_VCPUS`` at least.
    """

    memory_mb: int
    tmp_mb: int
    start: str = ON_DEMAND
    workers: int = 1
    program: str = ""
    timeout: int | None = None
    boost: bool = True

    @property
    def vcpus(self) -> float:
        """Processors' worth of time in an invocation."""
        return self.memory_mb / limits.MEMORY_PER_VCPU_MB

    @property
    def init_vcpus(self) -> float:
        """The same in init."""
        return max(self.vcpus, limits.INIT_VCPUS) if self.boost else self.vcpus

    def init_timeout(self, timeout: float) -> float:
        """Seconds that init may take in a function with this timeout."""
        if self.timeout is not None:
            return self.timeout
        if self.start == ON_DEMAND:
            return limits.INIT_TIMEOUT
        return max(limits.INIT_TIMEOUT_LONG, timeout)


def workers_for(start: str, memory_mb: int) -> int:
    """How many processes of one environment take events at the same time, where nothing else is said."""
    if start != MANAGED:
        return 1
    return limits.MANAGED_WORKERS * max(1, round(memory_mb / limits.MEMORY_PER_VCPU_MB))
