"""`python -m pyro_names.wait`: ready means registered and answering."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from Pyro5.nameserver import NameServer
from Pyro5.server import Daemon, expose

from pyro_names.daemon import NameDaemon
from pyro_names.storage import open_storage

WAIT = 20.0
LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def names():
    """A name server in this process; its `address` is `HOST:PORT`."""
    names = NameServer(open_storage("memory"))
    daemon = NameDaemon(names, LOOPBACK, None, died=lambda: None)
    daemon.start()
    names.address = daemon.locationStr
    names.visited = threading.Event()
    daemon.clientDisconnect = lambda _: names.visited.set()
    yield names
    daemon.stop()


@expose
class Thing:
    def method(self):
        return 1


@contextlib.contextmanager
def served_thing():
    with Daemon(*LOOPBACK) as daemon:
        thread = threading.Thread(target=daemon.requestLoop)
        thread.start()
        yield daemon.register(Thing())
        daemon.shutdown()
        thread.join()


@pytest.fixture
def wait_for(request):
    """Start the program; it is ended with the test."""

    def start(*argv):
        process = subprocess.Popen(
            [sys.executable, "-m", "pyro_names.wait", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()

        request.addfinalizer(end)
        return process

    return start


def result(process):
    output, errors = process.communicate(timeout=WAIT)
    assert output == ""
    assert "Traceback" not in errors
    return process.returncode, errors


def test_it_ends_as_soon_as_the_name_is_there_and_its_object_answers(names, wait_for):
    """It ends not before, and at most one interval later."""
    process = wait_for("stocks.market", "--ns", names.address)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.7)
    with served_thing() as uri:
        names.register("stocks.market", uri)
        started = time.monotonic()
        assert result(process) == (0, "")
        assert time.monotonic() - started < 2


def test_the_name_server_may_be_given_as_uri(names, wait_for):
    """The URI is the one that the name server prints."""
    process = wait_for("Pyro.NameServer", "--ns", f"PYRO:Pyro.NameServer@{names.address}")
    names.register("Pyro.NameServer", f"PYRO:Pyro.NameServer@{names.address}")
    assert result(process) == (0, "")


def test_a_name_that_does_not_come_is_named_at_the_timeout(names, wait_for):
    """Exit code 1, and what is missing."""
    code, errors = result(wait_for("nobody", "--ns", names.address, "--timeout", "0.3"))
    assert code == 1
    assert errors == (
        f"pyro_names.wait: nobody is not ready: after 0.3 s no name 'nobody' at {names.address}\n"
    )


def test_it_reports_what_is_missing_and_the_uri_at_the_end(names, wait_for):
    """Each change is one line, so that the last line is what was found last."""
    process = wait_for("late", "--ns", names.address, "--report")
    assert process.stdout.readline() == f"no name 'late' at {names.address}\n"
    with served_thing() as uri:
        names.register("late", uri)
        output, errors = process.communicate(timeout=WAIT)
    assert (output, errors, process.returncode) == (f"{uri}\n", "", 0)


def test_a_registered_name_without_a_server_is_not_ready(names, wait_for):
    """A stale registration is not readiness."""
    with socket.create_server(LOOPBACK) as sock:
        port = sock.getsockname()[1]
    names.register("ghost", f"PYRO:ghost@127.0.0.1:{port}")
    code, errors = result(wait_for("ghost", "--ns", names.address, "--timeout", "0.3"))
    assert code == 1
    assert (
        f"'ghost' at {names.address} is PYRO:ghost@127.0.0.1:{port}, which doesn't answer" in errors
    )


def test_a_daemon_without_that_object_is_not_ready(names, wait_for):
    """Another program on the port must not count."""
    with served_thing() as uri:
        names.register("wrong", f"PYRO:other@{uri.location}")
        code, errors = result(wait_for("wrong", "--ns", names.address, "--timeout", "0.3"))
    assert code == 1
    assert "unknown object" in errors


def test_a_silent_name_server_ends_at_the_timeout(wait_for):
    """A server that accepts and sends nothing can't block it."""
    with socket.create_server(LOOPBACK) as sock:
        where = f"127.0.0.1:{sock.getsockname()[1]}"
        code, errors = result(wait_for("x", "--ns", where, "--timeout", "0.3"))
    assert code == 1
    assert "no name server answers at" in errors


def test_something_else_than_a_name_server_is_a_clear_error(wait_for):
    """Any Pyro object may stand behind a mistaken URI."""
    with served_thing() as uri:
        code, errors = result(wait_for("x", "--ns", str(uri), "--timeout", "0"))
    assert code == 1
    assert "no name server answers at" in errors


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["x", "--ns", "host:port"], 1, "'host:port' is not a name server address"),
        (["x", "--timeout", "soon"], 2, "'soon' is not a number of seconds"),
        ([], 2, "NAME"),
    ],
)
def test_errors_are_reported(argv, code, words, wait_for):
    """The error is a sentence without a traceback."""
    got, errors = result(wait_for(*argv))
    assert got == code
    assert words in errors


def test_term_ends_it_at_once(names, wait_for):
    """The manager needs it no longer."""
    process = wait_for("never", "--ns", names.address)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    assert process.wait(1) == -signal.SIGTERM


def test_it_ends_with_the_program_that_asked(names, tmp_path):
    """A manager that was killed leaves no probe behind."""
    pid_file = tmp_path / "pid"
    script = '"$0" -m pyro_names.wait never --ns "$1" & echo $! >"$2"; wait'
    shell = subprocess.Popen(["sh", "-c", script, sys.executable, names.address, str(pid_file)])
    until(lambda: pid_file.exists() and pid_file.read_text())
    pid = int(pid_file.read_text())
    assert names.visited.wait(WAIT)
    shell.kill()
    shell.wait()
    until(lambda: is_dead(pid))


def until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_dead(pid):
    """A zombie counts: process 1 may not reap here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_no_thread_or_socket_of_the_daemon_is_left(names):
    """The test's own server ends completely with `stop`."""
    del names
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts
    daemon = NameDaemon(NameServer(open_storage("memory")), LOOPBACK, None, died=lambda: None)
    daemon.start()
    with socket.create_connection(daemon.sock.getsockname()):
        until(lambda: daemon.connections == 1)
        daemon.stop()
    daemon.transportServer = None
    until(lambda: threading.active_count() <= before[0])
    until(lambda: len(os.listdir("/proc/self/fd")) <= before[1] + 1)  # noqa: PTH208 - counts
