"""Requirements -> a pinned, hashed lock, resolved by pip-tools in the target's own Python."""

from lambdapack.lock.requirements.read import Requirements, read_requirements
from lambdapack.lock.resolver.choices import resolve
from lambdapack.lock.sources.digests import contents
from lambdapack.lock.sources.downloads import Downloads

__all__ = ["Downloads", "Requirements", "contents", "read_requirements", "resolve"]
