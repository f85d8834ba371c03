"""Models and data in packs of their own: changing code or dependencies does not upload them again.

An asset is a file or a folder. Its pack has the format of ``docs/pack-format.md``, files of class data
alone, and an id that depends on its content, not on where it lies nor on what else is deployed.
"""

from lambdapack.pack.assets.building import build, check
from lambdapack.pack.assets.collect import Asset
from lambdapack.pack.assets.record import FILE_NAME, FOLDER, BuiltAsset, document, placed, read

__all__ = ["FILE_NAME", "FOLDER", "Asset", "BuiltAsset", "build", "check", "document", "placed", "read"]
