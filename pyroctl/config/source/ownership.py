"""What root doesn't use: files that another user may write decide what root's services do."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.accounts import describe_user

if TYPE_CHECKING:
    from collections.abc import Collection


class Distrust(NamedTuple):
    """Why root must not use a file or directory, and what to do."""

    reason: str
    hint: str


def distrust(
    path: str, status: os.stat_result, users: Collection[int] = (), *, uid: int | None = None
) -> Distrust | None:
    """Return why we must not use a file or directory, or None; anybody but root may use all.

    It must belong to root, to whoever owns `/` (root in a user namespace), or to one of `users`,
    and nobody else may write it; the group of root may. `uid` stands for ours.
    """
    if (os.geteuid() if uid is None else uid) != 0:
        return None
    if status.st_uid not in {0, os.stat("/").st_uid, *users}:
        return Distrust(
            f"belongs to {describe_user(status.st_uid)}, and the command runs as root",
            "--as-owner runs it as the configuration file's owner;"
            f" if you trust the content: chown root {path}",
        )
    others = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != 0 else 0)
    if status.st_mode & others:
        mode = stat.S_IMODE(status.st_mode)
        return Distrust(
            f"can be written by other users (mode {mode:04o}), and the command runs as root",
            f"chmod go-w {path}",
        )
    return None
