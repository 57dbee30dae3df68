"""The event service as a process of one thread: signals, its manager, its name server."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events._app.executor import SerialExecutor
from pyro_events._broker.net.loop import Loop
from tests.events.service_harness import NAME_SERVER, Process, WireClient, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.events.service_harness import Start

ALONE = ("-m", "pyro_events", "-N", "-p", "0")


def uri_of(process: Process) -> str:
    return process.first_line.split()[0]


def port_of(process: Process) -> int:
    return int(uri_of(process).rpartition(":")[2])


def threads(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


class Manager:
    """The manager's end of the control channel of a process."""

    def __init__(self, process: Start, *arguments: str, **environment: str) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(20)
        self.lines = self.ours.makefile("rb")
        with theirs:
            number = theirs.fileno()
            self.es = process(
                *arguments, pass_fds=[number], PYROCTL_CONTROL_FD=str(number), **environment
            )

    def send(self, number: int, ask: str, **parameters: object) -> None:
        line = json.dumps({"id": number, "ask": ask, **parameters})
        self.ours.sendall(line.encode() + b"\n")

    def reply(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found

    def ask(self, ask: str, **parameters: object) -> dict[str, Any]:
        self.send(1, ask, **parameters)
        return self.reply()

    def close(self) -> None:
        self.lines.close()
        self.ours.close()


@pytest.fixture
def frozen_name_server(process: Start) -> Iterator[str]:
    """A name server that accepts connections and never answers."""
    server = process("-c", NAME_SERVER)
    server.signal(signal.SIGSTOP)
    yield server.first_line.strip()
    server.signal(signal.SIGKILL)


def test_it_has_one_thread(process: Start) -> None:
    """This holds with 200 idle subscribers, a manager, and after questions."""
    manager = Manager(process, *ALONE)
    es = manager.es
    clients = [WireClient(port_of(es)) for _ in range(200)]
    for number, client in enumerate(clients):
        client.greet()
        client.attach(f"id{number}", ["a"])
    assert manager.ask("statistics")["answer"]["subscribers"] == 200
    assert threads(es) == 1
    for client in clients:
        client.sock.close()
    manager.close()


def test_idle_subscribers_are_cheap(process: Start) -> None:
    """A thousand of them take less than 11 MB: five thousand fit into 80, the program included."""

    def resident() -> int:
        status = Path(f"/proc/{es.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    es = process(*ALONE, "-q")
    before = resident()
    clients = []
    for number in range(1000):
        clients.append(client := WireClient(port_of(es)))
        client.greet()
        client.attach(f"subscriber-{number:032d}", [f"quotes.{number}"], name=f"board-{number}")
    assert resident() - before < 11_000_000
    assert before < 35_000_000
    for client in clients:
        client.sock.close()


def test_a_registered_one_has_one_thread_too(process: Start, name_server: str) -> None:
    """Calls to the name server leave no thread behind."""
    manager = Manager(process, "-m", "pyro_events", "--ns", name_server)
    eventually(lambda: threads(manager.es) == 1)
    assert manager.ask("register")["answer"] == {"registered": name_server}
    eventually(lambda: threads(manager.es) == 1)
    manager.close()


@pytest.mark.parametrize("busy", [False, True])
def test_signals_at_once_are_not_lost(process: Start, busy: bool) -> None:
    """INT and TERM at the same instant stop it in order, whatever it is doing."""
    es = process(*ALONE)
    client = WireClient(port_of(es))
    client.greet()
    es.signal(signal.SIGSTOP)
    if busy:
        for number in range(2000):
            client.start("publish", "a", number)
    es.signal(signal.SIGINT)
    es.signal(signal.SIGTERM)
    es.signal(signal.SIGCONT)
    status, _, err = es.end(10)
    assert status == 0
    assert err.count("stopping: ") == 1
    client.sock.close()


def test_signals_reach_a_loop_that_is_woken_all_the_time(process: Start) -> None:
    """A wake-up descriptor full of other threads' calls doesn't hide a signal."""
    script = """
import signal, threading, os, time
from pyro_events._broker.net.loop import Loop
loop, seen = Loop(), []
def signalled(number):
    seen.append(number)
    if len(seen) == 3:
        loop.stop()
loop.on_signals(signalled, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
def flood():
    while len(seen) < 3:
        loop.call_soon(lambda: None)
threads = [threading.Thread(target=flood) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(5000): loop.call_soon(lambda: None)
print("ready", flush=True)
loop.run()
for thread in threads: thread.join()
loop.close()
print(sorted(seen))
"""
    program = process("-c", script)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(program.pid, number)
    status, out, _ = program.end(20)
    assert (status, out) == (0, f"{sorted([2, 15, signal.SIGUSR1.value])}\n")


def test_a_second_signal_ends_it_at_once(process: Start) -> None:
    """This holds while queues drain."""
    es = process(*ALONE)
    with WireClient(port_of(es)) as client:
        client.greet()
        client.attach("id", ["a"])
        client.call("publish", "a", 1)
        es.signal(signal.SIGTERM)
        while client.push()[0] is not None:
            pass  # the notice says that stopping has begun; the event is never acknowledged
        es.signal(signal.SIGTERM)
        assert es.end(1)[0] == -signal.SIGTERM


def test_a_name_server_that_hangs_delays_no_client(
    process: Start, frozen_name_server: str, name_server: str
) -> None:
    """Registering is answered when done; clients and the manager are served in between."""
    manager = Manager(process, "-m", "pyro_events", "--ns", name_server)
    manager.send(1, "register", ns=frozen_name_server)
    with proxy(uri_of(manager.es)) as remote:
        began = time.monotonic()
        remote.publish("a", 1)
        manager.send(2, "statistics")
        assert manager.reply()["answer"]["published"] == 1
        assert time.monotonic() - began < 3
    late = manager.reply()
    assert late["id"] == 1
    assert "no name server answers" in late["error"]
    manager.close()


def test_it_serves_while_it_registers(process: Start, frozen_name_server: str) -> None:
    """A name server that hangs at the start ends it with 1, and a signal ends it before that."""
    es = process("-m", "pyro_events", "--ns", frozen_name_server, first_line=False)
    status, out, err = es.end(15)
    assert (status, out) == (1, "")
    assert "no name server answers" in err
    assert "Traceback" not in err


def test_a_signal_while_it_registers(process: Start, frozen_name_server: str) -> None:
    """It is not ready yet, and stops in order."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    es = process("-m", "pyro_events", "--ns", frozen_name_server, "-p", str(port), first_line=False)

    def listens() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens)
    with WireClient(port) as client:
        client.greet()
    es.signal(signal.SIGTERM)
    assert es.end(10)[:2] == (0, "")


def test_big_answers_for_a_slow_manager(process: Start) -> None:
    """A manager that doesn't read delays no client, and gets everything later."""
    manager = Manager(process, *ALONE)
    with WireClient(port_of(manager.es)) as client, proxy(uri_of(manager.es)) as remote:
        client.greet()
        client.attach("id", [f"{number:0250d}" for number in range(900)])
        for number in range(20):
            manager.send(number, "subscriptions")
        for _ in range(5):
            began = time.monotonic()
            remote.publish("b", 1)
            assert time.monotonic() - began < 5
        for number in range(20):
            reply = manager.reply()
            assert reply["id"] == number
            assert len(reply["answer"][0]["subjects"]) == 900
        assert manager.ask("statistics")["answer"]["published"] == 5
    manager.close()


def test_it_ends_with_a_manager_that_never_read(process: Start) -> None:
    """Unread answers don't hide the end of the manager."""
    manager = Manager(process, *ALONE)
    with WireClient(port_of(manager.es)) as client:
        client.greet()
        client.attach("id", [f"{number:0250d}" for number in range(900)])
        for number in range(20):
            manager.send(number, "subscriptions")
        assert client.call("statistics")["subscribers"] == 1
        manager.close()
        status, _, err = manager.es.end(10)
    assert status == 0
    assert "manager is gone" in err


def test_errands_run_in_order_and_leave_no_thread(tidy: None) -> None:
    """One after the other, results and errors alike, on a thread that ends with the last one."""
    loop, seen = Loop(), []
    errands = SerialExecutor(loop)

    def slow() -> int:
        time.sleep(0.05)  # sleep: the others could overtake it
        return 1

    errands.run(slow, lambda done: seen.append(done.result()))
    errands.run(lambda: 1 / 0, lambda done: seen.append(type(done.exception())))
    errands.run(lambda: 3, lambda done: seen.append(done.result()))

    def all_seen() -> bool:
        loop.run_once(0.01)
        return len(seen) == 3

    eventually(all_seen)
    assert seen == [1, ZeroDivisionError, 3]
    assert errands.finish(5)
    errands.run(lambda: 4, lambda done: seen.append(done.result()))
    assert errands.finish(5)
    loop.run_once()
    assert seen[-1] == 4
    loop.close()
