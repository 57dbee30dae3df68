"""Files of the configuration: written whole, and only over the version that was read."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any

from pyroctl.errors import PyroctlError
from pyroctl.private_file import sync_directory, write_private

if TYPE_CHECKING:
    from pyroctl.web.security.policy import Principal

MOST_VERSIONS = 10


class Changed(PyroctlError):
    """A file is not what its editor has read."""

    code = "changed"


def file_id(path: str) -> str:
    """Return the id of a file."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def etag(path: str) -> str:
    """Return the tag of what a file has now."""
    try:
        with open(path, "rb") as file:
            return f'"{hashlib.sha256(file.read()).hexdigest()[:32]}"'
    except FileNotFoundError:
        return '"none"'


class Versions:
    """Older versions of files, in a directory of the page's own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def write(self, path: str, text: str, expected: str, principal: Principal) -> str:
        """Replace a file, and return the number of the version before.

        Raises Changed if it isn't what `expected` says, and OSError.
        """
        if etag(path) != expected:
            raise Changed(f"{path} has changed since it was read", hint="read it again")
        number = self._keep(path, principal)
        temporary = f"{path}.{os.getpid()}~"
        mode = os.stat(path).st_mode & 0o7777
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(os.path.dirname(path))
        return number

    def list(self, path: str) -> list[dict[str, Any]]:
        """Return the older versions of a file, newest first."""
        found = []
        folder = self._of(path)
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.endswith(".json"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    found.append({"version": name.removesuffix(".json"), **json.load(file)})
        return sorted(found, key=lambda each: -float(each["time"]))

    def read(self, path: str, version: str) -> str:
        """Return the text of an older version; raises Changed if it isn't kept."""
        if not version.isdecimal():
            raise Changed(f"there is no version {version!r}")
        try:
            with open(os.path.join(self._of(path), f"{version}.toml"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            raise Changed(f"version {version} is not kept any more") from None

    def _keep(self, path: str, principal: Principal) -> str:
        folder = self._of(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(path, "rb") as file:
            text = file.read()
        number = f"{time.time_ns() // 1_000_000}"
        about = {"time": time.time(), "who": principal.name}
        write_private(os.path.join(folder, f"{number}.toml"), text, replace=True)
        write_private(os.path.join(folder, f"{number}.json"), json.dumps(about).encode())
        for old in self.list(path)[MOST_VERSIONS:]:
            for ending in ("toml", "json"):
                os.unlink(os.path.join(folder, f"{old['version']}.{ending}"))
        return number

    def _of(self, path: str) -> str:
        return os.path.join(self._folder, file_id(path))
