"""Makes a command of root that of the deployment's owner (`--as-owner`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyroctl.accounts import describe_user
from pyroctl.errors import NotPermitted, system_error

if TYPE_CHECKING:
    from pyroctl.cli.app import App


def become_owner(app: App) -> None:
    """Become the user whom the configuration file, or else the --root directory, belongs to.

    The environment becomes that user's, as far as it says where the user's files are. Raises
    NotPermitted unless that is possible, ConfigError if the file can't be read.
    """
    place = app.config or app.root
    if place is None:
        return
    try:
        status = os.stat(place)
    except OSError as error:
        raise system_error(error) from None
    if status.st_uid == os.geteuid():
        return
    if os.geteuid() != 0:
        raise NotPermitted(
            f"only root can become the owner of {place}, {describe_user(status.st_uid)}",
            hint="run the command as that user",
        )
    _become(status.st_uid, status.st_gid)


def _become(uid: int, gid: int) -> None:
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # as in a container, where the file comes from outside
        name, home = str(uid), "/"
        os.setgroups([])
    else:
        name, home, gid = entry.pw_name, entry.pw_dir, entry.pw_gid
        os.initgroups(name, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    for variable in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[variable]
    os.environ.update(HOME=home, USER=name, LOGNAME=name)
    runtime = f"/run/user/{uid}"
    if os.access(runtime, os.W_OK):
        os.environ["XDG_RUNTIME_DIR"] = runtime
