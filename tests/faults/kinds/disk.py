"""A full disk, for logs, state and roster at once, and what is done meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyroctl.certs.token_file import TokenFile
from pyroctl.certs.tokens import SECRET, Token
from tests.faults.fault import Effect, Fault, NotSurvived, Skip
from tests.faults.kinds.processes import ALL
from tests.harness import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from random import Random

    from tests.faults.fault import Where
    from tests.faults.scene import Scene

SMALL = 64 << 20
"""Bytes of a disk that may be filled: one that the run has made for itself."""
_TOKEN = Token("later", (), bytes(SECRET), datetime(3000, 1, 1, tzinfo=UTC))
_RECORDS = frozenset({"es"})
"""Services with files that a later process needs."""


@contextlib.contextmanager
def full_disk(scene: Scene) -> Iterator[None]:
    """Fill the disk to the last byte while the context lasts; raises Skip."""
    root = scene.deployment.root
    if shutil.disk_usage(root).total > SMALL:
        raise Skip("needs root, to mount a small disk")
    ballast = root / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                _fill(file.fileno(), bytes(size))
        yield
    finally:
        ballast.unlink()


def _fill(file: int, data: bytes) -> None:
    try:
        while os.write(file, data):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@contextlib.contextmanager
def no_growing_file(scene: Scene) -> Iterator[None]:
    """Prevent all processes of the deployment from making a file longer (RLIMIT_FSIZE)."""
    limit = resource.RLIMIT_FSIZE
    try:
        for pid in scene.pids().values():
            resource.prlimit(pid, limit, (0, resource.RLIM_INFINITY))
        yield
    finally:
        for pid in scene.pids().values():  # also of those that were started meanwhile
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _while_full(
    disk: Callable[[Scene], contextlib.AbstractContextManager[None]], *commands: tuple[str, ...]
) -> Callable[[Scene, Random], Effect]:
    """Return a fault that runs commands while the disk is full; `kill ROLE` is one, too."""

    def inject(scene: Scene, chance: Random) -> Effect:
        with disk(scene):
            for words in commands:
                time.sleep(chance.uniform(0.1, 0.5))
                if words[0] == "kill":
                    scene.killed(words[1])
                else:
                    scene.deployment.run(*words, code=None)
            time.sleep(chance.uniform(0.1, 0.5))
        scene.start()
        scene.deployment.run("restart", "es", "--yes")  # it has given up its roster
        return Effect(ALL if commands else _RECORDS)

    return inject


def certificates(scene: Scene, _chance: Random) -> Effect:
    """Change the certificates of a site: the old files stay, and nobody is told otherwise."""
    pyroctl = Deployment(scene.deployment.root / "site")  # on the same disk
    pyroctl.root.mkdir(exist_ok=True)
    directory = pyroctl.root / "certs"
    pyroctl.run("certs", "init", "lab", "--force")
    for name in ("camera", "stage"):
        pyroctl.run("certs", "client", name, "--force")
    TokenFile(str(directory)).promise(_TOKEN, "localhost:1", "0" * 64, datetime.now(UTC))
    records = [directory / name for name in ("clients.toml", "tokens.toml")]
    before = _contents(directory)
    with full_disk(scene):
        for words in (("remove", "camera"), ("client", "third"), ("client", "stage", "--force"),
                      ("renew", "stage"), ("remove", "later")):  # fmt: skip
            ended = pyroctl.run("certs", *words, code=None)
            if ended.returncode == 0 or "No space left" not in ended.stderr:
                raise NotSurvived(f"certs {words} ended with {ended.returncode}: {ended.stderr}")
            if (now := _contents(directory)) != before:
                raise NotSurvived(f"certs {words} has changed {now.keys() ^ before.keys()}")
    pyroctl.run("certs", "remove", "camera")
    pyroctl.run("certs", "remove", "later")
    if any(file.read_bytes() == before[str(file)] for file in records):
        raise NotSurvived("a change with space left wasn't written")
    return Effect()


def _contents(directory: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


_CASES: tuple[tuple[str, Where, bool, tuple[tuple[str, ...], ...]], ...] = (
    ("", "adopt", True, ()),
    (", es killed", "adopt", False, (("kill", "es"),)),
    (", es and ns killed", "stop", False, (("kill", "es"), ("kill", "ns"))),
    (", es restarted", "adopt", False, (("restart", "es", "--yes"),)),
    (", handover of es", "stop", False, (("restart", "es", "--handover", "--yes"),)),
    (", manager killed", "adopt", False, (("kill", "manager"), ("start",))),
    (", manager killed, orphans = stop", "stop", False, (("kill", "manager"), ("start",))),
    (", counter stopped and started", "adopt", False, (("stop", "counter"), ("start", "counter"))),
)

FAULTS = [
    *(
        Fault(f"full disk{name}", _while_full(full_disk, *commands), where, quick, most=20)
        for name, where, quick, commands in _CASES
    ),
    Fault("full disk, certificates changed", certificates, most=3),
    Fault("no file can grow", _while_full(no_growing_file, ("kill", "es")), most=20),
]
