"""The target of a pack: which Python on which processor, and what that means in Lambda."""

from __future__ import annotations

from dataclasses import dataclass

from lambdapack import limits
from lambdapack.errors import ConfigurationError
from lambdapack.model.runtimes import PYTHONS, RUNTIMES, SUGGESTED

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, order=True)
class Target:
    """A Python version and an architecture, written ``python3.12/x86_64``.

    Attributes:
        python: Major and minor version, e.g. ``3.12``.
        arch: ``x86_64`` or ``arm64``, Lambda's own names.

    Raises:
        ConfigurationError: Lambda has no such runtime.
    """

    python: str
    arch: str = "x86_64"

    def __post_init__(self) -> None:
        if self.python not in RUNTIMES:
            raise ConfigurationError(
                f"Python {self.python!r} is not a Lambda runtime (there are: {', '.join(PYTHONS)})",
                hint=f"choose one with --python, e.g. --python {SUGGESTED}",
            )
        if self.arch not in limits.ARCHITECTURES:
            raise ConfigurationError(
                f"{self.arch!r} is not a Lambda architecture (there are: {', '.join(limits.ARCHITECTURES)})",
                hint="choose one with --arch",
            )

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``python3.12/x86_64``."""
        python, slash, arch = text.partition("/")
        if not python.startswith("python") or not slash:
            raise ConfigurationError(f"{text!r} is not a target like 'python3.12/x86_64'")
        return cls(python[len("python") :], arch)

    def __str__(self) -> str:
        return f"python{self.python}/{self.arch}"

    @property
    def version(self) -> tuple[int, int]:
        """``(3, 12)``."""
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def runtime(self) -> str:
        """Lambda's name for it, e.g. ``python3.12``."""
        return f"python{self.python}"

    @property
    def machine(self) -> str:
        """The kernel's name for the architecture, as in wheel tags: ``x86_64`` or ``aarch64``."""
        return _MACHINES[self.arch]

    @property
    def cache_tag(self) -> str:
        """What is between the dots of a ``.pyc`` name, e.g. ``cpython-312``."""
        return "cpython-{}{}".format(*self.version)

    @property
    def soabi(self) -> str:
        """What is between the dots of an extension's name, e.g. ``cpython-312-x86_64-linux-gnu``."""
        return f"{self.cache_tag}-{self.machine}-linux-gnu"

    @property
    def glibc(self) -> tuple[int, int]:
        """Version of the C library in Lambda's own image for this runtime."""
        return RUNTIMES[self.python].glibc

    @property
    def operating_system(self) -> str:
        """Name of the distribution that Lambda runs this Python on."""
        return RUNTIMES[self.python].operating_system

    def markers(self, version: str) -> dict[str, str]:
        """Every variable of PEP 508's markers but ``extra``, where Python's full version is ``version``."""
        return {
            "implementation_name": "cpython",
            "implementation_version": version,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": version,
            "python_version": self.python,
            "sys_platform": "linux",
        }
