"""The page's files, in memory; what a request names is looked up, and never opened."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A file."""

    content: bytes
    type: str


class Assets:
    """All files below one path that has a hash of them all, so that modules find each other."""

    def __init__(self, files: dict[str, bytes]) -> None:
        digest = hashlib.sha256()
        for name in sorted(files):
            digest.update(name.encode() + b"\0" + files[name] + b"\0")
        self.hash = digest.hexdigest()[:16]
        self.files = {
            f"{self.hash}/{name}": Asset(content, TYPES[name.rpartition(".")[2]])
            for name, content in files.items()
        }
        page = files.get("index.html", b"<!doctype html><title>pyroctl</title>")
        self.page = page.replace(b"{{static}}", f"static/{self.hash}".encode())
        self.icon = files.get("icon.svg", b"")


def read_assets() -> Assets:
    """Read the files of this package."""
    return Assets(dict(_files(resources.files("pyroctl.web") / "static", "")))


def _files(directory: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir() if directory.is_dir() else ():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            yield prefix + entry.name, entry.read_bytes()
