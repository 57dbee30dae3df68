"""Takes an identification off the command line, where every user of the machine can read it."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence


def without_ident(arguments: Sequence[str]) -> list[str]:
    """Return the command line without `-i TEXT` in any of its spellings."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        short = re.fullmatch(r"-([Nqv]*)i(.*)", word, re.DOTALL)  # flags may stand before it
        if short is not None and short[1]:
            kept.append(f"-{short[1]}")
        if word == "--ident" or (short is not None and not short[2]):
            next(words, None)
        elif short is None and not word.startswith("--ident="):
            kept.append(word)
    return kept


def start_again(arguments: Sequence[str], ident: str) -> NoReturn:
    """Replace this program by one that reads the identification from a file in memory.

    `arguments` are all that were given. Raises OSError.
    """
    fd = os.memfd_create("ident")
    os.set_inheritable(fd, True)
    os.fchmod(fd, 0o600)
    os.write(fd, os.fsencode(ident))
    program = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
    hidden = [*without_ident(arguments), f"--ident-file=/proc/self/fd/{fd}"]
    os.execv(sys.executable, [sys.executable, *program, *hidden])  # noqa: S606 - this program
