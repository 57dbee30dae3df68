"""Runs between fork and exec of a service: `python -I -S shim.py KEY=VALUE… -- COMMAND…`.

A separate program instead of `preexec_fn`, which isn't safe with threads. It asks the kernel for a
signal when the manager dies (one of the rings that let no service outlive its manager), applies the
service's limits and identity, and becomes the service. It reports a failure on stderr and exits
with 125: trying again is pointless.

Every start of such a service waits for this self-contained script, so it imports next to nothing:
`signal` and `json` alone would double its time.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SIG_DFL, SIGPIPE, SIGTERM, SIGXFSZ = 0, 13, 15, 25
PERMANENT_FAILURE = 125
LISTEN_FD = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)

libc = ctypes.CDLL(None)


def main() -> None:
    """Prepare this process, and replace it with the service."""
    split = sys.argv.index("--")
    settings = [argument.partition("=")[::2] for argument in sys.argv[1:split]]
    command = sys.argv[split + 1 :]
    try:
        for key, value in settings:
            SETTERS[key](value)
    except (OSError, ValueError, LookupError) as error:
        why = getattr(error, "strerror", None) or error.args[0]
        give_up(f"cannot prepare the service ({key} {value!r}): {why}")
    for number in (SIGPIPE, SIGXFSZ):  # Python ignores them; the service must not
        libc.signal(number, SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - its purpose
    except OSError as error:
        user = next((f" as user {v.partition(':')[0]}" for k, v in settings if k == "user"), "")
        give_up(f"cannot execute {command[0]!r}{user}: {error.strerror}")


def follow(parent: str) -> None:
    """Request SIGTERM for the end of the manager; exit if that has already happened.

    It comes last, because a change of user would clear the request.
    """
    libc.prctl(PR_SET_PDEATHSIG, SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(PERMANENT_FAILURE)


def pass_socket(fd: str) -> None:
    """Pass the listening socket as sd_listen_fds(3) expects it."""
    for variable in ("PYROCTL_CONTROL_FD", "PYROCTL_RING_FD"):
        if os.environ.get(variable) == str(LISTEN_FD):
            elsewhere = os.dup(LISTEN_FD)
            os.set_inheritable(elsewhere, True)
            os.environ[variable] = str(elsewhere)
    if int(fd) != LISTEN_FD:
        os.dup2(int(fd), LISTEN_FD)
        os.close(int(fd))
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="pyroctl")


def set_limit(setting: str) -> None:
    """Set one resource limit, hard and soft: NAME:VALUE, negative for unlimited."""
    import resource

    name, _, text = setting.partition(":")
    limit = max(int(text), resource.RLIM_INFINITY)
    resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (limit, limit))


def set_group(group: str) -> None:
    """Change the group."""
    import grp

    gid = grp.getgrnam(group).gr_gid
    os.setgroups([gid])
    os.setgid(gid)


def set_user(user: str) -> None:
    """Change the user, with its groups (unless one was chosen), home and shell."""
    import pwd
    import warnings  # noqa: F401 - execvp imports it, and that user may not be able to read it

    name, _, group = user.partition(":")
    entry = pwd.getpwnam(name)
    if not group:
        os.initgroups(name, entry.pw_gid)
        os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=name, LOGNAME=name, SHELL=entry.pw_shell)


def give_up(message: str) -> None:
    """Report a permanent failure."""
    print(f"pyroctl: {message}", file=sys.stderr)  # noqa: T201 - for the service's log
    sys.exit(PERMANENT_FAILURE)


SETTERS = {
    "parent": follow,
    "listen": pass_socket,
    "limit": set_limit,
    "nice": lambda nice: os.setpriority(os.PRIO_PROCESS, 0, int(nice)),
    "group": set_group,
    "user": set_user,
    "umask": lambda umask: os.umask(int(umask)),
    "cwd": os.chdir,
}


if __name__ == "__main__":
    main()
