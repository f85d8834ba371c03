"""The same build on another machine: in AWS CodeBuild, in the target's own image.

The lock, lambdapack itself and the files that the build reads go there through S3; the pack comes back the
same way, is verified, and lies in the output folder as if it had been built here.
"""

from lambdapack.pipeline.remote.building import RemoteOptions, build, prepare
from lambdapack.pipeline.remote.inside import run_job
from lambdapack.pipeline.remote.running import error_line

__all__ = ["RemoteOptions", "build", "error_line", "prepare", "run_job"]
