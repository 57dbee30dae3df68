"""What a manager has the event service publish, over the control channel."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tests.events.client_fixtures import Recording
from tests.events.test_program import ALONE, Manager, uri_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.events.service_harness import Start

STATE = {"state": "running", "pid": 7, "reason": None, "time": 1.5}


def test_the_manager_publishes(process: Start) -> None:
    """Subscribers get its events in order; they aren't counted among what clients publish."""
    with closing(Manager(process, *ALONE)) as manager:
        with Recording(uri_of(manager.es)) as recording:
            recording.subscribeMatch("pyroctl.*")
            events = [
                ["pyroctl.lab.a.running", STATE],
                ["elsewhere", 1],
                ["pyroctl.lab.b.failed", {}],
            ]
            assert manager.ask("publish", events=events) == {"id": 1, "answer": {"refused": []}}
            recording.start().wait(2)
            assert [(event.subject, event.msg) for event in recording.events] == [
                ("pyroctl.lab.a.running", STATE),
                ("pyroctl.lab.b.failed", {}),
            ]
        counts = manager.ask("statistics")["answer"]
        assert (counts["announced"], counts["published"]) == (3, 0)


def test_what_can_not_be_published_is_reported(process: Start) -> None:
    """Each is reported with its reason; the others are still published."""
    with closing(Manager(process, *ALONE)) as manager:
        answer = manager.ask("publish", events=[["", 1], ["x" * 256, 1], [3, 1], ["good", 1]])
        assert ["subject" in reason for reason in answer["answer"]["refused"]] == [True] * 3
        assert manager.ask("statistics")["answer"]["announced"] == 1


def test_a_retired_process_publishes_nothing(process: Start, tmp_path: Path) -> None:
    """The next process will publish it: the answer asks the manager to wait for that one."""
    with closing(Manager(process, *ALONE, PYROCTL_STATE_DIR=str(tmp_path))) as manager:
        assert "answer" in manager.ask("retire")
        assert "retired" in manager.ask("publish", events=[["a", 1]])["error"]
