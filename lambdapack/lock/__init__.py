"""Requirements -> a pinned, hashed lock, resolved by pip-tools in the target's own Python."""

from lambdapack.lock.contents import contents
from lambdapack.lock.downloads import Downloads
from lambdapack.lock.requirements import Requirements, read_requirements
from lambdapack.lock.resolver import resolve

__all__ = ["Downloads", "Requirements", "contents", "read_requirements", "resolve"]
