"""Shares a deployment with other users: `[[manager.allow]]`.

The kernel tells the manager who is at the other end of the control socket (SO_PEERCRED), and that
decides. The permissions of files only let in who may be granted something.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
from typing import TYPE_CHECKING

from pyroctl.accounts import describe_user
from pyroctl.core.access import NEEDED, ROLES, Grant, role_of, role_of_client, suffices
from pyroctl.directories import opened
from pyroctl.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyroctl.core.spec import AllowSpec, Deployment
    from pyroctl.paths import Paths

NOBODY_ELSE, ONE_GROUP, ANYBODY = (0o700, 0o600), (0o750, 0o660), (0o711, 0o666)
"""Modes of the runtime directory and of the control socket."""

log = logging.getLogger(__name__)


class Sharing:
    """The users of a deployment's manager, and how far its files are open for them."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._grants: tuple[Grant, ...] = ()
        self._file: str | None = None
        self._logs_open = False

    def apply(self, deployment: Deployment) -> None:
        """Use the rules of a deployment from now on: for requests, and for the files.

        Names that this machine doesn't know are logged, and so is what can't be opened.
        """
        self._file = deployment.file
        self._grants = tuple(_grant(rule) for rule in deployment.allow)
        try:
            self._open_files()
        except OSError as error:
            log.warning("the control socket can't be shared: %s", error)

    def permit(self, user: int, groups: Collection[int], do: str | None) -> None:
        """Raise NotPermitted unless a user in these groups may do that (None: anything at all)."""
        if user in {0, os.geteuid()}:
            return
        self._require(role_of(self._grants, user, groups), describe_user(user), do)

    def permit_client(self, name: str, do: str) -> None:
        """Raise NotPermitted unless the client whose certificate has this name may do that."""
        self._require(role_of_client(self._grants, name), f"the client {name}", do)

    def _require(self, role: str | None, who: str, do: str | None) -> None:
        owner = describe_user(os.geteuid())
        if role is None:
            raise NotPermitted(
                f"not permitted: {who} may not use this manager",
                hint=f"{owner}, who runs it, grants roles with [[manager.allow]]{self._where()}",
            )
        if do is None:
            return
        if not suffices(role, do):
            needed = NEEDED.get(do, ROLES[-1])
            raise NotPermitted(
                f"not permitted: {who} has the role {role}, and {do} needs the role {needed}",
                hint=f"{owner}, who runs the manager, grants it with [[manager.allow]]"
                f"{self._where()}",
            )
        if NEEDED.get(do) != ROLES[0]:
            log.info("%s, requested by %s", do, who)

    def _where(self) -> str:
        return f" in {self._file}" if self._file else ""

    def _open_files(self) -> None:
        groups = {group for grant in self._grants for group in grant.groups}
        users = {user for grant in self._grants for user in grant.users}
        modes, logs = NOBODY_ELSE, False
        if groups or users:
            modes = ANYBODY
            if len(groups) == 1 and not users:
                logs = self._give_to_group(groups.pop())
                modes = ONE_GROUP if logs else ANYBODY
            self._warn_if_closed()
        directory, sock = modes
        os.chmod(self._paths.socket, sock)
        with opened(self._paths.run) as fd:
            os.fchmod(fd, directory)
        if self._logs_open and not logs:
            os.chmod(self._paths.logs, 0o700)
        self._logs_open = logs

    def _give_to_group(self, group: int) -> bool:
        """Change the group of socket, runtime directory and logs; return whether we could."""
        try:
            with opened(self._paths.run) as fd:
                os.fchown(fd, -1, group)
                os.chown("control.sock", -1, group, dir_fd=fd, follow_symlinks=False)
            os.chown(self._paths.logs, -1, group)
            os.chmod(self._paths.logs, ONE_GROUP[0])
        except PermissionError:
            log.warning(
                "%s is not in group %s: the control socket is open for all users, and each"
                " request is checked", describe_user(os.geteuid()), group,
            )  # fmt: skip
            return False
        return True

    def _warn_if_closed(self) -> None:
        above = os.path.dirname(self._paths.run)
        if not os.stat(above).st_mode & 0o011:
            log.warning("[[manager.allow]]: other users can't enter %s (chmod +x)", above)


def _grant(rule: AllowSpec) -> Grant:
    users = _numbers("user", rule.users)
    return Grant(rule.role, users, _numbers("group", rule.groups), rule.clients)


def _numbers(kind: str, names: Iterable[str]) -> tuple[int, ...]:
    found = []
    for name in names:
        if name.isdecimal():
            found.append(int(name))
            continue
        try:
            found.append(pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid)
        except KeyError:
            log.warning("[[manager.allow]]: there is no %s %r on this machine", kind, name)
    return tuple(found)
