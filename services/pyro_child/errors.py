"""What a program says about errors of the system."""

from __future__ import annotations

import errno
import resource

from pyro_child.stop import CannotServe


def describe(error: BaseException) -> str:
    """Return the text of an error; those of the system say it without their number."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def shortage(error: BaseException) -> str | None:
    """Return what to tell people if the cause of an error is that descriptors ran out."""
    cause: BaseException | None = error
    while cause is not None:
        number = getattr(cause, "errno", None)
        if number == errno.EMFILE:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return f"no more file descriptors (ulimit -n is {limit}): raise the limit"
        if number == errno.ENFILE:
            return "no more file descriptors in the whole system: raise fs.file-max"
        cause = cause.__cause__ or cause.__context__
    return None


def reason_to_end(error: Exception) -> tuple[str, int]:
    """Return why a service ends, for people, and its exit code; raise an error that is a bug."""
    if (lacking := shortage(error)) is not None:
        return lacking, 1
    if isinstance(error, CannotServe):
        return str(error), error.exit_code
    raise error
