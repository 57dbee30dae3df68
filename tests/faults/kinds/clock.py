"""The wall clock jumps, for the whole deployment.

A time namespace can't do that, and libfaketime breaks time.sleep of CPython; so `clock_shift.c` is
compiled and preloaded, where there is a C compiler.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.fault import Effect, Fault, Skip
from tests.faults.scene import Scene

if TYPE_CHECKING:
    from random import Random

_SOURCE = Path(__file__).with_name("clock_shift.c")
_DAY = 86_400
_JUMPS = (3600, -_DAY, 400 * _DAY, -1, 0)
"""Seconds from the true time."""


def _compiled(directory: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        raise Skip("needs a C compiler")
    library = directory / "clock_shift.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O", "-o", library, _SOURCE], check=True)
    return library


def jumps(_scene: None, chance: Random) -> Effect:
    """Make the clock jump while events flow, and kill the event service each time."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        clock = Path(directory) / "clock"
        clock.write_bytes(bytes(8))
        scene = Scene(Path(directory) / "root", "adopt")
        library = _compiled(Path(directory))
        scene.deployment.env |= {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(clock)}
        with scene:
            for jump in _JUMPS:
                time.sleep(chance.uniform(0.1, 0.5))
                with clock.open("r+b") as file:
                    file.write(jump.to_bytes(8, "little", signed=True))
                worst = max(worst, scene.check(Effect())[1])
                scene.killed("es")
                worst = max(worst, scene.check(Effect(frozenset({"es"}), {"es": 1}))[1])
            scene.deployment.run("restart", "es", "--yes")
            scene.check(Effect(frozenset({"es"})))
    return Effect(note=f"{len(_JUMPS)} jumps, recovery {worst:.1f} s")


FAULTS = [Fault("the wall clock jumps", jumps, "alone", most=3)]
