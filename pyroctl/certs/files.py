"""The files in the directory of a site's certificates: read, written and locked.

    ca/cert.pem ca/key.pem        the CA, whose key never leaves this directory
    clients.toml                  the keys that may connect, see `clients`
    issued/NAME/cert.pem key.pem ca.pem     what the host of that name needs
    issued/NAME/joined.toml       where it is renewed, if this host has joined the site
    tokens.toml                   one-time tokens, see `tokens`

A change holds a lock of the directory; each file is replaced atomically.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from os.path import join
from typing import TYPE_CHECKING, TypeVar

from pyroctl.errors import PyroctlError
from pyroctl.private_file import sync_directory, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST = 1 << 20
"""Bytes of a file of certificates."""
CERT, KEY, CA, JOINED = "cert.pem", "key.pem", "ca.pem", "joined.toml"
CLIENTS, TOKENS = "clients.toml", "tokens.toml"
_Parsed = TypeVar("_Parsed")


def folder(directory: str, name: str) -> str:
    """Return the directory with the files of a name."""
    return join(directory, "issued", name)


def issued_names(directory: str) -> list[str]:
    """Return the names that have files here."""
    try:
        entries = os.listdir(join(directory, "issued"))
    except FileNotFoundError:
        return []
    return sorted(entry for entry in entries if not entry.endswith("~"))


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep others from changing the directory."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def read(file: str, *, private: bool = False) -> bytes:
    """Return the content of a file; raises OSError, or PyroctlError for an unusable one."""
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise PyroctlError(f"{file} is not a file of at most {LARGEST} bytes")
        mode = stat.S_IMODE(status.st_mode)
        if private and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PyroctlError(
                f"other users can read {file} (mode {mode:04o}), so it isn't used",
                hint="make a new key if somebody may have read it; otherwise chmod 600",
            )
        with open(fd, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(fd)


def read_key(file: str) -> bytes:
    """Return the content of a private key's file; refuse one that other users can read."""
    return read(file, private=True)


def parse(file: str, parser: Callable[[str], _Parsed]) -> _Parsed:
    """Return what a file says; raises OSError or PyroctlError."""
    try:
        return parser(read(file).decode())
    except ValueError as error:
        raise PyroctlError(f"the file can't be used: {error}", file=file) from None


def write_folder(path: str, files: dict[str, bytes]) -> None:
    """Make a directory with these files, in the place of an earlier one."""
    import secrets

    new, old = (f"{path}.{secrets.token_hex(4)}~" for _ in range(2))
    os.mkdir(new, 0o700)
    try:
        for name, content in files.items():
            write_private(join(new, name), content)
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, old)
        os.rename(new, path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
    sync_directory(os.path.dirname(path))
