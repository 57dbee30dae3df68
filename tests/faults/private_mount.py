"""A small disk of the run's own, which it may fill; seen by its processes only, gone with them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 48 << 20
"""Bytes."""
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18


def enter() -> bool:
    """Separate the mounts of this process, before it has threads; only root can."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        return False
    return not libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


@contextlib.contextmanager
def small_disk(*, private: bool) -> Iterator[Path]:
    """Make a directory, which is a disk of its own if the mounts are private."""
    with tempfile.TemporaryDirectory() as directory:
        libc = ctypes.CDLL(None)
        path = os.fsencode(directory)
        options = f"size={SIZE},mode=700".encode()
        mounted = private and not libc.mount(b"tmpfs", path, b"tmpfs", 0, options)
        try:
            yield Path(directory)
        finally:
            if mounted:
                libc.umount2(path, 2)  # MNT_DETACH: nothing may keep it
