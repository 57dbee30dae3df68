"""The child's side of the protocol between a service and its manager."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import Any

import pytest

from pyro_child import control
from pyro_host import AskRefused, ControlChannel, Deferred, Notifier, serve_control

WAIT = 10.0


@pytest.fixture
def manager_socket(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(WAIT)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield sock


@pytest.fixture
def ends():
    """Connect a manager's socket to a channel of the child."""
    manager, end = socket.socketpair()
    manager.settimeout(WAIT)
    channel = ControlChannel(end)
    yield manager, channel
    channel.close()
    manager.close()


def echo(ask, parameters):
    return {"ask": ask, **parameters}


def lines_of(manager, count):
    data = b""
    while data.count(b"\n") < count:
        received = manager.recv(1 << 16)
        assert received, "hung up"
        data += received
    return [json.loads(line) for line in data.splitlines()]


# --- notifications ---


def test_ready_carries_the_uri_and_a_status(manager_socket):
    """One datagram says all three, so that a manager never sees ready without the address."""
    Notifier().ready(uri="PYRO:x@localhost:1", status="fine")
    assert manager_socket.recv(1000).decode().split("\n") == [
        "READY=1",
        "X_PYRO_URI=PYRO:x@localhost:1",
        "STATUS=fine",
    ]


def test_status_and_stopping_are_datagrams_of_their_own(manager_socket):
    """A service reports its state whenever it changes."""
    notifier = Notifier()
    notifier.status("busy")
    notifier.stopping()
    assert [manager_socket.recv(1000) for _ in range(2)] == [b"STATUS=busy", b"STOPPING=1"]


def test_a_line_break_can_not_smuggle_in_another_field(manager_socket):
    """A status is one line, whatever text it was made of."""
    Notifier().status("bad\nREADY=1")
    assert manager_socket.recv(1000) == b"STATUS=bad READY=1"


def test_an_address_with_an_at_sign_is_an_abstract_socket():
    """Managers without a place in the file system use the abstract namespace."""
    name = f"pyroctl-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(WAIT)
        Notifier("@" + name).ready()
        assert sock.recv(1000) == b"READY=1"


def test_without_a_manager_nothing_is_sent(monkeypatch, caplog):
    """A service that runs alone needs no special case: not even a socket is created."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    made = []
    monkeypatch.setattr(socket, "socket", lambda *args: made.append(args))
    notifier = Notifier()
    notifier.ready(uri="PYRO:x@localhost:1")
    notifier.status("busy")
    notifier.stopping()
    assert made == []
    assert caplog.text == ""


def test_an_unreachable_manager_is_logged_but_not_an_error(tmp_path, caplog):
    """A service survives a dead manager, and logs that it is dead."""
    Notifier(str(tmp_path / "nobody")).ready()
    assert "can't send ['READY=1'] to the manager" in caplog.text


# --- the channel from the environment ---


def test_no_variable_means_no_channel(monkeypatch):
    """A service that was started by hand has no manager."""
    monkeypatch.delenv("PYROCTL_CONTROL_FD", raising=False)
    assert ControlChannel.from_environment() is None


def test_the_channel_is_kept_from_programs_started_by_the_service(monkeypatch):
    """The variable goes, and the descriptor closes on exec: the manager's EOF stays an EOF."""
    manager, end = socket.socketpair()
    with manager:
        end.set_inheritable(True)
        monkeypatch.setenv("PYROCTL_CONTROL_FD", str(end.detach()))
        channel = ControlChannel.from_environment()
        assert channel is not None
        assert "PYROCTL_CONTROL_FD" not in os.environ
        assert not os.get_inheritable(channel.fileno())
        assert not os.get_blocking(channel.fileno())
        channel.close()


@pytest.mark.parametrize("text", ["", "three", "-1", "99999", "9" * 30])
def test_a_descriptor_other_than_a_socket_is_ignored_and_logged(text, monkeypatch, caplog):
    """A stale variable must not keep a service from starting."""
    monkeypatch.setenv("PYROCTL_CONTROL_FD", text)
    assert ControlChannel.from_environment() is None
    assert "is not an inherited socket" in caplog.text
    assert "PYROCTL_CONTROL_FD" not in os.environ


# --- questions and answers ---


def test_an_ask_is_answered_with_its_number_and_gets_its_parameters(ends):
    """Parameters are the other keys of the line."""
    manager, channel = ends
    manager.sendall(b'{"id": 7, "ask": "drain", "seconds": 5}\n')
    assert channel.on_readable(echo) is True
    assert lines_of(manager, 1) == [{"id": 7, "answer": {"ask": "drain", "seconds": 5}}]


def test_lines_may_come_in_pieces_and_several_at_once(ends):
    """A stream has no message borders."""
    manager, channel = ends
    whole = b'{"id": 1, "ask": "a"}\n{"id": 2, "ask": "b"}\n'
    for piece in (whole[:9], whole[9:30], whole[30:]):
        manager.sendall(piece)
        assert channel.on_readable(echo) is True
    assert [line["id"] for line in lines_of(manager, 2)] == [1, 2]


def test_nothing_to_read_is_not_the_end(ends):
    """A spurious wake-up changes nothing."""
    assert ends[1].on_readable(echo) is True


def test_refusals_and_failures_are_error_answers(ends, caplog):
    """The manager always gets a reply; only an unexpected failure is logged."""
    manager, channel = ends

    def answer(ask, _parameters):
        if ask == "no":
            raise AskRefused("not today")
        if ask == "set":
            return {1, 2}
        raise KeyError("oops")

    manager.sendall(b'{"id": 1, "ask": "no"}\n')
    channel.on_readable(answer)
    assert caplog.text == ""
    manager.sendall(b'{"id": 2, "ask": "bug"}\n{"id": 3, "ask": "set"}\n')
    channel.on_readable(answer)
    replies = lines_of(manager, 3)
    assert replies[0] == {"id": 1, "error": "not today"}
    assert replies[1] == {"id": 2, "error": "KeyError: 'oops'"}
    assert replies[2]["error"].startswith("TypeError: ")
    assert "the manager's request 'bug' failed" in caplog.text


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"id": 1}', b'{"ask": 3}', b"\xff\xfe"])
def test_an_invalid_line_gets_an_error_and_the_channel_stays_open(ends, line):
    """Nonsense is answered, not fatal."""
    manager, channel = ends
    manager.sendall(line + b'\n{"id": 2, "ask": "x"}\n')
    assert channel.on_readable(echo) is True
    first, second = lines_of(manager, 2)
    assert "error" in first
    assert second["id"] == 2


def test_an_endless_line_is_refused(ends, monkeypatch):
    """An incomplete line is buffered up to a limit."""
    monkeypatch.setattr(control, "LONGEST_LINE", 100)
    manager, channel = ends
    manager.sendall(b"x" * 101)
    assert channel.on_readable(echo) is True
    assert "longer than 100 bytes" in lines_of(manager, 1)[0]["error"]


def test_a_manager_that_does_not_read_delays_but_loses_nothing(ends, monkeypatch):
    """A stopped manager must not freeze the service; it gets everything once it reads again."""
    monkeypatch.setattr(control, "SEND_TIMEOUT", 0.05)
    manager, channel = ends
    manager.sendall(b'{"id": 1, "ask": "big"}\n')
    started = time.monotonic()
    assert channel.on_readable(lambda *_: "x" * 2_000_000) is True
    assert time.monotonic() - started < 5
    received = bytearray()
    reader = threading.Thread(target=lambda: received.extend(read_lines(manager, 2)))
    reader.start()
    monkeypatch.setattr(control, "SEND_TIMEOUT", WAIT)
    manager.sendall(b'{"id": 2, "ask": "small"}\n')
    assert channel.on_readable(echo) is True
    reader.join()
    assert [json.loads(line)["id"] for line in received.splitlines()] == [1, 2]


def read_lines(manager, count):
    data = bytearray()
    while data.count(b"\n") < count:
        data += manager.recv(1 << 16)
    return data


def test_the_end_of_the_stream_means_that_the_manager_is_gone(ends):
    """EOF is the liveness signal: it comes however the manager died."""
    manager, channel = ends
    manager.close()
    assert channel.on_readable(echo) is False


def test_an_ask_before_the_end_is_harmless(ends):
    """A manager that asked and died can't be answered; that's the end, not a crash (SIGPIPE)."""
    manager, channel = ends
    manager.sendall(b'{"id": 1, "ask": "x"}\n')
    manager.close()
    assert channel.on_readable(echo) is False


# --- answers that come later, and loops that must not wait ---


def test_a_deferred_answer_lets_later_ones_pass(ends, caplog):
    """A slow question is answered when it is done, and others in between."""
    manager, channel = ends
    deferred: dict[str, Any] = {}

    def answer(ask, _parameters):
        return "quick" if ask == "quick" else deferred.setdefault(ask, Deferred())

    def refuse():
        raise AskRefused("not today")

    manager.sendall(
        b'{"id": 1, "ask": "slow"}\n{"id": 2, "ask": "no"}\n{"id": 3, "ask": "quick"}\n'
    )
    assert channel.on_readable(answer) is True
    assert lines_of(manager, 1) == [{"id": 3, "answer": "quick"}]
    deferred["no"].finish(refuse)
    deferred["slow"].finish(lambda: "done")
    assert lines_of(manager, 2) == [
        {"id": 2, "error": "not today"},
        {"id": 1, "answer": "done"},
    ]
    assert caplog.text == ""


def test_a_deferred_answer_for_a_manager_that_left_is_harmless(ends):
    """The answer has no reader; the channel notices that by reading, not here."""
    manager, channel = ends
    deferred = Deferred()
    manager.sendall(b'{"id": 1, "ask": "slow"}\n')
    channel.on_readable(lambda *_: deferred)
    manager.close()
    deferred.finish(lambda: "done")
    deferred.finish(lambda: "twice")
    assert channel.on_readable(echo) is False


def test_a_loop_sends_when_the_manager_reads(ends):
    """Without a time-out nothing blocks; the rest is sent once the socket is writable."""
    manager, channel = ends
    manager.sendall(b'{"id": 1, "ask": "big"}\n')
    started = time.monotonic()
    assert channel.on_readable(lambda *_: "x" * 2_000_000, patience=0) is True
    assert time.monotonic() - started < 0.5
    assert channel.unsent
    received = b""
    while channel.unsent:
        received += manager.recv(1 << 16)
        assert channel.on_writable() is True
    while not received.endswith(b"\n"):
        received += manager.recv(1 << 16)
    assert json.loads(received) == {"id": 1, "answer": "x" * 2_000_000}
    manager.close()
    assert channel.on_writable() is True


# --- the thread ---


def test_the_thread_answers_and_reports_the_end_once(ends):
    """Programs without a selector loop get the same protocol."""
    manager, channel = ends
    gone = []
    thread = serve_control(channel, echo, lambda: gone.append(threading.current_thread()))
    manager.sendall(b'{"id": 1, "ask": "x"}\n')
    assert lines_of(manager, 1) == [{"id": 1, "answer": {"ask": "x"}}]
    manager.close()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert gone == [thread]


def test_closing_the_channel_ends_the_thread_without_calling_it_gone(ends):
    """A service that stops by itself has not lost its manager."""
    _manager, channel = ends
    gone = []
    thread = serve_control(channel, echo, lambda: gone.append(1))
    channel.close()
    assert not thread.is_alive()
    assert gone == []
    channel.close()


def test_gone_may_close_the_channel(ends):
    """Closing the channel in this callback, an obvious choice, must not deadlock."""
    manager, channel = ends
    thread = serve_control(channel, echo, channel.close)
    manager.close()
    thread.join(WAIT)
    assert not thread.is_alive()
