"""A profile and the index of its pack -> what the importing process computes, frame by frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lambdapack.local.profiling import Import, Profile
from lambdapack.model import Target
from lambdapack.plan import SizedDistribution, cold, owners_by_name
from runtime_shim._index import Index

_SITE = "/site/"
"""The folder of the pack's files, below the pack's own."""
_BEGINS = ("runtime_shim._child", "runtime_shim._inprocess", "runtime_shim")
"""The modules that the shim imports just before the fetch begins, in a process or in a thread."""


def work_of(profile: Profile, index: Index) -> cold.Work:
    """The steps of init, from where the fetch begins, and of the first invocation."""
    needs = list(_needs(profile, index))
    init, call = profile.phases[:2]
    return cold.Work(
        _steps(needs, init.name, (runtime_of(profile), init.cpu_ms)),
        _steps(needs, call.name, (init.cpu_ms, call.cpu_ms)),
    )


def runtime_of(profile: Profile) -> float:
    """CPU time, in milliseconds, before the fetch begins."""
    times = {each.name: each.cpu_ms for each in reversed(profile.imports)}
    return next((times[name] for name in _BEGINS if name in times), 0.0)


def imports_of(
    profile: Profile, index: Index, distributions: Sequence[SizedDistribution]
) -> Mapping[str, float]:
    """Milliseconds of import by distribution, what is waited for not included."""
    files = _Files(index)
    found = [(files.path(each), each.self_ms) for each in profile.imports if each.origin == "pack"]
    sums: defaultdict[str, float] = defaultdict(float)
    whose = owners_by_name([path for path, _ in found], distributions)
    for owner, (_, length) in zip(whose, found, strict=True):
        sums[owner] += length
    return {name: round(length, 3) for name, length in sums.items()}


class _Files:
    """The files of an index, by the path that importlib gives a module."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._numbers = {path: number for number, path in enumerate(index.paths)}
        major, minor = Target.parse(index.target).version
        self._tag = f"cpython-{major}{minor}"

    def path(self, module: Import) -> str:
        """The path in the pack; for source that is not there, of the bytecode."""
        path = module.file.partition(_SITE)[2]
        folder, slash, name = path.rpartition("/")
        bytecode = f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.{self._tag}.pyc"
        return bytecode if bytecode in self._numbers else path

    def frame(self, module: Import) -> int:
        """The last frame that must be there before the module runs, ``-1`` for none."""
        number = self._numbers.get(self.path(module))
        if number is None:
            return -1
        files = (number, *self._index.needs.get(number, ()))
        return max(self._index.frames_of(file)[-1] for file in files)


def _needs(profile: Profile, index: Index) -> Iterable[tuple[str, float, int]]:
    """Phase, CPU time so far, and the frame that is needed then."""
    files = _Files(index)
    for module in profile.imports:
        frame = files.frame(module) if module.origin == "pack" and not module.thread else -1
        if 0 <= frame < index.eager:
            yield module.phase, module.cpu_ms, frame
    for wait in profile.waits:
        if wait.frame < index.eager and not wait.thread:
            yield wait.phase, wait.cpu_ms, wait.frame


def _steps(
    needs: Iterable[tuple[str, float, int]], phase: str, span: tuple[float, float]
) -> tuple[cold.Step, ...]:
    """What a phase computes in a ``span`` of CPU time; frames come in order: only a later one counts."""
    steps: list[cold.Step] = []
    at, end = span
    have = -1
    for cpu, frame in sorted((cpu, frame) for name, cpu, frame in needs if name == phase):
        if frame > have:
            steps.append(cold.Step(have, max(0.0, cpu - at) / 1000))
            at = max(at, cpu)
            have = frame
    steps.append(cold.Step(have, max(0.0, end - at) / 1000))
    return tuple(steps)
