"""A bounded part of the fault suite; `make faults` runs the whole, many times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.events.service_harness import ROOT
from tests.faults.fault import Effect, Row, markdown, summary
from tests.faults.invariant import Seen, violations
from tests.harness import MARK, eventually, marked_processes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(240)
def test_the_quick_faults_are_survived(tmp_path: Path) -> None:
    """After each of them everything is well again; no process of the run is left."""
    mark = uuid.uuid4().hex
    file = tmp_path / "table.json"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--quick", "--json", file],
        cwd=ROOT, env={**os.environ, MARK: mark}, capture_output=True, text=True,
        check=False, timeout=230,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = json.loads(file.read_text())["rows"]
    assert sum(row["times"] for row in rows) >= 10, ended.stdout
    assert all(row["times"] or row["notes"] for row in rows), ended.stdout
    eventually(lambda: not marked_processes(mark))


def seen(**changes: object) -> Seen:
    usual: dict[str, object] = {
        "states": {"es": "running"}, "pids": {"es": 7, "manager": 5}, "restarts": {"es": 0},
        "rss_kib": {"es": 1000}, "descriptors": {"es": 10},
    }  # fmt: skip
    return Seen(**{**usual, **changes})  # type: ignore[arg-type] # as Seen has them


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (seen(), []),
        (seen(states={"es": "backoff"}), ["es is backoff"]),
        (seen(pids={"es": 7}), ["no manager"]),
        (seen(pids={"es": 7, "manager": 6}), ["manager has another process, 6 instead of 5"]),
        (seen(pids={"es": 8, "manager": 5}), []),
        (seen(strangers=("9: es",)), ["one too many: 9: es"]),
        (seen(zombies=(9,)), ["zombie 9"]),
        (seen(restarts={"es": 2}), ["es was restarted 2 times, not 0"]),
        (seen(rss_kib={"es": 100_000}), ["es has 100000 KiB, 1000 in the beginning"]),
        (seen(descriptors={"es": 20}), ["es has 20 descriptors, 10 in the beginning"]),
    ],
)
def test_what_is_wrong_is_found(now: Seen, found: list[str]) -> None:
    """The check after a fault names everything that differs but may not."""
    effect = Effect(frozenset({"es"}), {"es": 0})
    assert violations(seen(), seen(), now, effect) == found


def test_the_table_shows_what_was_not_survived() -> None:
    """A fault that was skipped has no numbers, and the reason; a bad one stands out."""
    rows = [
        Row("kill es", 10, 9, lost=3, worst=1.26, notes=["es is backoff"]),
        Row("full disk", notes=["skipped: needs root"]),
        Row("fuzz", 1, 1, fuzzed=1000),
    ]
    lines = markdown(rows).splitlines()[2:]
    assert lines == [
        "| kill es | 10 | **9** | 3 | 1.3 s | es is backoff |",
        "| full disk | – | – | – | – | skipped: needs root |",
        "| fuzz | 1 | 1 | 0 | 0.0 s | 1,000 bytes |",
    ]
    assert summary(rows).startswith("11 faults of 2 kinds injected, 10 survived")
