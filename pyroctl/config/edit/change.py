"""Changes settings: writes the one drop-in that is ours, and never another file.

A change is made only if the whole configuration is valid with it.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.config.load import Loaded, load
from pyroctl.config.source.listing import dropin_directory
from pyroctl.config.source.read import read_document
from pyroctl.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyroctl.config.source.diagnostics import Path

DROPIN = "90-pyroctl.toml"
HEAD = """\
# Written by `pyroctl config set`, which replaces this file: put your own settings into another one.

"""

Table = dict[str, Any]


class Changed(NamedTuple):
    """The result of a change."""

    file: str
    loaded: Loaded
    """The configuration with the change."""
    wrote: bool
    """Whether the drop-in had to be changed."""


def set_value(file: str, path: Path, value: Any, environ: Mapping[str, str]) -> Changed:
    """Set a key of a configuration.

    Raises ConfigError, and changes nothing, if the configuration would not be valid; OSError if
    the drop-in can't be written. Several processes may do this at the same time.
    """

    def put(data: Table) -> None:
        for key in path[:-1]:
            inner = data.get(str(key))
            data[str(key)] = inner if isinstance(inner, dict) else {}
            data = data[str(key)]
        data[str(path[-1])] = value

    return _change(file, put, environ)


def unset_value(file: str, path: Path, environ: Mapping[str, str]) -> Changed:
    """Remove a key from our drop-in, with all that is below it; raises as `set_value`."""
    return _change(file, lambda data: _remove(data, path), environ)


def is_in_effect(loaded: Loaded, path: Path, value: Any, file: str) -> bool:
    """Return whether this file sets the value in effect of a key, and of all keys below it."""
    if isinstance(value, dict) and value:
        return all(is_in_effect(loaded, (*path, key), v, file) for key, v in value.items())
    return loaded.origin(path).file == file


def our_dropin(file: str) -> str:
    """Return the path of the drop-in that is ours."""
    return os.path.join(dropin_directory(file), DROPIN)


def _change(file: str, edit: Callable[[Table], None], environ: Mapping[str, str]) -> Changed:
    import tomli_w

    dropin = our_dropin(file)
    with _locked(os.path.dirname(dropin)):
        before = _data(dropin)
        data = copy.deepcopy(before)
        edit(data)
        text = HEAD + tomli_w.dumps(data) if data else None
        try:
            loaded = load(file, environ, os.path.dirname(file), {dropin: text})
        except ConfigError as error:
            raise ConfigError(
                [_unplaced(diagnostic, dropin) for diagnostic in error.diagnostics]
            ) from error
        if text is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(dropin)
        elif data != before:
            _write(dropin, text)
    return Changed(dropin, loaded, data != before)


def _data(file: str) -> Table:
    if not os.path.lexists(file):
        return {}
    return read_document(file).data


def _unplaced(diagnostic: Diagnostic, file: str) -> Diagnostic:
    """Leave out a place in a text that was never written."""
    if diagnostic.file != file:
        return diagnostic
    return Diagnostic(
        diagnostic.message,
        key=diagnostic.key,
        service=diagnostic.service,
        hint=diagnostic.hint,
    )


def _remove(data: Table, path: Path) -> None:
    """Remove a key, and the tables that are empty without it."""
    key = str(path[0])
    if len(path) == 1:
        data.pop(key, None)
    elif isinstance(data.get(key), dict):
        _remove(data[key], path[1:])
        if not data[key]:
            del data[key]


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Lock our drop-in. The directory is created, and removed if it stays empty."""
    descriptor = _lock(directory)
    try:
        yield
        os.fsync(descriptor)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
        os.close(descriptor)


def _lock(directory: str) -> int:
    """Lock a directory, which another process may be removing because it is empty."""
    while True:
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(directory)):
                return descriptor
        os.close(descriptor)


def _write(file: str, text: str) -> None:
    """Replace the content of a file atomically."""
    target = os.path.realpath(file)
    new = f"{target}.{os.getpid()}.new"
    try:
        with open(new, "x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(new, os.stat(target).st_mode & 0o777)
        os.replace(new, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise
