"""A layer that gives an existing function its dependencies: shim, decoder, index and an exec wrapper.

The function's code stays as it is; it gets the layer and one environment variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lambdapack import limits
from lambdapack.deploy import bundle, decoder, placement
from lambdapack.deploy.function import Dependencies, FunctionOptions
from lambdapack.errors import CheckError, ConfigurationError
from lambdapack.model import Location
from lambdapack.pack import Pack
from lambdapack.progress import QUIET, Progress
from lambdapack.python.interpreter import Interpreter

WRAPPER = "lambdapack-wrapper"
VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
"""What the function's environment names ``/opt/lambdapack-wrapper`` under."""


@dataclass(frozen=True)
class Layers:
    """The layers that were written: the first has the shim and the wrapper, the others more of the packs.

    Attributes:
        paths: Their zips, in the order in which a function must have them.
        unzipped: The sizes of the files in them, which count against the function's limit.
        dependencies: The packs, and where each is.
    """

    paths: tuple[Path, ...]
    unzipped: int
    dependencies: Dependencies

    @property
    def environment(self) -> dict[str, str]:
        """What the function's environment needs."""
        return {VARIABLE: placement.OPT + WRAPPER}


def make_layers(
    function: FunctionOptions,
    pack: Pack,
    locate: Callable[[str], Location | None],
    *,
    interpreter: Interpreter | None,
    output: Path,
    cache_dir: Path,
    progress: Progress = QUIET,
) -> Layers:
    """Write ``output``, and beside it as many further layers as the packs need.

    Args:
        function: Where the packs are to be; of its code nothing is read.
        pack: The pack; assets that were built into the same folder belong to it.
        locate: Where in S3 the pack of an id is, or will be.
        interpreter: The target's Python, to compile the shim with; ``None`` leaves the bytecode out.
        output: The first layer.
        cache_dir: Where the decoder is kept between runs.
        progress: Where to report to.

    Raises:
        ConfigurationError: A pack is to be in the function's zip, which is not written here.
        CheckError: The layers are larger than Lambda takes.
        ToolError: The decoder could not be fetched.
    """
    _check_places(function)
    dependencies = Dependencies.built(pack, function)
    bundle.read_index(dependencies, function.target)
    code = bundle.code_entries((), interpreter, function.target, progress)
    extension = decoder.extension(function.target, cache_dir, progress=progress)
    # The place of a pack changes none of these sizes by more than the zip's own records are allowed.
    around = sum(len(entry.data) for entry in [*code, *bundle.pack_entries(dependencies, extension)])
    placed = placement.arrange(function, dependencies, locate, reserved=around)
    shim = [*code, *bundle.pack_entries(placed, extension)]
    pieces = placement.layers(placed)
    unzipped = around + placement.size(pieces)
    _check_size(unzipped)
    return Layers(_write(shim, pieces, output), unzipped, placed)


def _check_places(function: FunctionOptions) -> None:
    if "zip" in function.places:
        raise ConfigurationError(
            "writing a layer: the pack or an asset is to be in the function's zip",
            hint='place = "layer", "s3" or "mount"; lambdapack package writes the function\'s zip',
        )


def _write(
    shim: Sequence[bundle.Entry], pieces: Mapping[int, Sequence[placement.Piece]], output: Path
) -> tuple[Path, ...]:
    """Write the layers, the one with the shim to ``output``."""
    contents = {number: bundle.cut(each) for number, each in pieces.items()}
    contents[1] = _first(shim, bundle.cut(pieces.get(1, ())))
    paths = bundle.write_layers(contents, f"{output.stem}.%d.zip", output.parent)
    return paths[0].replace(output), *paths[1:]


def _first(shim: Sequence[bundle.Entry], pieces: Iterable[bundle.Entry]) -> Iterator[bundle.Entry]:
    script = Path(__file__).with_name("wrapper.sh").read_bytes()
    yield bundle.Entry(WRAPPER, script, executable=True)
    yield from (replace(entry, name=f"python/{entry.name}") for entry in shim)
    yield from pieces


def _check_size(unzipped: int) -> None:
    if unzipped > limits.UNZIPPED:
        raise CheckError(
            f"the layers are {unzipped / limits.MIB:.1f} MiB unzipped, over Lambda's "
            f"{limits.UNZIPPED / limits.MIB:.1f} MiB for a function with its layers",
            hint='set place = "s3" for the pack, or for an asset',
        )
