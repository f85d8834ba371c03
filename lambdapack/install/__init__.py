"""A lock -> a tree: an installed site-packages for one target, on any machine.

``choose`` gives a ``Builder``, which opens a ``Workshop`` for a target. That unpacks locks, compiles bytecode
and bundles shared libraries, here or in an image. ``check_binaries`` refuses a tree that cannot be loaded.
"""

from lambdapack.install.binaries import check_binaries, portable_files
from lambdapack.install.builders import Builder, Workshop, choose
from lambdapack.install.docker import BuildLimits, DockerBuilder
from lambdapack.install.inside import InsideBuilder
from lambdapack.install.local import LocalBuilder, LocalWorkshop
from lambdapack.install.unpack import read_tree, unpack_wheels

__all__ = [
    "BuildLimits", "Builder", "DockerBuilder", "InsideBuilder", "LocalBuilder", "LocalWorkshop", "Workshop",
    "check_binaries", "choose", "portable_files", "read_tree", "unpack_wheels",
]  # fmt: skip
