"""Several documents laid over each other: what they say together, and which of them said it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyroctl.config.source.diagnostics import Path, Problem
    from pyroctl.config.source.overrides import Override
    from pyroctl.config.source.read import Document
    from pyroctl.errors import Diagnostic

INCLUDE = "include"
_READY = ("services", None, "ready")
"""Where a table is one value: its keys are forms of which only one can be, so it isn't merged."""


class Layers:
    """What the documents say together. A later one has the last word on a key; tables are merged.

    `main` is the document that is blamed for what stands in none.
    """

    def __init__(self, documents: Iterable[Document], main: Document) -> None:
        self.data: dict[str, Any] = {}
        self._owners: dict[Path, Document | Override] = {(): main}
        for document in documents:
            own = {key: value for key, value in document.data.items() if key != INCLUDE}
            self._lay(self.data, own, (), document)

    def put(self, data: Any, override: Override) -> None:
        """Set one value in `data`, and remember who did; what is in the way is a mistake anyway."""
        *tables, last = override.path
        for key in tables:
            data = data.setdefault(key, {})
            if not isinstance(data, dict):
                return
        data[last] = override.value
        self._own(override.path, override)

    def owner(self, path: Path) -> Document | Override | None:
        """Give who wrote that key; None when nobody did."""
        return self._owners.get(path)

    def is_overridden(self, path: Path) -> bool:
        """Tell whether a value, or a table around it, came from the environment after all."""
        around = (path[:end] for end in range(len(path) + 1))
        return any(hasattr(self._owners.get(part), "variable") for part in around)

    def fault(self, mistake: Problem) -> Diagnostic:
        """Put a mistake in its place: that of the key, or of the innermost table around it."""
        path = mistake.path
        while path not in self._owners:
            path = path[:-1]
        return self._owners[path].fault(mistake)

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

    def _own(self, path: Path, owner: Document | Override) -> None:
        """Let a key, and all that was below it, belong to somebody else."""
        if path in self._owners:
            depth = len(path)
            for other in [other for other in self._owners if other[:depth] == path]:
                del self._owners[other]
        self._owners[path] = owner


def _is_one_value(path: Path) -> bool:
    return len(path) == len(_READY) and (path[0], path[2]) == (_READY[0], _READY[2])
