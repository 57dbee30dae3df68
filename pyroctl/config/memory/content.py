"""What is in the memory: the questions of the check, a proof of the answers, and the result.

The proof is a digest of all answers, of the result, and of the program. It contains no secrets
that the result doesn't: values of env files are left out of the result, and read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING

import pyroctl
from pyroctl.config.check.untrusted import untrusted_paths
from pyroctl.config.memory.values import decode, encode
from pyroctl.config.source.builtin import has_page
from pyroctl.config.source.env_files import EnvFiles
from pyroctl.config.source.inputs import ask
from pyroctl.config.source.text import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyroctl.config.source.env_files import Checked
    from pyroctl.config.source.inputs import Inputs
    from pyroctl.core.spec import Deployment


class OutdatedError(Exception):
    """What is remembered can't be used."""


def to_bytes(checked: Checked, inputs: Inputs) -> bytes:
    """Return what to remember of a configuration that was checked."""
    result = json.dumps(encode(checked))
    head = {"proof": _proof(inputs, result), "questions": inputs.questions()}
    return f"{json.dumps(head)}\n{result}\n".encode()


def from_bytes(
    content: bytes, file: str | None, directory: str, environ: Mapping[str, str]
) -> Deployment:
    """Return the deployment if a check would have the same result now; else raise OutdatedError."""
    try:
        first, result, rest = content.decode().split("\n")
        head = json.loads(first)
        inputs = ask(head["questions"], file, directory, environ)
        if rest or _proof(inputs, result) != head["proof"]:
            raise OutdatedError("something has changed")
        return _deployment(decode(json.loads(result)), inputs)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise OutdatedError("it is damaged") from error
    except (OSError, UnreadableError) as error:
        raise OutdatedError(str(error)) from error


def _deployment(checked: Checked, inputs: Inputs) -> Deployment:
    if any(untrusted_paths(checked.deployment.services, checked.deployment.directory)):
        raise OutdatedError("another user may change what is imported")
    env_files = EnvFiles(inputs.contents.__getitem__)
    for service, files in checked.env_files.items():
        env_files.read(service, files)
    return checked.complete(env_files.variables)


def _proof(inputs: Inputs, result: str) -> str:
    program = (pyroctl.__version__, sys.version, os.geteuid(), has_page(), *_modules())
    parts = (json.dumps(program).encode(), inputs.canonical(), result.encode())
    lengths = json.dumps([len(part) for part in parts]).encode()
    return hashlib.sha256(lengths + b"".join(parts)).hexdigest()


def _modules() -> Iterator[tuple[str, int, int]]:
    """Yield what changes with the modules that decide: a developer's have always one version."""
    home = os.path.dirname(pyroctl.__file__)
    for package in ("config/check", "config/source", "config/memory", "core"):
        for directory, folders, files in os.walk(os.path.join(home, package)):
            folders.sort()
            for file in sorted(files):
                if file.endswith(".py"):
                    status = os.stat(os.path.join(directory, file))
                    yield file, status.st_size, status.st_mtime_ns
