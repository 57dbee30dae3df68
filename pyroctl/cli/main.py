"""The `pyroctl` console script."""

from __future__ import annotations

import contextlib
import os
import sys

from pyroctl.errors import EXIT_INTERRUPTED


def entry() -> None:
    """Run the command line of this process, and exit."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # somebody read enough (| head)
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def run(args: list[str]) -> int:
    """Run one command line; gives the exit code.

    What is imported here may be interrupted without a traceback.
    """
    from pyroctl.cli.status.fast_path import quick

    code = None if "_PYROCTL_COMPLETE" in os.environ else quick(args)
    if code is None:
        from pyroctl.cli.group import run as run_any

        code = run_any(args)
    return code
