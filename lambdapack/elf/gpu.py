"""Fill the GPU code in a shared object with zeros: in Lambda only container images get GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from lambdapack.elf import headers
from lambdapack.elf.headers import HeaderError, Section

SECTIONS = (b".nv_fatbin", b"__nv_relfatbin", b".hip_fatbin")
"""Where CUDA's and HIP's compilers put the code for the device: images that the CPU's own code hands to a
driver, and the dynamic linker maps without a look at them
(https://docs.nvidia.com/cuda/cuda-binary-utilities/). The CPU's code, and the small segment that points to
the images, stay."""


def without_gpu_code(data: bytes) -> bytes | None:
    """Zeros for the device code of a whole ELF file; nothing moves, so every address stays what it was.

    Returns:
        A file of the same length, or ``None`` where there is no device code, or where the headers are
        no shared object's, as ``elf.headers`` knows them.
    """
    try:
        images = [section for section in _device_code(data) if section.stored]
    except HeaderError:
        return None
    if not images:
        return None
    result = bytearray(data)
    for section in images:
        result[section.offset : section.end] = bytes(section.stored)
    return bytes(result)


def _device_code(data: bytes) -> Iterator[Section]:
    header = headers.read_header(data)
    if header.type != headers.ET_DYN or not header.shnum:
        return
    sections = headers.read_sections(data, header)
    names = sections[header.shstrndx]
    for section in sections:
        start = names.offset + section.name
        end = data.find(b"\0", start, names.end)
        # What the program may write or run is not an image for another processor.
        plain = section.mapped and not section.flags & (headers.SHF_WRITE | headers.SHF_EXECINSTR)
        if plain and data[start:end] in SECTIONS:
            yield section
