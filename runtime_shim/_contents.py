"""A pack's files and folders by path, as the importer and the guard look them up."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._index import Index


class Contents:
    """Paths of a pack, relative to its root.

    Attributes:
        files: Path -> number of the file.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.files = {path: file for file, path in enumerate(index.paths)}
        self._children: dict[str, dict[str, int]] | None = None

    @property
    def children(self) -> dict[str, dict[str, int]]:
        """Folder -> the names in it, each with its file's number, or -1 for a folder.

        Computed on first use: most starts never list a folder.
        """
        if self._children is None:
            folders: dict[str, dict[str, int]] = {"": {}}
            for path, file in self.files.items():
                folder, slash, name = path.rpartition("/")
                known = folders.get(folder)
                if known is None:
                    known = folders[folder] = {}
                    while slash:
                        folder, slash, child = folder.rpartition("/")
                        parent = folders.get(folder)
                        if parent is not None:
                            parent[child] = -1
                            break
                        folders[folder] = {child: -1}
                known[name] = file
            self._children = folders
        return self._children
