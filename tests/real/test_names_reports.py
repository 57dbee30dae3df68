"""What a name server tells its manager about its names, and what it takes back."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time

import pytest

from tests.real.managed import WAIT, Managed


@pytest.fixture
def server(tmp_path):
    """Start a name server with the manager's ends of the child protocol."""
    with contextlib.ExitStack() as stack:

        def start(*argv):
            command = [sys.executable, "-m", "pyro_names", "--host", "127.0.0.1", "--port", "0"]
            served = Managed([*command, *argv], tmp_path)
            stack.callback(served.close)
            served.ready(watch=False)
            return served

        yield start


class Lines:
    """The manager's end of the control channel, line by line."""

    def __init__(self, control):
        self._file = control.makefile("r")
        self._control = control

    def ask(self, **request):
        self._control.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")

    def next(self):
        return json.loads(self._file.readline())

    def next_report(self):
        """Return the next report, and answer it."""
        report = self.next()
        assert report.pop("report") == "names"
        self.ask(ask="seen", number=report.pop("number"))
        assert self.next() == {"id": 1, "answer": None}
        assert report.pop("registrars").keys() == {
            name
            for name, entry in report["names"].items()
            if entry is not None and not report["complete"]
        }
        return report


A_B = {"a.b": ["PYRO:x@localhost:1", ["m", "n"]]}


@pytest.mark.parametrize("storage", ["memory", "sql:names.sqlite"])
def test_the_manager_is_told_every_change_of_the_names(server, storage):
    """First all of them; a client has its answer when the manager has seen its name."""
    served = server("--storage", storage)
    lines = Lines(served.control)
    with served.proxy() as names:
        lines.ask(ask="restore", names=A_B)
        assert lines.next() == {"id": 1, "answer": ["a.b"]}
        lines.ask(ask="watch")
        first = lines.next()
        assert first["complete"]
        assert first["names"].keys() == {"a.b", "Pyro.NameServer"}
        assert first["names"]["a.b"] == A_B["a.b"]
        assert lines.next() == {"id": 1, "answer": 2}
        answered = threading.Event()

        def register():
            with served.proxy() as other:
                other.register("c.d", "PYRO:y@localhost:2")
            answered.set()

        client = threading.Thread(target=register)
        client.start()
        report = lines.next()
        assert report["names"] == {"c.d": ["PYRO:y@localhost:2", []]}
        assert not answered.is_set()
        lines.ask(ask="seen", number=report["number"])
        client.join(WAIT)
        assert lines.next() == {"id": 1, "answer": None}
        assert names.remove(prefix="c.") == 1
        assert lines.next_report() == {"names": {"c.d": None}, "complete": False}


def test_a_manager_that_does_not_read_delays_clients_only_once(server):
    """It gets one entry for each name when it reads again."""
    served = server()
    lines = Lines(served.control)
    lines.ask(ask="watch")
    with served.proxy() as names:
        started = time.monotonic()
        for number in range(3000):
            names.register(f"n.{number % 1000}", f"PYRO:x@localhost:{number}")
        assert time.monotonic() - started < WAIT
        found: dict[str, list[str]] = {}
        while found.get("n.999", [""])[0] != "PYRO:x@localhost:2999":
            found.update(lines.next().get("names", {}))
        assert len(found) == 1001


def test_the_manager_can_restore_and_remove_names(server):
    """What has another URI by now is left alone; so is all if it is too late."""
    served = server()
    with served.proxy() as names:
        moved = {"c.d": ["PYRO:z@localhost:3", []]}
        assert served.ask(ask="restore", names=moved)["answer"] == ["c.d"]
        taken = {**A_B, "c.d": ["PYRO:y@localhost:2", []]}
        assert served.ask(ask="restore", names=taken)["answer"] == ["a.b"]
        uri, metadata = names.lookup("a.b", return_metadata=True)
        assert (str(uri), metadata) == ("PYRO:x@localhost:1", {"m", "n"})
        dead = {"a.b": str(uri), "c.d": "PYRO:y@localhost:2"}
        soon = time.monotonic() + WAIT
        assert served.ask(ask="remove", names=dead, before=0.0)["error"] == "too late"
        assert served.ask(ask="remove", names=dead, before=soon)["answer"] == ["a.b"]
        assert set(names.list()) == {"Pyro.NameServer", "c.d"}
    assert "must be" in served.ask(ask="restore", names=1)["error"]
    assert "must be" in served.ask(ask="remove", names={})["error"]
