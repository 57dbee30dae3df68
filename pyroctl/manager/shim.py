"""Runs between fork and exec of every service: `python -I -S shim.py SETTINGS COMMAND…`.

A separate little program instead of `preexec_fn`, which isn't safe beside threads. It asks the
kernel for a signal when the manager dies (the first of the three rings that let no service outlive
its manager), applies the service's limits and identity, and becomes the service. It may import
only what starts fast. A failure is said on stderr and ends with 125: trying again is pointless.
"""

import ctypes
import grp
import json
import os
import pwd
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PERMANENT_FAILURE = 125


def main() -> None:
    """Prepare this process and replace it by the service."""
    settings = json.loads(sys.argv[1])
    command = sys.argv[2:]
    follow_parent(settings["parent"])
    try:
        set_limits(settings)
        set_identity(settings)
        os.chdir(settings["cwd"])
    except (OSError, ValueError, KeyError) as error:
        give_up(f"cannot prepare the service: {error}")
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them; others must not inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        give_up(f"cannot execute {command[0]!r}: {error.strerror}")


def follow_parent(parent: int) -> None:
    """Get SIGTERM when the manager ends, also if that happened before we could ask for it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(PERMANENT_FAILURE)


def set_limits(settings: dict) -> None:  # type: ignore[type-arg] # stays free of typing imports
    """Apply resource limits, niceness and umask."""
    for name, value in settings.get("limits", {}).items():
        limit = resource.RLIM_INFINITY if value < 0 else value
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (limit, limit))
    if settings.get("nice") is not None:
        os.setpriority(os.PRIO_PROCESS, 0, settings["nice"])
    if settings.get("umask") is not None:
        os.umask(settings["umask"])


def set_identity(settings: dict) -> None:  # type: ignore[type-arg] # as above
    """Become the service's user and group, with that user's home."""
    user, group = settings.get("user"), settings.get("group")
    if user is None and group is None:
        return
    gid = grp.getgrnam(group).gr_gid if group else None
    if user is not None:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid if gid is None else gid)
        os.setgid(entry.pw_gid if gid is None else gid)
        os.setuid(entry.pw_uid)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # a change of user clears it
        os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user, SHELL=entry.pw_shell)
    elif gid is not None:
        os.setgid(gid)


def give_up(message: str) -> None:
    """Say why, and that it is for good."""
    print(f"pyroctl: {message}", file=sys.stderr)  # noqa: T201 - goes to the service's log
    sys.exit(PERMANENT_FAILURE)


if __name__ == "__main__":
    main()
