"""Opens directories such that no other user decides where a path leads.

Whoever may replace a part of a path by a symbolic link has the owner of a process create, change
and delete files wherever that link leads. So each part is opened relative to the one before, and a
link is followed only if its owner is trusted: us, root, and whoever owns `/` (in a user namespace
root has another number). All methods raise OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from pyroctl.accounts import describe_user

PRIVATE = 0o700
MOST_LINKS = 40
"""As in the kernel."""
_ANYTHING = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = _ANYTHING | os.O_DIRECTORY


class NotTrustedError(PermissionError):
    """A part of the path, `filename`, belongs to another user."""


def open_directory(path: str, *, create: bool = False, follow: bool = True) -> int:
    """Return a descriptor of the directory; with `create`, make what is missing, for us alone.

    Every directory above it must be trusted or sticky (as /tmp is, where nobody can rename what
    belongs to others). Raises NotTrustedError, and without `follow` an OSError with ELOOP if the
    last part is a link.
    """
    walk = _Walk(create=create, follow=follow)
    try:
        walk.descend(os.path.abspath(path))
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walk.fd)
    except OSError as error:
        if not isinstance(error, NotTrustedError):
            error.filename = walk.path
        raise
    finally:
        os.close(walk.fd)


class _Walk:
    """The way down from `/`: the directory that was reached, and how to go on."""

    def __init__(self, *, create: bool, follow: bool) -> None:
        self.fd = os.open("/", _DIRECTORY)
        self.path = "/"
        self._trusted = {0, os.geteuid(), os.fstat(self.fd).st_uid}
        self._create = create
        self._follow = follow

    def descend(self, path: str) -> None:
        """Go down to the directory of an absolute path."""
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            inner = self._open(part)
            try:
                status = os.fstat(inner)
                self._check(status)
                if not stat.S_ISLNK(status.st_mode):
                    self.fd, inner = inner, self.fd
                    continue
                links += 1
                if links > MOST_LINKS or not (todo or self._follow):
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = os.readlink("", dir_fd=inner)
            finally:
                os.close(inner)
            todo += target.split("/")[::-1]
            self._leave(target)

    def _open(self, part: str) -> int:
        """Open what is called so here: a directory or a link."""
        self.path = os.path.normpath(os.path.join(self.path, part))
        try:
            return os.open(part, _DIRECTORY, dir_fd=self.fd)
        except FileNotFoundError:
            if not self._create:
                raise
        except NotADirectoryError:
            inner = os.open(part, _ANYTHING, dir_fd=self.fd)
            if stat.S_ISLNK(os.fstat(inner).st_mode):
                return inner
            os.close(inner)
            raise
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.mkdir(part, PRIVATE, dir_fd=self.fd)
        return os.open(part, _DIRECTORY, dir_fd=self.fd)

    def _leave(self, target: str) -> None:
        """Return from a link to where its target starts."""
        self.path = os.path.dirname(self.path)
        if target.startswith("/"):
            root = os.open("/", _DIRECTORY)
            os.close(self.fd)
            self.fd, self.path = root, "/"

    def _check(self, status: os.stat_result) -> None:
        is_link = stat.S_ISLNK(status.st_mode)
        sticky = status.st_mode & stat.S_ISVTX and not is_link
        if status.st_uid not in self._trusted and not sticky:
            what = "is a symbolic link of" if is_link else "belongs to"
            owner = describe_user(status.st_uid)
            raise NotTrustedError(errno.EPERM, f"{what} another user, {owner}", self.path)
