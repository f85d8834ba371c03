"""``python -m lambdapack.config``: the text of ``docs/configuration.md``."""

from lambdapack.config.model import document

print(document(), end="")
