"""The builder that uses the target's own image: its Python resolves the lock and compiles sdists."""

from lambdapack.install.docker import engine, images, settings
from lambdapack.install.docker.builder import DockerBuilder
from lambdapack.install.docker.container import BuildLimits

__all__ = ["BuildLimits", "DockerBuilder", "engine", "images", "settings"]
