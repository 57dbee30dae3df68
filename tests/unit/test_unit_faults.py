"""Faults of the manager's own don't wedge a service: it can still be started and stopped."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.state import SETTLED, Start, State, Stop
from pyroctl.manager.deployment.unit import Unit
from pyroctl.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Nobody:
    """Stands for the guard and for who looks after strays."""

    def census(self) -> list[int]:
        return []


def unit(
    tmp_path: Path, *, surroundings: Callable[..., Any], on_change: Callable[..., Any]
) -> Unit:
    (tmp_path / "logs").mkdir()
    paths = Paths(*(str(tmp_path / name) for name in ("run", "logs")))
    spec = ServiceSpec("laser", CommandOptions(("true",)))
    nobody: Any = Nobody()
    return Unit(spec, paths, surroundings, lambda _: None, nobody, on_change, strays=nobody)


def broken(*_: object) -> Any:
    raise RuntimeError("half an upgrade")


def test_a_fault_in_starting_is_a_failed_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a service that is starting for ever; the log has the traceback."""

    async def run() -> None:
        laser = unit(tmp_path, surroundings=broken, on_change=lambda *_: None)
        laser.send(Start())
        assert (laser.state, laser.life.reason) == (
            State.FAILED,
            "cannot start: half an upgrade",
        )
        laser.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert "half an upgrade" in caplog.text


def test_a_fault_in_telling_others_delays_no_later_event(tmp_path: Path) -> None:
    """Who caused it hears of it; the next event is applied all the same."""

    async def run() -> None:
        laser = unit(tmp_path, surroundings=broken, on_change=broken)
        with pytest.raises(RuntimeError):
            laser.send(Start())
        laser._on_change = lambda *_: None
        laser.send(Stop())
        assert (await laser.wait_until(lambda life: life.state in SETTLED)).state is State.STOPPED
        laser.close()

    asyncio.run(run())
