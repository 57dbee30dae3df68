"""Kind `command`: any program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroctl.core.spec import CommandOptions

PYTHON_NAMES = frozenset({"python", "python3"})


def argv(options: CommandOptions, python: str) -> tuple[str, ...]:
    """Give the command line; a bare `python` is the interpreter that runs the manager.

    So a service finds the packages that were installed beside pyroctl, without an activated
    virtual environment.
    """
    program, *rest = options.command
    return (python if program in PYTHON_NAMES else program, *rest)
