"""Pictures and deltas: what a watcher applies gives the same picture as the manager's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.core.changes import apply, compare
from pyroctl.view.picture import WatchedPicture
from pyroctl.view.rates import between, quantile, rates

rows = st.fixed_dictionaries(
    {"state": st.sampled_from(["running", "stopped"]), "pid": st.integers()}
)
pictures = st.fixed_dictionaries(
    {
        "manager": st.fixed_dictionaries({"state": st.text(max_size=2)}),
        "services": st.dictionaries(st.sampled_from("abc"), rows),
        "order": st.lists(st.sampled_from("abc")),
    }
)


@given(pictures, pictures)
def test_a_delta_leads_from_one_picture_to_the_next(before: Any, after: Any) -> None:
    """`apply` is the inverse of `compare`; nothing is sent when nothing has changed."""
    assert apply(before, compare(before, after)) == after
    assert compare(after, after) == {}


def picture(state: str, since: float | None) -> dict[str, Any]:
    row = {"name": "es", "kind": "eventservice", "state": state, "pid": 7, "since": since}
    return {
        "manager": {"pid": 1, "since": 100.0},
        "services": {"es": row},
        "order": ["es"],
        "enabled": ["es"],
        "operations": [],
    }


def test_a_viewer_follows_deltas_by_the_managers_clock() -> None:
    """Uptimes count from the manager's clock, which may be another host's; a gap is noticed."""
    seen = WatchedPicture()
    assert not seen.known
    snapshot = {"kind": "snapshot", "seq": 4, "missed": 2, "clock": 1000.0}
    assert seen.receive({**snapshot, "data": picture("starting", None)}, now=5.0)
    assert seen.missed == 2
    row = {"es": {"state": "running", "since": 1001.0}}
    assert seen.receive({"kind": "delta", "seq": 5, "clock": 1001.0, "services": row}, now=6.0)
    status = seen.status(now=9.0)
    assert (status["services"][0]["state"], status["services"][0]["uptime_s"]) == ("running", 3.0)
    assert status["manager"]["uptime_s"] == 904.0
    assert "since" not in status["services"][0]
    assert not seen.receive({"kind": "alive"}, now=9.0)
    with pytest.raises(ValueError, match="delta 7 came after 5"):
        seen.receive({"kind": "delta", "seq": 7, "clock": 1.0}, now=9.0)


def measured(clock: float, cpu: float, published: int, **row: Any) -> dict[str, Any]:
    es = {"incarnation": row.pop("incarnation", "a"), "published": published}
    streams = {"output": {"bytes": int(clock) * 10, "lines": 1}}
    return {
        "clock": clock,
        "services": [
            {
                "name": "es",
                "pid": 7,
                "cpu_seconds": cpu,
                "es": es,
                "log": {"streams": streams},
                **row,
            }
        ],
    }


def test_rates_are_differences_of_one_run() -> None:
    """Without an earlier measurement of the same process a rate is unknown, not zero or wrong."""
    before = measured(10.0, 1.0, 100)
    found = rates(before, measured(12.0, 2.0, 300))["es"]
    assert (found["cpu_percent"], found["published"], found["log_bytes"]) == (50.0, 100.0, 10.0)
    assert found["delivered"] is None  # not reported
    assert rates(None, before)["es"]["cpu_percent"] is None
    assert rates(before, measured(12.0, 2.0, 300, pid=8))["es"]["cpu_percent"] is None
    assert rates(before, measured(12.0, 2.0, 30, incarnation="b"))["es"]["published"] is None


def test_a_quantile_is_the_bound_below_which_it_lies() -> None:
    """Of what was counted since an earlier histogram; a counter that began again counts whole."""
    old = {"bounds": [0.1, 1.0], "counts": [5, 0, 0], "sum": 0.1}
    new = {"bounds": [0.1, 1.0], "counts": [5, 9, 1], "sum": 9.0}
    assert quantile(between(old, new), 0.5) == 1.0
    assert quantile(new, 0.3) == 0.1
    assert quantile(new, 1.0) == 1.0
    assert quantile(between(new, old), 0.99) == 0.1
    assert quantile(None, 0.5) is quantile(between(new, new), 0.5) is None
