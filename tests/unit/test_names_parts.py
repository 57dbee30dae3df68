"""The parts of the name server: matching, storage, cleaner, stop reasons."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import sqlite3
import threading
import time

import pytest
from Pyro5.errors import NamingError
from Pyro5.nameserver import NameServer

from pyro_child import StopReasons
from pyro_names.cleaner import UNREACHABLE_LIMIT, Cleaner, can_connect
from pyro_names.storage import StorageError, matching, open_storage

# --- regular expressions of clients ---


def test_patterns_match_from_the_start_and_care_about_case():
    """The meaning is that of `re.match`, as in Pyro5."""
    names = ["stocks.market", "Stocks.feed", "other.stocks"]
    assert matching(r"stocks\..+", names) == ["stocks.market"]
    assert matching("", names) == names


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$"])
def test_a_pattern_that_backtracks_without_end_is_cut_off(pattern):
    """A malicious pattern costs half a second of CPU; `re` would take hours."""
    started = time.monotonic()
    with contextlib.suppress(NamingError):
        matching(pattern, ["a" * 40 + "b"] * 50)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "pattern", ["a{1000000000}", "(?:a{100}){100}", "a{2,5000}", "a" * 513, "(", "a{,9999}"]
)
def test_a_pattern_that_would_exhaust_the_memory_is_refused(pattern):
    """A pattern that is expensive to compile is an error for its sender."""
    with pytest.raises(NamingError, match="invalid regex"):
        matching(pattern, ["a"])


# --- storage ---


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_both_storages_list_by_pattern_and_by_prefix(kind, tmp_path):
    """Our protection does not change the behaviour of Pyro5's storages."""
    names = NameServer(open_storage("memory" if kind == "memory" else f"sql:{tmp_path / 'n'}"))
    names.register("a.one", "PYRO:x@localhost:1", metadata={"m"})
    names.register("b.two", "PYRO:y@localhost:2")
    assert names.list(regex="a") == names.list(prefix="a") == {"a.one": "PYRO:x@localhost:1"}
    assert names.list(regex=".*one", return_metadata=True)["a.one"][1] == {"m"}
    assert names.remove(regex=".*") == 2


def make_garbage(path):
    path.write_bytes(b"no database at all, " * 100)


def make_torn(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE pyro_names (id integer PRIMARY KEY, name TEXT, uri TEXT)")
        db.executemany("INSERT INTO pyro_names(name) VALUES (?)", [("n" * 500,)] * 100)
        db.commit()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * 4096 + data[8192:])


@pytest.mark.parametrize("make", [make_garbage, make_torn, os.mkdir])
def test_a_storage_that_can_not_be_used_is_a_clear_and_permanent_error(make, tmp_path):
    """The error shows at the start, not at a client's lookup."""
    path = tmp_path / "names.sqlite"
    make(path)
    with pytest.raises(StorageError, match=r"can't keep names in .*names\.sqlite") as caught:
        open_storage(f"sql:{path}")
    assert caught.value.permanent


def test_a_storage_that_is_locked_is_worth_another_try(tmp_path, monkeypatch):
    """A backup in progress must not make the failure permanent."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", functools.partial(connect, timeout=0.05))
    path = tmp_path / "names.sqlite"
    with contextlib.closing(connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError) as caught:
            open_storage(f"sql:{path}")
    assert not caught.value.permanent


# --- the cleaner ---


def register(**uris):
    names = NameServer(open_storage("memory"))
    names.register("Pyro.NameServer", "PYRO:Pyro.NameServer@localhost:1")
    for name, uri in uris.items():
        names.register(name, uri)
    return names


def test_a_name_goes_only_after_it_was_unreachable_for_long_enough():
    """A service that restarts keeps its name; the name server's own name is never touched."""
    names = register(dead="PYRO:x@localhost:1", alive="PYRO:y@localhost:2")
    cleaner = Cleaner(names, 3, reachable=lambda uri: uri.endswith(":2"))
    cleaner.clean(0.0)
    cleaner.clean(UNREACHABLE_LIMIT - 0.1)
    assert names.count() == 3
    cleaner.clean(UNREACHABLE_LIMIT)
    assert set(names.list()) == {"Pyro.NameServer", "alive"}
    assert cleaner.removed == 1


def test_coming_back_restarts_the_time():
    """Only an unbroken absence counts."""
    reachable = {"value": False}
    names = register(x="PYRO:x@localhost:1")
    cleaner = Cleaner(names, 3, reachable=lambda _: reachable["value"])
    for now, value in ((0, False), (10, True), (15, False), (30, False)):
        reachable["value"] = value
        cleaner.clean(now)
    assert names.count() == 2
    cleaner.clean(35)
    assert names.count() == 1


def test_a_new_registration_of_the_name_restarts_the_time():
    """A new address is a new entry, even if nothing listens there yet."""
    names = register(x="PYRO:x@localhost:1")
    cleaner = Cleaner(names, 3, reachable=lambda _: False)
    cleaner.clean(0)
    names.register("x", "PYRO:x@localhost:2")
    cleaner.clean(UNREACHABLE_LIMIT + 1)
    assert "x" in names.list()


def test_a_name_that_is_registered_again_while_being_tried_stays():
    """Between the try and the removal, nothing is lost."""
    names = register(x="PYRO:x@localhost:1")

    def reachable(_uri):
        names.register("x", "PYRO:x@localhost:2")
        return False

    cleaner = Cleaner(names, 3, reachable=reachable)
    cleaner._since[("x", "PYRO:x@localhost:1")] = -UNREACHABLE_LIMIT
    cleaner.clean(0)
    assert names.list()["x"] == "PYRO:x@localhost:2"


def test_unix_sockets_and_odd_addresses_do_not_disturb_it(tmp_path):
    """Pyro5's own cleaner crashes on a name with a Unix socket."""
    path = str(tmp_path / "socket")
    assert not can_connect(f"PYRO:x@./u:{path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        assert can_connect(f"PYRO:x@./u:{path}")
    assert not can_connect("PYRO:x@localhost:99999")
    assert not can_connect("PYRO:x@" + "x" * 300 + ":1")
    assert can_connect("PYROMETA:a,b")
    assert can_connect("no uri")


def test_the_thread_cleans_at_intervals_survives_a_failing_storage_and_stops_at_once(caplog):
    """A failing storage is reported, and the next round tries again."""
    names = register(x="PYRO:x@localhost:1")
    rounds = threading.Semaphore(0)

    def reachable(_uri):
        rounds.release()
        if names.count() == 2:
            names.register("y", "PYRO:y@localhost:1")
            raise NamingError("sqlite error: disk full")
        return True

    cleaner = Cleaner(names, 0.01, reachable=reachable)
    cleaner.start()
    for _ in range(4):
        assert rounds.acquire(timeout=10)
    cleaner.stop()
    assert not cleaner._thread.is_alive()
    assert "can't look for dead names: sqlite error: disk full" in caplog.text


# --- reasons to stop ---


@pytest.fixture
def reasons():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    with contextlib.closing(StopReasons()) as reasons:
        reasons.on_signals(*handlers)
        yield reasons
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_first_reason_counts_wherever_it_comes_from(reasons):
    """Threads and signals share one queue."""
    thread = threading.Thread(target=reasons.put, args=("the manager is gone",))
    thread.start()
    assert reasons.get() == "the manager is gone"
    thread.join()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert reasons.get() == "SIGUSR1"


@pytest.mark.parametrize("_round", range(10))
def test_two_signals_at_once_wake_the_main_thread(reasons, _round):
    """Both may be delivered to another thread, which doesn't run Python's handlers."""
    done = threading.Event()

    def kill():
        time.sleep(0.02)  # sleep: so that the main thread sleeps
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        done.wait()

    thread = threading.Thread(target=kill)
    thread.start()
    assert {reasons.get(), reasons.get()} == {"SIGUSR1", "SIGUSR2"}
    done.set()
    thread.join()
