"""Libraries that the build image has and Lambda lacks: mapped before they are needed.

The dynamic linker takes a library that is already mapped for every request of its soname. So neither a shared
object that links to such a library nor a module that opens it by name (ctypes, cffi) needs a search path.
Imported only for packs that have such libraries.
"""

from __future__ import annotations

from _thread import get_ident

from ._index import CODE, LIBRARIES, SOURCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping
    from typing import Any

    from ._importer import Importer
    from ._start import Pack

RTLD_NOW = 2
ERROR = "library_error"
"""The key in ``runtime_shim.stats()`` of the first error of a library that cannot be mapped."""
# The file names of the libraries that are mapped, and the replacements of find_library.
_mapped: list[str] = []
_known: list[Any] = []


class Libraries:
    """The bundled libraries of one pack."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._site = pack.place.site
        self._index = pack.index
        self._left = {file for file, path in enumerate(pack.index.paths) if path.startswith(LIBRARIES)}
        self._busy: set[tuple[int, int]] = set()

    def load(self, files: Iterable[int]) -> None:
        """Map the bundled libraries among ``files`` that are not mapped yet; their frames are in place."""
        needs = self._index.needs
        # Libraries before those that need them: a library lists all its needs, so it has more than they.
        for file in sorted(self._left.intersection(files), key=lambda file: (len(needs.get(file, ())), file)):
            # dlopen() raises an audit event, whose hook comes back here for the same library.
            key = (get_ident(), file)
            if key in self._busy:
                continue
            self._busy.add(key)
            try:
                self._map(file)
            finally:
                self._busy.discard(key)

    def open(self, files: Iterable[int]) -> None:
        """Map the bundled libraries among ``files``, once in place, for a module that opens them by name."""
        files = list(files)
        for file in files:
            self._pack.wait_file(file)
        self.load(files)
        let_find()

    def opening(self) -> dict[str, list[int]]:
        """Path of a module that opens libraries by name -> the numbers of these libraries."""
        index = self._index
        return {
            index.paths[file]: needed
            for file, needed in index.needs.items()
            if index.classes[file] in (CODE, SOURCE)
        }

    def _map(self, file: int) -> None:
        from _ctypes import dlopen  # to import ctypes itself costs 10 ms

        try:
            dlopen(self._site + "/" + self._index.paths[file], RTLD_NOW)
            _mapped.append(self._index.paths[file][len(LIBRARIES) :])
        except OSError as error:
            # The program may do without the library, so this is no failure yet. If it cannot, its own error
            # will name the library but not the reason.
            self._tell("%s: %s" % (self._index.paths[file], error))
        self._left.discard(file)

    def _tell(self, text: str) -> None:
        """Keep the first error, and print it to the log: the errors that follow from it are there, too."""
        if ERROR in self._pack.problems:
            return
        text = "".join(char if " " <= char <= "~" and char not in "\"'\\" else "?" for char in text)
        self._pack.problems[ERROR] = text
        print('{"lambdapack": "library", "%s": "%s"}' % (ERROR, text), flush=True)


def attach(importer: Importer) -> None:
    """Have ``importer`` map bundled libraries once they are in place, before code that needs them runs."""
    libraries = Libraries(importer.pack)
    opening = libraries.opening()
    needs = importer.pack.index.needs
    wait = importer.wait_library

    def wait_and_load(file: int) -> None:
        wait(file)
        libraries.load(needs.get(file, ()))

    importer.wait_library = wait_and_load  # type: ignore[method-assign]
    if not opening:
        return
    wait_native = importer.wait_native

    def wait_and_open(fullname: str, path: str) -> None:
        wait_native(fullname, path)
        if path in opening:
            libraries.open(opening[path])

    importer.wait_native = wait_and_open  # type: ignore[method-assign]


def map_all(pack: Pack) -> None:
    """Map all bundled libraries of a pack whose files are in place and which plain imports will use."""
    libraries = Libraries(pack)
    libraries.load(range(len(pack.index.paths)))
    if libraries.opening():
        let_find()


def let_find() -> None:
    """Have ``ctypes.util.find_library`` know the mapped libraries: it asks programs that Lambda lacks."""
    from ctypes import util

    if util.find_library in _known:
        return
    find: Any = util.find_library

    def find_library(name: Any) -> Any:
        start = "lib%s." % (name,)
        for soname in _mapped:
            if soname.startswith(start):
                return soname
        return find(name)

    _known.append(find_library)
    util.find_library = find_library


def export(environ: MutableMapping[str, str], site: str) -> None:
    """Put the libraries' folder last on LD_LIBRARY_PATH, for programs that the function starts."""
    folder = site + "/" + LIBRARIES.rstrip("/")
    before = environ.get("LD_LIBRARY_PATH", "")
    if folder not in before.split(":"):
        environ["LD_LIBRARY_PATH"] = before + ":" + folder if before else folder
