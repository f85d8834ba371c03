"""The bill of materials of a pack: CycloneDX JSON beside it, described in ``docs/sbom.md``.

It is made from the pack itself and its build report, so a pack that was built before, or somewhere else, gets
the same one. Nothing in it changes from run to run: no time, and a serial number that follows from the ids of
what it lists.
"""

from lambdapack.pipeline.sbom.bill import SPEC_VERSION, file_name, write

__all__ = ["SPEC_VERSION", "file_name", "write"]
