"""A file -> what its ELF headers say, or the same shared object with fewer bytes."""

from lambdapack.elf.gpu import without_gpu_code
from lambdapack.elf.shared_object import Elf, ElfError, is_elf, read
from lambdapack.elf.stripping import strip

__all__ = ["Elf", "ElfError", "is_elf", "read", "strip", "without_gpu_code"]
