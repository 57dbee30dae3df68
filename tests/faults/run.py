"""Injects faults, one after the other in a random order, and fills the table."""

from __future__ import annotations

import contextlib
import random
import sys
import time
import traceback
from typing import TYPE_CHECKING

from tests.faults.fault import Effect, NotSurvived, Row, Skip
from tests.faults.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tests.faults.fault import Fault
    from tests.faults.security import Mode

LONGEST_PAUSE = 0.3
"""Seconds from one check to the next fault, at most."""


class Run:
    """A run over some faults; `log` gets what people want to see at once."""

    def __init__(self, root: Path, seed: int, log: Callable[[str], None]) -> None:
        self._root = root
        self._chance = random.Random(seed)
        self._log = log
        self._scenes = 0
        self.rows: dict[str, Row] = {}

    def play(self, faults: Sequence[Fault], times: int) -> None:
        """Inject each fault `times` times, in random order, those of one deployment together.

        Half of those in a deployment happen where clients identify themselves, and half of these
        where they use TLS, too.
        """
        for fault in faults:
            self.rows[fault.name] = Row(fault.name)
        for where in ("alone", "adopt", "stop"):
            drawn = [f for f in faults if f.where == where for _ in range(min(times, f.most))]
            self._chance.shuffle(drawn)
            if where == "alone":
                for fault in drawn:
                    self._inject(fault, None)
            else:
                half, most = len(drawn) // 2, len(drawn) * 3 // 4
                self._play_in(where, "plain", drawn[:half])
                self._play_in(where, "ident", drawn[half:most])
                self._play_in(where, "tls+ident", drawn[most:])

    def _play_in(self, orphans: str, mode: Mode, faults: Iterable[Fault]) -> None:
        """Play them in one deployment, and in another one after each that was not survived."""
        with contextlib.ExitStack() as stack:
            scene: Scene | None = None
            for fault in faults:
                if scene is None:
                    scene = stack.enter_context(self._scene(orphans, mode))
                time.sleep(self._chance.uniform(0.0, LONGEST_PAUSE))
                if not self._inject(fault, scene):
                    scene = None
                    self._close(stack, well=False)
            self._close(stack, well=True)

    def _scene(self, orphans: str, mode: Mode) -> Scene:
        self._scenes += 1
        return Scene(self._root / str(self._scenes), orphans, mode)

    def _close(self, stack: contextlib.ExitStack, *, well: bool) -> None:
        """End a deployment; if all was well, so has to be its end: nothing is left behind."""
        try:
            stack.close()
        except Exception:  # noqa: BLE001 - reported in the table
            self._log(f"the shutdown failed\n{traceback.format_exc()}")
            if well:
                row = self.rows.setdefault("shutdown", Row("shutdown after all faults"))
                row.times += 1
                row.note(traceback.format_exc().splitlines()[-1])

    def _inject(self, fault: Fault, scene: Scene | None) -> bool:
        row, began = self.rows[fault.name], time.monotonic()
        lost, seconds = 0, 0.0
        try:
            effect = fault.inject(scene, self._chance)
            row.times += 1
            if scene is not None:
                lost, seconds = scene.check(effect)
        except Skip as reason:
            effect = Effect(note=f"skipped: {reason}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the fault was not survived
            row.times = max(row.times, row.survived + 1)
            row.note(f"{type(error).__name__}: {str(error)[:300]}")
            text = "" if isinstance(error, NotSurvived) else traceback.format_exc()
            self._log(f"NOT SURVIVED {fault.name}: {error}\n{text}")
            if scene is not None:
                self._log(scene.logs())
            return False
        else:
            row.survived += 1
        row.lost += lost
        row.fuzzed += effect.fuzzed
        row.worst = max(row.worst, seconds)
        row.note(effect.note)
        self._log(f"{time.monotonic() - began:5.1f} s  {fault.name}: {lost} lost {effect.note}")
        return True


def to_stderr(text: str) -> None:
    """Print at once."""
    print(text, file=sys.stderr, flush=True)
