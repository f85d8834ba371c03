"""CUDA, which Lambda cannot use: what belongs to it, and which builds do without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lambdapack.errors import ConfigurationError
from lambdapack.lock.requirements.read import Requirements
from lambdapack.lock.resolver.solution import Candidate
from lambdapack.model import Target

CUDA_PREFIXES = ("nvidia-", "cuda-", "triton", "pytorch-triton")
"""What the names of CUDA's parts begin with."""
# Bindings in plain Python, which do no harm where there is no GPU.
_NOT_CUDA = frozenset(("nvidia-ml-py", "tritonclient"))
_ATTEMPTS = 4
_SHOWN = 3


def is_cuda(name: str) -> bool:
    """Whether the distribution is a part of CUDA."""
    return name.startswith(CUDA_PREFIXES) and name not in _NOT_CUDA


def cpu_constraints(requirements: Requirements, candidates: Sequence[Candidate]) -> Iterator[tuple[str, ...]]:
    """Sets of constraints to try, e.g. ``("torch==2.2+cpu", "vision==0.9+cpu")``, the newest versions first.

    Each version is tried for all packages that have builds for the CPU, then for those alone that need CUDA.
    """
    needs_cuda = {
        parent for candidate in candidates if is_cuda(candidate.name) for parent in candidate.parents
    }
    options = {
        candidate.name: [v for v in candidate.cpu if _allowed(candidate.name, v, requirements)]
        for candidate in candidates
        if not is_cuda(candidate.name)
    }
    options = {name: versions for name, versions in options.items() if versions}
    direct = {name: versions for name, versions in options.items() if name in needs_cuda}
    if not direct:
        return
    for number in range(_ATTEMPTS):
        for group in (options, direct) if len(options) > len(direct) else (direct,):
            if any(number < len(versions) for versions in group.values()):
                yield tuple(
                    f"{name}=={versions[min(number, len(versions) - 1)]}"
                    for name, versions in sorted(group.items())
                )


def cuda_error(candidates: Sequence[Candidate], target: Target) -> ConfigurationError:
    """The refusal of CUDA: which packages need it, and how to get a build without."""
    parts = [candidate for candidate in candidates if is_cuda(candidate.name)]
    names = sorted(part.name for part in parts)
    parents = {parent for part in parts for parent in part.parents if not is_cuda(parent)}
    who = ", ".join(sorted(parents)) or "the requirements"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ConfigurationError(
        f"{who} needs CUDA ({', '.join(names[:_SHOWN])}{more}), and a zip gets no GPU in Lambda; pip finds "
        f"no build for the CPU alone that fits {target}",
        hint="point pip at the project's CPU wheels (their versions end in +cpu), with PIP_EXTRA_INDEX_URL "
        f"or PIP_FIND_LINKS; or leave the CUDA packages out if it works without: --exclude {names[0]}",
    )


def _allowed(name: str, version: str, requirements: Requirements) -> bool:
    """Whether the user's own lines take this version."""
    for line in (*requirements.lines, *requirements.constraints):
        requirement = Requirement(line.split(" --hash=", maxsplit=1)[0])
        is_same = canonicalize_name(requirement.name) == name
        if is_same and not requirement.specifier.contains(version, prereleases=True):
            return False
    return True
