"""Requirements -> a pinned, hashed lock, resolved by pip-tools in the target's own Python."""

from lambdapack.lock.requirements.discover import discover
from lambdapack.lock.requirements.read import Requirements, read_requirements
from lambdapack.lock.resolver.choices import resolve
from lambdapack.lock.resolver.place import CODE as DRIVER_CODE
from lambdapack.lock.resolver.place import FOLDER as DRIVER_FOLDER
from lambdapack.lock.resolver.place import Answers, DriverRequest, Place, Wheelwright
from lambdapack.lock.sources.digests import contents
from lambdapack.lock.sources.downloads import Downloads

__all__ = [
    "DRIVER_CODE",
    "DRIVER_FOLDER",
    "Answers",
    "Downloads",
    "DriverRequest",
    "Place",
    "Requirements",
    "Wheelwright",
    "contents",
    "discover",
    "read_requirements",
    "resolve",
]
