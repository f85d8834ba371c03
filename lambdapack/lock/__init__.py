"""Requirements -> a pinned, hashed lock, resolved by pip-tools in the target's own Python.

What the user wrote goes in (``read_requirements``), a ``model.Lock`` comes out (``resolve``).
"""

from lambdapack.lock.requirements.discover import discover
from lambdapack.lock.requirements.read import Requirements, read_requirements
from lambdapack.lock.resolver.contents import wheel_contents
from lambdapack.lock.resolver.driver_process import CODE as DRIVER_CODE
from lambdapack.lock.resolver.driver_process import FOLDER as DRIVER_FOLDER
from lambdapack.lock.resolver.driver_process import AnswerReader, DriverRequest, Place
from lambdapack.lock.resolver.resolve import LockOptions, resolve
from lambdapack.lock.sources.downloads import Downloads
from lambdapack.lock.sources.prepare import Wheelwright, reference_digests

__all__ = [
    "DRIVER_CODE", "DRIVER_FOLDER", "AnswerReader", "Downloads", "DriverRequest", "LockOptions", "Place",
    "Requirements", "Wheelwright", "discover", "read_requirements", "reference_digests", "resolve",
    "wheel_contents",
]  # fmt: skip
