"""The `pyroctl` console script."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from pyroctl.errors import EXIT_FAILED, EXIT_INTERRUPTED, system_error


def entry() -> None:
    """Run the command line of this process, and exit."""
    try:
        _prepare_streams()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except (OSError, ImportError) as error:  # for example too few descriptors for the imports
        with contextlib.suppress(OSError):
            sys.stderr.write(f"pyroctl: cannot run: {_describe(error)}\n")
        code = EXIT_FAILED
    sys.exit(code)


def _describe(error: OSError | ImportError) -> str:
    if isinstance(error, ImportError):
        return str(error)
    told = system_error(error)
    return f"{told}\n    hint: {told.hint}" if told.hint else str(told)


def run(args: list[str]) -> int:
    """Run one command line and return the exit code.

    The imports are here so that Ctrl-C during them shows no traceback.
    """
    from pyroctl.cli import fast_path

    code = None if "_PYROCTL_COMPLETE" in os.environ else fast_path.run(args)
    if code is None:
        from pyroctl.cli import group

        code = group.run(args)
    return code


def _prepare_streams() -> None:
    """Open standard streams that are closed, and escape what their encoding does not have.

    Otherwise the next socket or file of this process or its children would become, for example, its
    standard output.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            os.set_inheritable(number, True)
            if null != number:
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
