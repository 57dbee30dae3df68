"""`python -m pyro_host` as a process: what it serves, and how it ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time

import pytest
from Pyro5.errors import CommunicationError, PyroError

from tests.harness import eventually, is_alive

WAIT = 20.0


# --- serving --------------------------------------------------------------------------------------


def test_a_class_is_served_under_a_fixed_id(host):
    """READY comes with the URI; the id is the requested one, and the object can be called."""
    hosted = host("things:Counting", "--id", "market")
    assert hosted.ready().startswith("PYRO:market@localhost:")
    assert hosted.status == "not registered"
    with hosted.proxy() as proxy:
        assert (proxy.count(), proxy.pid) == (1, hosted.process.pid)
    assert hosted.stop()[0] == 0


@pytest.mark.parametrize(
    ("target", "first", "second"),
    [
        ("things:Counting", [1, 2], [1]),  # Pyro5's default: one for each client
        ("things:Single", [1, 2], [3]),
        ("things:PerCall", [1, 1], [1]),
        ("things:Created", [1, 2], [1]),
        ("things:make()", [1, 2], [3]),
        ("things:instance", [1, 2], [3]),
    ],
)
def test_instance_modes_are_respected(host, target, first, second):
    """The class's instance mode applies; a factory's object is the only one."""
    hosted = host(target)
    hosted.ready()
    with hosted.proxy() as one, hosted.proxy() as other:
        assert [one.count() for _ in first] == first
        assert [other.count() for _ in second] == second


def test_pyro_settings_reach_pyro(host):
    """Serializer, message size, idle time and pool are Pyro5's configuration in that process."""
    hosted = host(
        *("things:Counting", "--serializer", "json", "--max-message-size", "5000"),
        *("--commtimeout", "7.5", "--threadpool", "3"),
    )
    hosted.ready()
    with hosted.proxy() as proxy:
        assert proxy.settings() == ("json", 5000, 7.5, 3)


def test_with_server_type_multiplex_calls_run_in_the_main_thread(host):
    """Libraries that insist on the main thread work, as in a program with Pyro5's loop."""
    hosted = host("things:Single", "--servertype", "multiplex")
    hosted.ready()
    with hosted.proxy() as one, hosted.proxy() as other:
        assert one.thread_is_main()
        assert (one.count(), other.count()) == (1, 2)
        assert hosted.ask("statistics")["answer"]["connections"] == 2
    assert hosted.stop()[0] == 0


def test_the_uri_has_the_address_for_clients_outside(host):
    """Behind NAT, the URI reported and registered is the one that clients can use."""
    hosted = host("things:Counting", "--nathost", "lab.example", "--natport", "4000", "--id", "m")
    assert hosted.ready() == "PYRO:m@lab.example:4000"


def test_on_every_address_the_uri_has_one_that_can_be_reached(host):
    """0.0.0.0 is not an address to connect to; the URI has the machine's own."""
    hosted = host("things:Counting", "--host", "0.0.0.0")
    assert "0.0.0.0" not in hosted.ready()
    with hosted.proxy() as proxy:
        assert proxy.count() == 1


def test_silent_clients_do_not_delay_others(host):
    """A silent connection costs a thread but doesn't block the service."""
    hosted = host("things:Counting", "--threadpool", "4")
    address = hosted.ready().rpartition(":")[2]
    with socket.create_connection(("localhost", int(address))), hosted.proxy() as proxy:
        assert proxy.count() == 1


def served(hosted):
    """Call once, if there is room for another client."""
    with contextlib.suppress(PyroError), hosted.proxy() as again:
        return again.count()


def test_too_many_clients_are_turned_away_and_counted(host):
    """The pool's limit holds; the first to leave makes room."""
    hosted = host("things:Counting", "--threadpool", "1")
    hosted.ready()
    with hosted.proxy() as one:
        one.count()
        with hosted.proxy() as other, pytest.raises(CommunicationError, match="no free workers"):
            other.count()
        assert hosted.ask("statistics")["answer"]["refused"] == 1
    assert eventually(lambda: served(hosted)) == 1


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_a_method_that_calls_sys_exit_harms_only_its_client(host, servertype):
    """The connection ends; its place is free again, and the service goes on."""
    hosted = host("things:Counting", "--threadpool", "2", "--servertype", servertype)
    hosted.ready()
    for _ in range(5):
        with hosted.proxy() as proxy, pytest.raises(CommunicationError):
            proxy.leave()
    assert eventually(lambda: served(hosted)) == 1


def test_an_inherited_socket_is_used_and_left_listening(host):
    """It serves on its parent's socket, which stays open at its end for the next process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        first = host("things:Counting", "--id", "m", listener=listener)
        assert first.ready() == f"PYRO:m@localhost:{port}"
        with first.proxy() as proxy:
            assert proxy.count() == 1
            assert first.stop()[0] == 0
            with pytest.raises(CommunicationError):
                proxy.count()
            second = host("things:Counting", "--id", "m", listener=listener)
            assert proxy.pid == second.process.pid  # it waited in the backlog
            assert second.stop()[0] == 0


# --- stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_clients_do_not_delay_the_end(host, servertype, number):
    """Stopped with 30 clients connected: exit 0 long before Pyro5's own three seconds."""
    hosted = host("things:Counting", "--servertype", servertype)
    hosted.ready()
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(hosted.proxy()).count()
        began = time.monotonic()
        assert hosted.stop(number)[0] == 0
        assert time.monotonic() - began < 2.5


def test_a_call_that_is_being_answered_gets_its_answer(host):
    """Half a second is well within the time that calls get to finish."""
    hosted = host("things:Counting")
    hosted.ready()
    with hosted.proxy() as proxy:
        proxy._pyroBind()
        answers = []

        def call() -> None:
            proxy._pyroClaimOwnership()
            answers.append(proxy.sleep(0.5))

        caller = threading.Thread(target=call)
        caller.start()
        assert "asleep\n" in hosted.process.stdout
        assert hosted.ask("statistics")["answer"]["connections"] == 1
        assert hosted.stop()[0] == 0
        caller.join(WAIT)
        proxy._pyroClaimOwnership()
    assert answers == [0.5]


@pytest.mark.parametrize("servertype", ["thread", "multiplex"])
def test_a_call_that_never_ends_does_not_delay_the_end_for_ever(host, servertype):
    """It is cut off, and a warning reports that."""
    hosted = host("things:Counting", "--servertype", servertype)
    hosted.ready()
    with hosted.proxy() as proxy:
        proxy._pyroBind()
        caller = threading.Thread(
            target=lambda: (proxy._pyroClaimOwnership(), _fails(lambda: proxy.sleep(600)))
        )
        caller.start()
        assert "asleep\n" in hosted.process.stdout
        code, errors = hosted.stop()
        caller.join(WAIT)
        proxy._pyroClaimOwnership()
    assert (code, "cut off" in errors) == (0, True)


def _fails(call):
    with contextlib.suppress(PyroError):
        call()


def test_exit_handlers_run_and_endless_threads_are_cut_off(host, tmp_path):
    """Python would wait for such a thread for ever."""
    note = tmp_path / "note"
    hosted = host("things:Lingering", env={"FAREWELL": str(note)})
    hosted.ready()
    with hosted.proxy() as proxy:
        proxy.count()
        code, errors = hosted.stop()
    assert (code, note.exists()) == (0, True)
    assert "cut off: for ever" in errors


def test_it_leaves_with_its_manager(host):
    """The end of the control channel is the end of the manager."""
    hosted = host("things:Counting")
    hosted.ready()
    hosted.control.close()
    code, errors = hosted.end()
    assert (code, "the manager is gone" in errors) == (0, True)
    assert not is_alive(hosted.process.pid)


@pytest.mark.parametrize("where", ["import", "constructor"])
def test_it_is_stopped_while_the_object_takes_its_time(host, tmp_path, where):
    """A module that never finishes its import, or a constructor, doesn't delay the stop."""
    note = tmp_path / "note"
    wait = f"__import__('pathlib').Path({str(note)!r}).touch(); __import__('time').sleep(600)"
    lines = ["from Pyro5.api import *", wait] if where == "import" else ["from Pyro5.api import *"]
    lines += ["@behavior('single')", "@expose", "class Thing:"]
    lines += [f"    def __init__(self): {wait}", "    def m(self): pass"]
    (tmp_path / "slow.py").write_text("\n".join(lines))
    hosted = host("slow:Thing", path=tmp_path)
    eventually(note.exists)
    assert hosted.stop()[0] == -signal.SIGTERM


def test_marshal_is_accepted_where_it_is_the_chosen_serializer(host):
    """An object whose own proxies use marshal takes it from clients, too; no other does."""
    hosted, other = host("things:Counting", "--serializer", "marshal"), host("things:Counting")
    for each in (hosted, other):
        each.ready()
    with hosted.proxy() as proxy:
        proxy._pyroSerializer = "marshal"
        assert proxy.count() == 1
    with other.proxy() as proxy, pytest.raises(CommunicationError, match="marshal is not accepted"):
        proxy._pyroSerializer = "marshal"
        proxy.count()
