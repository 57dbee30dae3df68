"""Several documents merged: the data that they make together, and which of them set each key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.config.source.defaults import Inherited

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroctl.config.source.diagnostics import Path, Problem
    from pyroctl.config.source.overrides import Override
    from pyroctl.config.source.read import Document
    from pyroctl.errors import Diagnostic

    Owner = Document | Override | Inherited

INCLUDE = "include"
_READY = ("services", None, "ready")
"""A table that is one value and isn't merged: only one of its keys can be set."""


class Layers:
    """Documents, merged. A later one overrides the keys of earlier ones; tables are merged.

    Problems with keys that no document has are located in `main`.
    """

    def __init__(self, documents: Iterable[Document], main: Document) -> None:
        self.data: dict[str, Any] = {}
        self._owners: dict[Path, Owner] = {(): main}
        for document in documents:
            own = {key: value for key, value in document.data.items() if key != INCLUDE}
            self._lay(self.data, own, (), document)

    def put(self, data: Any, override: Override) -> None:
        """Set a value in `data`, and record its owner; a table of the wrong type stays as it is."""
        *tables, last = override.path
        for key in tables:
            data = data.setdefault(key, {})
            if not isinstance(data, dict):
                return
        data[last] = override.value
        self._own(override.path, override)

    def fill(self, below: dict[str, Any], above: dict[str, Any], here: Path, there: Path) -> None:
        """Add to a table what it lacks of another one, which was written at `there`."""
        for key, value in above.items():
            path, source = (*here, key), (*there, key)
            if key not in below:
                below[key] = value
                depth = len(source)
                for known in [known for known in self._owners if known[:depth] == source]:
                    place = (*path, *known[depth:])
                    self._owners[place] = Inherited(self._owners[known], place, known)
            elif _are_merged(path, below[key], value):
                self.fill(below[key], value, path, source)

    def owner(self, path: Path) -> Owner | None:
        """Return who set a key, or None."""
        return self._owners.get(path)

    def is_overridden(self, path: Path) -> bool:
        """Return whether a value, or a table around it, comes from the environment."""
        around = (path[:end] for end in range(len(path) + 1))
        return any(hasattr(self._owners.get(part), "variable") for part in around)

    def locate(self, problem: Problem) -> Diagnostic:
        """Return a problem at its place: that of the key, or of the innermost table around it."""
        return self._innermost(problem.path).locate(problem)

    def source(self, path: Path) -> Path:
        """Return the key that was written: for a value that a service inherits, the default."""
        owner = self._innermost(path)
        return owner.source(path) if isinstance(owner, Inherited) else path

    def _innermost(self, path: Path) -> Owner:
        while path not in self._owners:
            path = path[:-1]
        return self._owners[path]

    def _lay(
        self, below: dict[str, Any], above: dict[str, Any], path: Path, document: Document
    ) -> None:
        for key, value in above.items():
            here = (*path, key)
            if not isinstance(value, dict):
                below[key] = value
                self._own(here, document)
                continue
            if not isinstance(below.get(key), dict) or _is_one_value(here):
                below[key] = {}
                self._own(here, document)
            self._lay(below[key], value, here, document)

    def _own(self, path: Path, owner: Owner) -> None:
        """Change the owner of a key, and forget those of the keys below it."""
        if path in self._owners:
            depth = len(path)
            for other in [other for other in self._owners if other[:depth] == path]:
                del self._owners[other]
        self._owners[path] = owner


def _is_one_value(path: Path) -> bool:
    return len(path) == len(_READY) and (path[0], path[2]) == (_READY[0], _READY[2])


def _are_merged(path: Path, one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict) and not _is_one_value(path)
