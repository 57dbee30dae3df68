"""The command `es` as a process: its output, its stop, and a manager's questions."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import Pyro5.api
import pytest

from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_wire import framing
from tests.events.service_harness import (
    NAME_SERVER,
    AwareRecorder,
    Process,
    WireClient,
    proxy,
    read_line,
)
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.events.service_harness import Start, Stock

ALONE = ("-m", "pyro_events", "-N", "-p", "0")


def uri_of(process: Process) -> str:
    uri, *_ = process.first_line.split()
    assert uri.startswith(f"PYRO:{EVENTSERVICE_NAME}@localhost:")
    return uri


def port_of(process: Process) -> int:
    return int(uri_of(process).rpartition(":")[2])


PROMPT = 5.0
"""Seconds; a fraction of one on an idle machine, and the tests often have a busy one."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_reports_ready_and_stops_on_a_signal(process: Start, number: signal.Signals) -> None:
    """One line with the URI when it is ready; a signal ends it promptly with 0."""
    es = process(*ALONE)
    assert "ready" in es.first_line
    with proxy(uri_of(es)) as remote:
        remote.publish("a", 1)
        began = time.monotonic()
        es.signal(number)
        status, out, err = es.end()
        assert time.monotonic() - began < PROMPT
    assert (status, out) == (0, "")
    assert "Traceback" not in err
    assert number.name in err


def test_it_stops_with_clients_connected(process: Start, stock: Stock) -> None:
    """Publishers, streams, callback subscribers and strangers don't keep it from stopping."""
    es, recorder = process(*ALONE), AwareRecorder()
    uri = stock().register(recorder)
    stream, stranger = WireClient(port_of(es)), socket.create_connection(("127.0.0.1", port_of(es)))
    with proxy(uri_of(es)) as remote, stream, stranger:
        stream.greet()
        stream.attach("id", ["a"])
        remote.subscribe("a", uri)
        remote.publish("a", 1)
        eventually(lambda: recorder.messages() == [1])
        stream.events(1)
        began = time.monotonic()
        es.signal(signal.SIGTERM)
        assert es.end()[0] == 0
        assert time.monotonic() - began < PROMPT
        assert stream.push() == (None, {"kind": "stopping", "reason": "SIGTERM"})
    assert [notice["kind"] for notice in recorder.notices] == ["stopping"]


def test_registration(process: Start, name_server: str) -> None:
    """Registered before ready, unregistered when it has stopped; a second one is refused."""
    es = process("-m", "pyro_events", "--ns", name_server)
    host, _, port = name_server.partition(":")
    with Pyro5.api.locate_ns(host, int(port)) as ns:
        assert str(ns.lookup(EVENTSERVICE_NAME)) == uri_of(es)
        second = process("-m", "pyro_events", "--ns", name_server)
        status, out, err = second.end()
        assert (status, out, second.first_line) == (1, "", "")
        assert err.startswith("es: ")
        assert uri_of(es) in err
        assert len(err.splitlines()) == 2
        assert "registered in the name server" in es.first_line
        es.signal(signal.SIGTERM)
        status, _, err = es.end()
        assert status == 0
        assert "registered" not in err  # the first line has said it
        assert EVENTSERVICE_NAME not in ns.list()


def test_takeover_after_a_kill(process: Start, name_server: str) -> None:
    """After kill -9 the next one takes the name over without intervention."""
    first = process("-m", "pyro_events", "--ns", name_server)
    first.signal(signal.SIGKILL)
    first.end()
    second = process("-m", "pyro_events", "--ns", name_server)
    assert uri_of(second) != uri_of(first)
    second.signal(signal.SIGTERM)
    status, _, err = second.end()
    assert status == 0
    assert "took" in err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_it_stops_without_its_name_server(process: Start, number: signal.Signals) -> None:
    """A name server that was killed, or is frozen, doesn't keep it from stopping."""
    server = process("-c", NAME_SERVER)
    es = process("-m", "pyro_events", "--ns", server.first_line.strip())
    assert uri_of(es)
    server.signal(number)
    began = time.monotonic()
    es.signal(signal.SIGTERM)
    assert es.end()[0] == 0
    assert time.monotonic() - began < (1.5 if number == signal.SIGKILL else 4)


def test_no_name_server(process: Start) -> None:
    """Without a name server it exits with 1, and the error has the address and an alternative."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        place = f"localhost:{sock.getsockname()[1]}"
        status, out, err = process("-m", "pyro_events", "--ns", place).end()
    assert (status, out) == (1, "")
    first, hint = [line for line in err.splitlines() if "Error" not in line]
    assert first.startswith("es: no name server")
    assert place in first
    assert "-N" in hint


def test_a_busy_port(process: Start) -> None:
    """A port that is in use is named, and nothing else is listened on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        status, out, err = process("-m", "pyro_events", "-N", "-p", port).end()
    assert (status, out) == (1, "")
    first, hint = err.splitlines()
    assert first.startswith(f"es: port {port} on localhost is in use")
    assert "-p 0" in hint


def test_the_identification_file(process: Start, tmp_path: Path) -> None:
    """The identification is read from a file; clients without it are refused."""
    file = tmp_path / "ident"
    file.write_text("secret\n")
    file.chmod(0o600)
    es = process(*ALONE, "--ident-file", str(file))
    with proxy(uri_of(es), ident="secret") as remote:
        remote.publish("a", 1)
    with proxy(uri_of(es)) as remote, pytest.raises(Pyro5.errors.CommunicationError, match="ident"):
        remote.publish("a", 1)


@pytest.mark.parametrize(
    "arguments", [("-i", "hidden-words"), ("--ident=hidden-words",), ("-qihidden-words",)]
)
def test_an_identification_on_the_command_line_is_hidden(
    process: Start, arguments: tuple[str, ...]
) -> None:
    """It counts, and once the service is ready, the process list doesn't show it."""
    es = process(*ALONE, *arguments)
    uri = uri_of(es)
    assert b"hidden-words" not in Path(f"/proc/{es.pid}/cmdline").read_bytes()
    with proxy(uri, ident="hidden-words") as remote:
        remote.publish("a", 1)
    with proxy(uri) as remote, pytest.raises(Pyro5.errors.CommunicationError, match="ident"):
        remote.publish("a", 1)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_bad_identification_file_is_final(
    process: Start, tmp_path: Path, content: bytes | None
) -> None:
    """A file that can't be read, or is empty, exits 125: starting again is pointless."""
    file = tmp_path / "ident"
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    status, out, err = process(*ALONE, "--ident-file", str(file)).end()
    assert (status, out) == (125, "")
    assert err.startswith("es: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "99999"), ("-p", "x"), ("-p", "-1"), ("--queue-size", "0"), ("--when-full", "never"),
        ("--patience", "-1"), ("--stuck-timeout", "inf"), ("--max-queued-bytes", "1"),
        ("--max-message-size", "5"),
        ("--queue-bytes", "1023"), ("--max-connections", "0"), ("--max-subscribers", "-1"),
        ("--handshake-timeout", "0"), ("--handshake-timeout", "nan"),
        ("--colour",), ("extra",), ("-i", "secret", "--ident-file", "f"), ("-v", "-q"),
    ],
)  # fmt: skip
def test_wrong_usage(process: Start, arguments: tuple[str, ...]) -> None:
    """Wrong usage exits 2 and names what is wrong."""
    status, out, err = process(*ALONE, *arguments).end()
    assert (status, out) == (2, "")
    assert "es: error: " in err
    assert arguments[0].lstrip("-") in err


def test_block_is_gone(process: Start) -> None:
    """The option's old value is refused with what to write instead."""
    status, _, err = process(*ALONE, "--when-full", "block").end()
    assert status == 2
    assert "Publisher(patience=None)" in err


def test_help_and_version(process: Start) -> None:
    """--help names every option, --version the program."""
    help_process = process("-m", "pyro_events", "--help")
    status, out, _ = help_process.end()
    assert status == 0
    text = help_process.first_line + out
    for option in (
        "--host", "--port", "--no-ns", "--ns", "--ident", "--ident-file", "--queue-size",
        "--queue-bytes", "--max-queued-bytes", "--when-full", "--patience", "--stuck-timeout",
        "--max-message-size",
        "--max-connections", "--max-connections-per-peer", "--max-subscribers",
        "--max-subscriptions", "--handshake-timeout", "--trusted",
        "--verbose", "--quiet", "--version",
    ):  # fmt: skip
        assert option in text
    version = process("-m", "pyro_events", "--version")
    assert version.end()[0] == 0
    assert version.first_line.startswith("es ")


def test_options_arrive(process: Start) -> None:
    """Queue size and policy of the command line are the subscribers' defaults."""
    es = process(*ALONE, "--queue-size", "7", "--when-full", "drop-oldest")
    with WireClient(port_of(es)) as client:
        client.greet()
        client.attach("id", ["a"])
        (entry,) = client.call("subscriptions")
    assert (entry["queue_size"], entry["when_full"]) == (7, "drop-oldest")


def test_limits_arrive(process: Start) -> None:
    """Limits of the command line hold."""
    es = process(*ALONE, "--max-connections-per-peer", "2", "--max-subscriptions", "3")
    with WireClient(port_of(es)) as client, WireClient(port_of(es)) as other:
        client.greet()
        other.greet()
        with pytest.raises(ValueError, match="max_subscriptions"):
            client.attach("id", ["a", "b", "c", "d"])
        with WireClient(port_of(es)) as third:
            assert b"max_connections_per_peer" in third.greet().data


def test_fewer_descriptors_than_connections(process: Start) -> None:
    """The limit of descriptors is raised as far as possible; a log line reports if it is too low.

    Each accepted connection has a descriptor.
    """
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300));"
        "from pyro_events._app.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    es = process("-c", script, *ALONE[2:])
    limits = Path(f"/proc/{es.pid}/limits").read_text()
    assert re.search(r"Max open files +300 +300 ", limits)
    clients = [WireClient(port_of(es)) for _ in range(51)]
    answers = [client.greet() for client in clients]
    assert [answer.type for answer in answers] == [framing.CONNECTOK] * 50 + [framing.CONNECTFAIL]
    for client in clients:
        client.sock.close()
    es.signal(signal.SIGTERM)
    assert "max_connections is 50 instead of 10000" in es.end()[2]


def test_logging(process: Start) -> None:
    """-q logs nothing while all is well, -v every connection."""
    quiet, verbose = process(*ALONE, "-q"), process(*ALONE, "-v")
    for es in (quiet, verbose):
        with proxy(uri_of(es)) as remote:
            remote.publish("a", 1)
        es.signal(signal.SIGTERM)
    assert quiet.end()[2] == ""
    assert f"client uid:{os.getuid()}: " in verbose.end()[2]


@pytest.mark.parametrize("managed", [False, True])
def test_log_lines_have_one_time(process: Start, managed: bool) -> None:
    """A manager stamps its services' lines itself; alone they have a time. Ready is logged once."""
    es = process(*ALONE, **({"PYROCTL_SERVICE": "es"} if managed else {}))
    es.signal(signal.SIGTERM)
    (line,) = es.end()[2].splitlines()
    text = "INFO stopping: SIGTERM"
    assert line == text if managed else re.fullmatch(rf"\d{{4}}-[-: \d,]{{18}} {text}", line)


def test_a_reader_that_has_gone(process: Start) -> None:
    """It does not fail if nothing reads its stdout."""
    read, write = os.pipe()
    os.close(read)
    script = (
        f"import os; os.dup2({write}, 1); from pyro_events._app.cli import main; main(['-N', '-v'])"
    )
    es = process("-c", script, pass_fds=[write], first_line=False)
    os.close(write)
    assert es.process.stderr is not None
    assert "ready" in read_line(es.process.stderr)
    es.signal(signal.SIGTERM)
    status, _, err = es.end()
    assert status == 0
    assert "Traceback" not in err


def test_no_descriptor_is_passed_on(process: Start) -> None:
    """What the process opened is closed on exec."""
    es = process(*ALONE)
    for entry in Path(f"/proc/{es.pid}/fdinfo").iterdir():
        if int(entry.name) > 2:
            flags = int(entry.read_text().split("flags:")[1].split()[0], 8)
            assert flags & os.O_CLOEXEC
