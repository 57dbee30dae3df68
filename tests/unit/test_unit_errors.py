"""Internal errors of the manager don't block a service: it can still be started and stopped."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.core.spec import CommandOptions, ServiceSpec
from pyroctl.core.state import SETTLED, Start, State, Stop
from pyroctl.manager.deployment.unit import Unit
from pyroctl.manager.deployment.unit_parts import UnitParts
from pyroctl.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def unit(tmp_path: Path, on_change: Callable[..., Any]) -> Unit:
    """A unit whose process can't be described, without a cleanup process."""
    (tmp_path / "logs").mkdir()
    paths = Paths(str(tmp_path / "run"), str(tmp_path / "state"), str(tmp_path / "logs"))
    spec = ServiceSpec("laser", CommandOptions(("true",)))
    no_cleanup: Any = SimpleNamespace(snapshot=None)
    parts = UnitParts(paths, broken, lambda _: None, on_change, *[no_cleanup] * 3)
    return Unit(spec, parts)


def broken(*_: object) -> Any:
    raise RuntimeError("half an upgrade")


def test_an_internal_error_in_starting_is_a_failed_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The service doesn't stay `starting` for ever; the log has the traceback."""

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


def test_an_internal_error_in_notifying_others_delays_no_later_event(tmp_path: Path) -> None:
    """The caller gets the exception; the next event is still applied."""

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
