"""A second user, for tests of what other users may do; only root can become one."""

from __future__ import annotations

import functools
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import BIN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OTHER = 65534
"""The user and group `nobody`, whom no file of a test belongs to unless it is given away."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def give_away(path: Path) -> None:
    """Make the other user the owner of a file, a directory or a link."""
    os.chown(path, OTHER, OTHER, follow_symlinks=False)


def run_as_other(
    command: Sequence[str | Path], groups: Sequence[int] = (), **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command as the other user, in further groups."""
    return subprocess.run(
        command, user=OTHER, group=OTHER, extra_groups=list(groups), cwd="/", text=True,
        capture_output=True, check=False, timeout=50, **more,
    )  # fmt: skip


@functools.cache
def others_can_run_pyroctl() -> bool:
    """Return whether pyroctl is installed where other users may go."""
    try:
        return run_as_other([BIN / "pyroctl", "--version"]).returncode == 0
    except PermissionError:
        return False
