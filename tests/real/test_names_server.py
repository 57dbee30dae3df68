"""`python -m pyro_names` as a process."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from Pyro5.client import Proxy
from Pyro5.errors import NamingError, PyroError

from tests.real.managed import WAIT, Managed

PROMPT = 2.5  # seconds; about 0.2 on an idle machine, and 3 with the shutdown of Pyro5's own
URI = re.compile(r"^PYRO:Pyro\.NameServer@127\.0\.0\.1:(\d+)\n$")
LOOPBACK = ("--host", "127.0.0.1", "--port", "0")


class Served(Managed):
    """A name server process with the manager's ends of the child protocol."""

    def __init__(self, directory, *argv, env=None, prefix=()):
        super().__init__([*prefix, sys.executable, "-m", "pyro_names", *argv], directory, env)

    def stop(self, number=signal.SIGTERM):
        """Stop it; return seconds and exit code."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(WAIT)
        return time.monotonic() - started, code

    def failed(self):
        """Wait for its end; return exit code and stderr."""
        _, errors = self.process.communicate(timeout=WAIT)
        assert "Traceback" not in errors
        return self.process.returncode, errors


@pytest.fixture
def serve(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(*argv, **options):
            served = Served(tmp_path, *argv, **options)
            stack.callback(served.close)
            return served

        yield start


def read_to_the_end(sock):
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1000):
            pass


def port_of(uri):
    return int(uri.rpartition(":")[2])


def nothing_listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def test_ready_means_that_it_answers_and_the_uri_is_the_only_output(serve, tmp_path):
    """The first call after READY works, and a script can read the address."""
    served = serve(*LOOPBACK)
    with Proxy(served.ready()) as names:
        names.ping()
        assert str(names.lookup("Pyro.NameServer")) == served.uri
    assert URI.match(served.process.stdout.readline())
    assert served.stop()[1] == 0
    assert served.process.stdout.read() == ""
    assert served.process.stderr.read() == "pyro_names: stopping: SIGTERM\n"
    assert list(tmp_path.iterdir()) == []
    assert nothing_listens(port_of(served.uri))


def test_a_reader_that_has_gone(serve):
    """Nobody has to read the address."""
    served = serve(*LOOPBACK)
    served.process.stdout.close()
    with Proxy(served.ready()) as names:
        names.ping()
    assert served.stop()[1] == 0
    assert served.process.stderr.read() == "pyro_names: stopping: SIGTERM\n"


def test_a_taken_port_is_an_error_and_no_other_port_is_tried(serve):
    """Whoever asked for a port gets that port or nothing."""
    port = port_of(serve(*LOOPBACK).ready())
    code, errors = serve("--host", "127.0.0.1", "--port", str(port)).failed()
    assert code == 1
    assert errors == (
        f"pyro_names: port {port} on 127.0.0.1 is taken by another program; "
        "stop it, or choose another port with -p PORT, or any free one with -p 0\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_promptly_also_with_thirty_idle_clients(serve, number):
    """Pyro5's own shutdown takes 0.1 s for each, and leaves them connected to nothing."""
    served = serve(*LOOPBACK)
    served.ready()
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(served.proxy()) for _ in range(30)]
        for proxy in proxies:
            proxy.ping()
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(served.uri))))
            for _ in range(5)
        ]
        seconds, code = served.stop(number)
        assert code == 0
        assert seconds < PROMPT
        assert served.notify.recv(100) == b"STOPPING=1"
        for sock in silent:
            sock.settimeout(WAIT)
            read_to_the_end(sock)
        with pytest.raises(PyroError):
            proxies[0].ping()


def test_two_signals_at_once_stop_it(serve):
    """Impatient users and supervisors send both."""
    served = serve(*LOOPBACK)
    served.ready()
    served.process.send_signal(signal.SIGINT)
    assert served.stop()[1] == 0


def test_the_end_of_the_manager_is_its_end(serve):
    """It ends with the manager, however that ended."""
    served = serve(*LOOPBACK)
    served.ready()
    served.control.close()
    code, errors = served.failed()
    assert code == 0
    assert errors == "pyro_names: stopping: the manager is gone\n"


def test_the_manager_can_ask_for_statistics(serve):
    """They come over the control channel."""
    served = serve(*LOOPBACK)
    served.ready()
    with served.proxy() as names:
        names.register("a.b", "PYRO:x@localhost:1")
        names.lookup("a.b")
        statistics = served.ask(ask="statistics")["answer"]
    uptime = statistics.pop("uptime_s")
    assert 0 < uptime < WAIT
    assert statistics.pop("connections") >= 1
    assert statistics == {
        "uri": served.uri,
        "names": 2,
        "storage": "memory",
        "refused": 0,
        "guarded": 0,
        "tls_refused": 0,
        "lookups": 1,
        "restored": 0,
        "cleaned": 0,
    }
    assert "ask for statistics" in served.ask(ask="weather")["error"]


def test_a_ping_of_the_manager_is_answered_by_what_serves_clients(serve):
    """It answers even when it accepts no more clients; the refusal comes from the same loop."""
    few_files = ("sh", "-c", 'ulimit -n 120; exec "$0" "$@"')  # enough for ten clients
    served = serve(*LOOPBACK, prefix=few_files, env={"PYRO_THREADPOOL_SIZE": "10"})
    served.ready()
    assert served.ask(ask="ping")["answer"] == {"alive": True}
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(served.proxy()).ping()
        assert served.ask(ask="ping")["answer"] == {"alive": True}
        assert served.ask(ask="statistics")["answer"]["refused"] >= 1


def test_sql_storage_survives_kill_9(serve, tmp_path):
    """A registered name survives any end of the process."""
    first = serve(*LOOPBACK, "--storage", "sql:names.sqlite")
    first.ready()
    with first.proxy() as names:
        names.register("kept", "PYRO:x@localhost:1", metadata={"m"})
        first.stop(signal.SIGKILL)
    second = serve(*LOOPBACK, "--storage", "sql:names.sqlite")
    second.ready()
    with second.proxy() as names:
        uri, metadata = names.lookup("kept", return_metadata=True)
        assert (str(uri), set(metadata)) == ("PYRO:x@localhost:1", {"m"})
        assert str(names.lookup("Pyro.NameServer")) == second.uri
        assert names.count() == 2
    assert second.stop()[1] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["names.sqlite"]


def test_memory_storage_forgets(serve):
    """The default keeps nothing, as in Pyro5."""
    first = serve(*LOOPBACK)
    first.ready()
    with first.proxy() as names:
        names.register("gone", "PYRO:x@localhost:1")
    first.stop()
    again = serve("--host", "127.0.0.1", "--port", str(port_of(first.uri)))
    again.ready()
    with again.proxy() as names, pytest.raises(NamingError):
        names.lookup("gone")


def test_a_corrupt_storage_is_permanent(serve, tmp_path):
    """The exit code 125 reports that starting it again is pointless."""
    (tmp_path / "bad").write_bytes(b"x" * 5000)
    code, errors = serve(*LOOPBACK, "--storage", "sql:bad").failed()
    assert code == 125
    assert errors.startswith("pyro_names: can't keep names in bad: file is not a database")


def test_a_storage_in_no_directory_is_permanent(serve):
    """The file's place is named."""
    code, errors = serve(*LOOPBACK, "--storage", "sql:no/such/dir/names").failed()
    assert code == 125
    assert "no/such/dir/names" in errors


def test_wrong_arguments_exit_2(serve):
    """Wrong usage exits with 2, as for every program."""
    code, errors = serve("--port", "http").failed()
    assert code == 2
    assert "a port from 0 to 65535" in errors


def test_a_host_that_does_not_exist_is_a_clear_error(serve):
    """No traceback, and the name that was wrong."""
    code, errors = serve("--host", "no.such.host.invalid", "--port", "0").failed()
    assert code == 1
    assert "no.such.host.invalid" in errors


def ask_by_broadcast(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(WAIT)
        sock.connect(("127.0.0.1", port))
        sock.send(b"GET_NSURI")
        return sock.recv(100).decode()


def test_broadcasts_are_answered_when_asked_for(serve):
    """Pyro5's locate_ns finds it without an address."""
    served = serve(*LOOPBACK, "--broadcast", "--bc-port", "0")
    served.ready()
    address = re.search(r"on 127\.0\.0\.1:(\d+)", served.process.stderr.readline())
    assert address
    port = int(address[1])
    assert ask_by_broadcast(port) == served.uri
    seconds, code = served.stop()
    assert code == 0
    assert seconds < PROMPT


def test_broadcasts_are_not_answered_unless_asked_for(serve):
    """It has no UDP socket at all then."""
    served = serve(*LOOPBACK)
    served.ready()
    own = set()
    for descriptor in Path(f"/proc/{served.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            own.add(str(descriptor.readlink()))
    assert own
    udp = Path("/proc/net/udp").read_text().splitlines()[1:]
    assert not own & {f"socket:[{line.split()[9]}]" for line in udp}


def test_autoclean_leaves_what_is_reachable_and_ends_at_once(serve):
    """The cleaner doesn't delay the end, and a Unix socket's name doesn't kill it."""
    served = serve(*LOOPBACK, "--autoclean", "3")
    served.ready()
    with served.proxy() as names:
        names.register("unix", "PYRO:x@./u:nowhere")
        names.register("self", served.uri)
        deadline = time.monotonic() + 3.5
        while time.monotonic() < deadline:  # one round of the cleaner
            time.sleep(0.1)
            assert names.count() == 3
    seconds, code = served.stop()
    assert (seconds < PROMPT, code) == (True, 0)
    assert served.process.stderr.read() == "pyro_names: stopping: SIGTERM\n"


def test_more_clients_than_pyro5_allows_are_served(serve):
    """Pyro5 turns the 81st away; agents and laboratories have more."""
    served = serve(*LOOPBACK)
    served.ready()
    with contextlib.ExitStack() as stack:
        for _ in range(120):
            stack.enter_context(served.proxy()).ping()
        assert served.ask(ask="statistics")["answer"]["connections"] >= 120
        assert served.stop()[1] == 0


def test_clients_that_are_too_many_are_turned_away_and_do_not_stop_the_others(serve):
    """This holds for clients that vanish at once or stay silent; every refusal is counted."""
    few_files = ("sh", "-c", 'ulimit -n 120; exec "$0" "$@"')  # enough for ten clients
    served = serve(*LOOPBACK, prefix=few_files, env={"PYRO_THREADPOOL_SIZE": "10"})
    served.ready()
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(served.proxy()) for _ in range(10)]
        for proxy in proxies:
            wait_until_answered(proxy)
        for _ in range(2):  # silent, and gone before they could be refused
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(served.uri))))
            socket.create_connection(("127.0.0.1", port_of(served.uri))).close()
        with served.proxy() as one_more, pytest.raises(PyroError, match="no free workers"):
            one_more.ping()
        for proxy in proxies:
            proxy.ping()
        assert served.ask(ask="statistics")["answer"]["refused"] >= 5
        proxies[0]._pyroRelease()
        with served.proxy() as successor:
            wait_until_answered(successor)
    assert served.stop()[1] == 0


def wait_until_answered(proxy):
    """A worker of a connection that ended may need a moment to be free again."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return proxy.ping()
        except PyroError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_malicious_pattern_does_not_stop_the_others(serve):
    """Pyro5's `list(regex=)` holds the interpreter for as long as it backtracks."""
    served = serve(*LOOPBACK)
    served.ready()
    with served.proxy() as names:
        names.register("a" * 40 + "b", "PYRO:x@localhost:1")
        started = time.monotonic()
        with contextlib.suppress(NamingError):
            names.list(regex="(a|a)*$")
        assert time.monotonic() - started < WAIT
        assert names.list(regex="Pyro") == {"Pyro.NameServer": served.uri}
