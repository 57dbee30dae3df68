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
    except BrokenPipeError:  # the reader has seen enough (| head)
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


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
