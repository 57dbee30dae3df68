"""The file with the memory, in the deployment's state directory; nobody else may use it."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from typing import TYPE_CHECKING

from pyroctl.config.memory.content import OutdatedError, from_bytes
from pyroctl.directories import OTHERS_WRITE, opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import Deployment

NAME = "configuration.checked"
LARGEST = 16 << 20
"""Bytes; what is longer is neither written nor read."""
_OTHERS = 0o077

log = logging.getLogger(__name__)


class Memory:
    """What a deployment's last check has found. Any thread may use it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def recall(self, file: str | None, environ: Mapping[str, str], cwd: str) -> Deployment | None:
        """Return the deployment of a configuration file (absolute), if it is remembered."""
        directory = cwd if file is None else os.path.dirname(file)
        try:
            return from_bytes(self._read(), file, directory, environ)
        except (OSError, OutdatedError) as why:
            log.debug("the configuration is checked: %s", why)
            return None

    def remember(self, content: bytes) -> None:
        """Replace what is remembered; a disk that doesn't permit it costs only time."""
        if len(content) > LARGEST:
            return
        with contextlib.suppress(OSError), opened(self._directory) as directory:
            temporary = f"{NAME}~"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600, dir_fd=directory), "wb") as target:
                target.write(content)
            os.replace(temporary, NAME, src_dir_fd=directory, dst_dir_fd=directory)

    def _read(self) -> bytes:
        with opened(self._directory) as directory:
            if os.fstat(directory).st_mode & OTHERS_WRITE:
                raise OutdatedError("other users can write the state directory")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(NAME, flags, dir_fd=directory), "rb") as source:
                status = os.fstat(source.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    raise OutdatedError(f"{NAME} is not a file of ours")
                if status.st_mode & _OTHERS or status.st_nlink != 1:
                    raise OutdatedError(f"other users can use {NAME}")
                return source.read(LARGEST + 1)
