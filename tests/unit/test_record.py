"""What one manager writes down about a service, the next one reads."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pyroctl.core.history import Ending
from pyroctl.core.outcome import Outcome
from pyroctl.core.record import RunRecord, UnitRecord, from_json, stamp, to_json
from pyroctl.core.spec import (
    CommandOptions,
    EventServiceOptions,
    LogReady,
    LogSpec,
    NameServerOptions,
    ObjectOptions,
    ServiceSpec,
    WatchdogSpec,
)
from pyroctl.core.state import AfterStop, ServiceState, State

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 1000, tzinfo=UTC)
KILLED = Outcome(signal=9, trouble="did not answer 3 pings")
STATE = ServiceState(
    state=State.STOPPING,
    since=12.5,
    starts=(1.0, 2.5),
    failures=2,
    restarts=7,
    then=AfterStop.JUDGE,
    outcome=KILLED,
    reason="did not answer 3 pings",
)
RECORD = UnitRecord(
    state=STATE,
    due=99.5,
    last_end=(Outcome(code=3), MOMENT),
    history=(
        Ending(MOMENT, 17, KILLED, "hung", 3.5, State.BACKOFF),
        Ending(MOMENT, None, Outcome(trouble="no such program"), "no such program", None),
    ),
    listens="port 0 on localhost",
    directory="/run/state/laser",
    runs=(RunRecord(17, 4711, "/run/notify/laser", 42, "PYRO:x@y:1", "warm", 3.0, "y:2", True),),
    run=17,
)
LASER = ServiceSpec("laser", CommandOptions(("laser", "--on")))


@pytest.mark.parametrize("record", [RECORD, UnitRecord(ServiceState())])
def test_what_is_read_is_what_was_written(record: UnitRecord) -> None:
    """This holds after a conversion to JSON."""
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


def test_additional_keys_of_a_newer_program_are_ignored() -> None:
    """A record with unknown keys is still read."""
    table = to_json(RECORD)
    for part in (table, table["life"], table["runs"][0], table["history"][0]):
        part["mood"] = "fine"
    assert from_json(table) == RECORD


@pytest.mark.parametrize("spoil", ["version", "life", "runs", "state"])
def test_an_invalid_record_is_refused(spoil: str) -> None:
    """It raises an error, and never returns half a record."""
    table = to_json(RECORD)
    if spoil == "state":
        table["life"]["state"] = "dreaming"
    elif spoil == "version":
        table["version"] = 2
    else:
        del table[spoil]
    with pytest.raises((ValueError, TypeError, LookupError)):
        from_json(table)


@pytest.mark.parametrize(
    "options",
    [
        NameServerOptions(port=1),
        EventServiceOptions(queue_size=2),
        ObjectOptions("a:B", port=3),
        CommandOptions(("x",), LogReady("up")),
    ],
)
def test_a_stamp_shows_whether_a_new_process_is_needed(options: NameServerOptions) -> None:
    """It differs if the process would be started differently, not for what only we act on."""
    spec = ServiceSpec("s", options)
    assert stamp(replace(spec, env={"A": "1"})) != stamp(spec)
    assert stamp(replace(spec, log=LogSpec(stderr="apart"))) != stamp(spec)
    live = replace(spec, restart="never", needs=("ns",), watchdog=WatchdogSpec(), stop_timeout=1.0)
    assert stamp(live) == stamp(spec)


def test_a_stamp_counts_what_isnt_a_default_only() -> None:
    """A key that a newer version adds, with its default, changes nothing."""
    assert stamp(replace(LASER, cwd=None, umask=None)) == stamp(LASER)
    assert stamp(replace(LASER, cwd="/")) != stamp(LASER)
    assert stamp(ServiceSpec("s", NameServerOptions())) != stamp(
        ServiceSpec("s", EventServiceOptions())
    )


def test_the_order_of_variables_changes_no_stamp() -> None:
    """Tables are unordered."""
    one, other = ({"A": "1", "B": "2"}, {"B": "2", "A": "1"})
    assert stamp(replace(LASER, env=one)) == stamp(replace(LASER, env=other))
