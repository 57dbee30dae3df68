"""The soak: a few seconds of it, an early end, and the pure parts of its verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.events.soak.samples import slope
from benchmarks.events.soak.soak import Outcome, Plan
from benchmarks.events.soak.tally import Tally
from benchmarks.events.soak.verdict import facts
from tests.events.service_harness import ROOT
from tests.harness import MARK, eventually, marked_processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def soaking(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a soak; no process of it may be left afterwards."""
    mark = uuid.uuid4().hex
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYRO")} | {MARK: mark}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.events.soak", *arguments],
        cwd=ROOT, env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
    eventually(lambda: not marked_processes(mark), f"all ended: {marked_processes(mark)}")


def await_clients(process: subprocess.Popen[str]) -> str:
    """Wait until the other clients have come, which the first sample shows."""
    assert process.stderr is not None
    return process.stderr.readline()


def test_a_short_run_holds_all_facts(tmp_path: Path) -> None:
    """Nothing is lost, duplicated or reordered beside clients that stall and die; all end."""
    file, plot = tmp_path / "soak.json", tmp_path / "soak.svg"
    files = ("--json", str(file), "--plot", str(plot))
    with soaking("--seconds", "8", "--seed", "3", *files) as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == 0, f"{out}\n{err}"
    seen = json.loads(file.read_text())
    assert [fact["name"] for fact in seen["facts"] if fact["ok"] is False] == []
    assert sum(seen["sent"].values()) > 100
    assert min(len(samples) for samples in seen["samples"].values()) >= 6
    assert min(len(censuses) for censuses in seen["censuses"].values()) >= 2
    assert sum(number for what, number in seen["counts"].items() if "that came" in what) >= 8
    services = {"es", "es-tls", "es-tls-ident"}
    kinds = {"stream", "callback", "stock", "async"}
    assert set(seen["received"]) == {f"{kind}@{name}" for kind in kinds for name in services}
    assert set(seen["samples"]) == {*services, "ns", "ns-tls", "ns-tls-ident", "manager"}
    assert "| no event lost | yes | 0 |" in out
    drawn = ET.parse(plot)
    assert len(drawn.findall("{*}polyline")) == 4 * 3 + 2 * 4
    assert any("no event lost: holds" in "".join(words.itertext()) for words in drawn.iter())


def test_ctrl_c_ends_a_run_early_with_a_summary() -> None:
    """The facts are reported, though the time is not over; every process ends."""
    with soaking("--seconds", "24") as process:
        await_clients(process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        out, err = process.communicate(timeout=50)
    assert process.returncode == 0, f"{out}\n{err}"
    assert "| the healthy published | yes |" in out
    assert "Traceback" not in err


def test_everything_ends_with_a_director_that_is_killed() -> None:
    """This includes stopped processes."""
    with soaking("--seconds", "24") as process:
        assert "0 troubles" in await_clients(process)
        process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 1, 2], (3, 0, 0, 0)),
        ([0, 2], (2, 1, 0, 0)),
        ([0, 1], (2, 1, 0, 0)),
        ([0, 1, 1, 2], (4, 0, 1, 0)),
        ([1, 0, 2], (3, 0, 0, 1)),
        ([], (0, 3, 0, 0)),
    ],
)
def test_a_tally_sees_every_fault(numbers: list[int], expected: tuple[int, ...]) -> None:
    """Of the events 0 to 2, it counts those lost, duplicated or late."""
    tally = Tally()
    for number in numbers:
        tally.take(number)
    assert tuple(tally.result(3).values()) == expected


def test_the_slope_is_that_of_the_line() -> None:
    """It is fitted by least squares; a single point has none."""
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert slope([(0, 1), (1, 3), (2, 1)]) == pytest.approx(0)
    assert slope([(5, 1)]) == 0


def test_a_run_in_which_nothing_was_seen_does_not_pass() -> None:
    """A run without samples fails."""
    failed: list[Any] = [fact.name for fact in facts(Outcome(Plan(8, 30, 1))) if fact.ok is False]
    assert "no event lost" in failed
    assert "descriptors as in the beginning" in failed
    assert "the manager ended in order" in failed
