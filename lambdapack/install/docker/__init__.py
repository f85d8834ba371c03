"""The builder that uses the target's own image: its Python resolves the lock and compiles sdists."""

from lambdapack.install.docker import engine, image_builds, images
from lambdapack.install.docker.builder import DockerBuilder
from lambdapack.install.docker.container import BuildLimits

__all__ = ["BuildLimits", "DockerBuilder", "engine", "image_builds", "images"]
