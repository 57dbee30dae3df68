"""Finds the configuration file.

Every command imports this module, so it imports nothing heavy itself.
"""

from __future__ import annotations

import os
import stat

from pyroctl.errors import ConfigError, Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE_NAME = "pyroctl.toml"


def find_config(
    option: str | None, root: str | None, environ: Mapping[str, str], cwd: str
) -> str | None:
    """Return the absolute path of the configuration file; None means the built-in deployment.

    The first of: `option` (`-c`), `PYROCTL_CONFIG`, `pyroctl.toml` in `cwd`, then `ROOT/` and
    `ROOT/config/` when a root is given, otherwise the user's and the site's configuration
    directory. Raises ConfigError for a file that was named but is missing, and for any that exists
    but can't be read: to pass over it would start another deployment than the user meant.
    """
    if option is not None:
        return _asked_for(option, "-c", cwd)
    if environ.get("PYROCTL_CONFIG"):
        return _asked_for(environ["PYROCTL_CONFIG"], "PYROCTL_CONFIG", cwd)
    for directory in _directories(root, cwd):
        path = os.path.normpath(os.path.join(directory, FILE_NAME))
        if _is_there(path):
            _require_readable(path)
            return path
    return None


def _directories(root: str | None, cwd: str) -> Iterator[str]:
    yield cwd
    if root is not None:
        yield os.path.join(cwd, root)
        yield os.path.join(cwd, root, "config")
        return
    from platformdirs import PlatformDirs

    yield from PlatformDirs("pyroctl", multipath=True).iter_config_dirs()


def _asked_for(name: str, by: str, cwd: str) -> str:
    path = os.path.normpath(os.path.join(cwd, name))
    if not name or not _is_there(path):
        hint = f"{by} names it; pyroctl init FILE writes a starting deployment"
        raise ConfigError([Diagnostic("no such file", file=path, hint=hint)])
    _require_readable(path)
    return path


def _is_there(path: str) -> bool:
    """Return whether the name exists, also as a dangling link or below a forbidden directory."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def _require_readable(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        diagnostic = Diagnostic("is a link to a file that doesn't exist", file=path)
        raise ConfigError([diagnostic]) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Diagnostic(f"can't be read: {reason}", file=path)]) from error
    if stat.S_ISDIR(mode):
        hint = f"name the file in it: {os.path.join(path, FILE_NAME)}"
        raise ConfigError([Diagnostic("is a directory, not a file", file=path, hint=hint)])
    if not stat.S_ISREG(mode):
        hint = "the manager reads it again on reload, so it must be a regular file"
        raise ConfigError([Diagnostic("is not a regular file", file=path, hint=hint)])
    if not os.access(path, os.R_OK):
        raise ConfigError([Diagnostic("can't be read: Permission denied", file=path)])
