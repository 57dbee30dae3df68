"""Faults of the manager's own don't wedge a service: it can still be started and stopped."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.state import SETTLED, Start, State, Stop
from pyroctl.manager.deployment.unit import Unit, UnitParts
from pyroctl.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unit(tmp_path: Path, on_change: Callable[..., Any]) -> Unit:
    """A unit whose process can't be described, without a cleanup process."""
    (tmp_path / "logs").mkdir()
    paths = Paths(*(str(tmp_path / name) for name in ("run", "state", "logs")))
    spec = ServiceSpec("laser", CommandOptions(("true",)))
    nobody: Any = SimpleNamespace(snapshot=None)
    return Unit(spec, UnitParts(paths, broken, lambda _: None, on_change, nobody, nobody))


def broken(*_: object) -> Any:
    raise RuntimeError("half an upgrade")


def test_a_fault_in_starting_is_a_failed_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a service that is starting for ever; the log has the traceback."""

    async def run() -> None:
        laser = unit(tmp_path, lambda *_: None)
        laser.send(Start())
        assert (laser.state, laser.service_state.reason) == (
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
        working: list[int] = []
        laser = unit(tmp_path, lambda *_: None if working else broken())
        with pytest.raises(RuntimeError):
            laser.send(Start())
        working.append(1)
        laser.send(Stop())
        assert (await laser.wait_until(SETTLED)).state is State.STOPPED
        laser.close()

    asyncio.run(run())
