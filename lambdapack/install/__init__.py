"""A lock -> a tree: an installed site-packages for one target, on any machine."""

from lambdapack.install.binaries import check_binaries, portable_files
from lambdapack.install.builders import Builder, Workshop, choose
from lambdapack.install.docker import DockerBuilder, Limits
from lambdapack.install.local import LocalBuilder
from lambdapack.install.records import read_tree

__all__ = [
    "Builder",
    "DockerBuilder",
    "Limits",
    "LocalBuilder",
    "Workshop",
    "check_binaries",
    "choose",
    "portable_files",
    "read_tree",
]
