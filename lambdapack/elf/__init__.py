"""Shared objects: what one is for, what it needs, and (``elf.strip``) how to make it smaller."""

from lambdapack.elf.shared_object import Elf, ElfError, is_elf, read

__all__ = ["Elf", "ElfError", "is_elf", "read"]
