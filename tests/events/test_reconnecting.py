"""ReconnectingProxy against stock Pyro5 daemons that are killed and come back, or don't."""

from __future__ import annotations

import inspect
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.errors import CommunicationError

from pyro_events import ReconnectingProxy
from pyro_events.errors import Closed, OutcomeUnknown, Unreachable
from tests.events.service_harness import ROOT
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Process

MARKET = """
import os, sys, threading, time
import Pyro5.api
from Pyro5.errors import SerializeError

class Market:
    def __init__(self):
        self.calls = []
        self._limit = 7
    @Pyro5.api.expose
    def price(self, symbol):
        return [symbol, os.getpid()]
    @Pyro5.api.expose
    def order(self, what):
        self.calls.append(what)
        return len(self.calls)
    @Pyro5.api.expose
    def ordered(self):
        return self.calls
    @Pyro5.api.expose
    def hang(self, flag):
        self.calls.append("hang")
        while not os.path.exists(flag):
            time.sleep(0.01)
        return os.getpid()
    @Pyro5.api.expose
    def fail(self, how):
        self.calls.append(how)
        raise SerializeError("of mine") if how == "serialize" else KeyError(how)
    @Pyro5.api.expose
    @Pyro5.api.oneway
    def tell(self, what):
        self.calls.append(what)
    @Pyro5.api.expose
    def tape(self):
        yield from "abc"
    @Pyro5.api.expose
    def close(self):
        return "the market closes"
    @Pyro5.api.expose
    @property
    def limit(self):
        return self._limit
    @limit.setter
    def limit(self, value):
        self._limit = value

port, name_server = int(sys.argv[1]), sys.argv[2]
daemon = Pyro5.api.Daemon(host="127.0.0.1", port=port)
uri = daemon.register(Market(), "market")
if name_server != "-":
    host, _, port = name_server.partition(":")
    Pyro5.api.locate_ns(host, int(port)).register("stocks.market", uri)
print(uri, flush=True)
daemon.requestLoop()
"""
NAME_SERVER_AT = """
import sys
from Pyro5.nameserver import start_ns
uri, daemon, broadcast = start_ns("localhost", int(sys.argv[1]), enableBroadcast=False)
print(uri.location, flush=True)
daemon.requestLoop()
"""


class Market:
    """A stock Pyro5 daemon in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.uri = process.first_line.strip()
        self.port = int(self.uri.rpartition(":")[2])
        self.pid = process.pid

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)
        self._process.end()

    def stop_breathing(self) -> None:
        self._process.signal(signal.SIGSTOP)


@pytest.fixture
def market(process: Callable[..., Process]) -> Callable[..., Market]:
    """Opens a market: `market(port, name_server)`."""
    return lambda port=0, ns="-": Market(process("-c", MARKET, str(port), ns))


class Watched(ReconnectingProxy):
    """Remembers what its hooks were told."""

    def __init__(self, uri: str, **options: Any) -> None:
        self._told: list[dict[str, Any]] = []
        super().__init__(uri, **options)

    def connected(self, notice: dict[str, Any]) -> None:
        self._told.append(notice)

    def disconnected(self, notice: dict[str, Any]) -> None:
        self._told.append(notice)

    def kinds(self) -> list[str]:
        return [notice["kind"] for notice in self._told]


@contextmanager
def background(call: Callable[..., Any], *args: Any) -> Iterator[Any]:
    """Call in a thread; gives the future of the answer."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call, *args)


def await_hanging(uri: str) -> None:
    """Wait until a call of hang() has begun."""
    with ReconnectingProxy(uri) as other:
        eventually(lambda: "hang" in other.ordered())


def test_a_service_killed_and_started_again_is_called_on(market: Callable[..., Market]) -> None:
    """On the same port; calls that were not sent wait for it, also those that aren't repeatable."""
    first = market()
    with Watched(first.uri) as proxy:
        assert proxy.price("SUN") == ["SUN", first.pid]
        first.kill()
        with background(proxy.order, "100 SUN") as answer:
            eventually(lambda: proxy.statistics()["failures"])
            second = market(first.port)
            assert answer.result(20) == 1
        assert proxy.price("SUN") == ["SUN", second.pid]
        assert proxy.kinds() == ["connected", "disconnected", "connected"]
        assert [notice["uri"] for notice in proxy._told] == [first.uri] * 3
        counts = proxy.statistics()
        assert (counts["calls"], counts["connections"], counts["repeated"]) == (3, 2, 0)


def test_a_service_that_comes_back_elsewhere_is_found(
    market: Callable[..., Market], name_server: str
) -> None:
    """The name is looked up again, as often as it takes."""
    first = market(0, name_server)
    with Watched(f"PYRONAME:stocks.market@{name_server}") as proxy:
        assert proxy.price("SUN") == ["SUN", first.pid]
        for _ in range(3):
            before = proxy._place
            first.kill()
            with background(proxy.order, "SUN") as answer:
                first = market(0, name_server)
                assert answer.result(20) == 1
            assert str(before) != str(proxy._place) == first.uri


def test_the_name_server_may_be_restarted_in_between(
    market: Callable[..., Market], process: Callable[..., Process]
) -> None:
    """With an empty memory: the proxy waits for it, and then for the name."""
    names = process("-c", NAME_SERVER_AT, "0")
    place = names.first_line.strip()
    first = market(0, place)
    with Watched(f"PYRONAME:stocks.market@{place}") as proxy:
        proxy.price("SUN")
        names.signal(signal.SIGKILL)
        names.end()
        assert proxy.price("SUN") == ["SUN", first.pid]  # needs no name server
        first.kill()
        with background(proxy.order, "SUN") as answer:
            eventually(lambda: proxy.statistics()["failures"])
            process("-c", NAME_SERVER_AT, place.rpartition(":")[2])
            failures = proxy.statistics()["failures"]
            eventually(lambda: proxy.statistics()["failures"] > failures)
            second = market(0, place)
            assert answer.result(20) == 1
        assert proxy.price("SUN") == ["SUN", second.pid]


def test_a_call_that_was_sent_is_not_sent_again(
    market: Callable[..., Market], tmp_path: Any
) -> None:
    """Its caller is told that it may or may not have been executed, and the next call works."""
    first = market()
    with Watched(first.uri, repeatable=["price"]) as proxy:
        with background(proxy.hang, str(tmp_path / "flag")) as answer:
            await_hanging(first.uri)
            first.kill()
            with pytest.raises(OutcomeUnknown, match=r"hang\(\) at PYRO:market.* may or may not"):
                answer.result(20)
        market(first.port)
        assert proxy.ordered() == []
        counts = proxy.statistics()
        assert (counts["unknown"], counts["repeated"]) == (1, 0)


@pytest.mark.parametrize("how", ["declared", "for this call"])
def test_a_call_that_is_safe_to_repeat_is_sent_again(
    market: Callable[..., Market], tmp_path: Any, how: str
) -> None:
    """Until the service that is back has answered."""
    first = market()
    flag = tmp_path / "flag"
    with Watched(first.uri, repeatable=["hang"] if how == "declared" else []) as proxy:
        call = proxy.hang if how == "declared" else proxy.method("hang", repeatable=True)
        with background(call, str(flag)) as answer:
            await_hanging(first.uri)
            first.kill()
            second = market(first.port)
            flag.touch()
            assert answer.result(20) == second.pid
        assert proxy.statistics()["repeated"] == 1
        assert proxy.statistics()["unknown"] == 0


def test_a_repeated_call_that_gets_no_answer_stays_unknown(
    market: Callable[..., Market], tmp_path: Any
) -> None:
    """When the service doesn't come back: it was sent once, after all."""
    first = market()
    with (
        Watched(first.uri, repeatable=["hang"], patience=0.3) as proxy,
        background(proxy.hang, str(tmp_path / "flag")) as answer,
    ):
        await_hanging(first.uri)
        first.kill()
        with pytest.raises(OutcomeUnknown, match="may or may not"):
            answer.result(20)
        assert proxy.statistics()["unknown"] == 1
        assert proxy.statistics()["unreachable"] == 0


def test_many_calls_of_many_threads_survive_restarts(market: Callable[..., Market]) -> None:
    """Repeatable ones all get an answer, side by side; threads may share the proxy."""
    first = market()
    done, failures = threading.Event(), []
    pids: set[int] = set()
    with Watched(first.uri, repeatable=["price"]) as proxy:

        def call() -> None:
            while not done.is_set():
                try:
                    pids.add(proxy.price("SUN")[1])
                except Exception as error:  # noqa: BLE001 - the test looks at it
                    failures.append(error)

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        current = first
        for _ in range(3):
            eventually(lambda pid=current.pid: pid in pids or failures)
            current.kill()
            current = market(first.port)
        eventually(lambda: current.pid in pids or failures)
        done.set()
        for thread in threads:
            thread.join(20)
        assert not failures
        assert proxy.statistics()["repeated"] + proxy.statistics()["failures"] > 0
        kinds = proxy.kinds()  # a thread that hears late of an old end makes it two
        assert kinds == ["connected", *["disconnected", "connected"] * (len(kinds) // 2)]
        assert len(kinds) >= 7


def test_calls_run_side_by_side(market: Callable[..., Market], tmp_path: Any) -> None:
    """One that hangs doesn't keep another thread from calling."""
    flag = tmp_path / "flag"
    first = market()
    with Watched(first.uri) as proxy, background(proxy.hang, str(flag)) as answer:
        eventually(lambda: "hang" in proxy.ordered())
        assert not answer.done()
        flag.touch()
        assert answer.result(20) == first.pid


def test_errors_of_the_method_are_the_caller_s(market: Callable[..., Market]) -> None:
    """They come as they are, and nothing is sent again, even if Pyro5 closes the connection."""
    with Watched(market().uri, repeatable=["fail"]) as proxy:
        with pytest.raises(KeyError, match="key"):
            proxy.fail("key")
        with pytest.raises(CommunicationError, match="of mine") as caught:
            proxy.fail("serialize")
        assert not isinstance(caught.value, OutcomeUnknown)
        assert proxy.ordered() == ["key", "serialize"]
        assert proxy.statistics()["repeated"] == 0


def test_what_can_not_be_sent_is_not_taken_for_a_break(market: Callable[..., Market]) -> None:
    """An argument that Pyro5 can't serialize is the caller's mistake."""
    with Watched(market().uri, serializer="json") as proxy:
        with pytest.raises(Exception, match="serial"):
            proxy.order(threading.Lock())
        assert proxy.ordered() == []
        assert proxy.kinds() == ["connected"]


def test_an_answer_that_takes_too_long_is_unknown(
    market: Callable[..., Market], tmp_path: Any
) -> None:
    """After `timeout` seconds."""
    flag = tmp_path / "flag"
    with Watched(market().uri, timeout=0.2) as proxy:
        with pytest.raises(OutcomeUnknown, match=r"may or may not have been executed: .*timeout"):
            proxy.hang(str(flag))
        flag.touch()
        assert proxy.ordered() == ["hang"]


def test_patience_has_an_end(market: Callable[..., Market]) -> None:
    """The error says what was wrong last."""
    first = market()
    first.kill()
    with Watched(first.uri, patience=0.3) as proxy:
        with pytest.raises(Unreachable, match=r"did not answer for 0\.3 s: .*refused"):
            proxy.price("SUN")
        assert proxy.statistics()["unreachable"] == 1
        assert proxy.kinds() == ["disconnected"]
        assert "refused" in proxy._told[0]["reason"]


def test_oneway_calls_are_not_sent_into_a_dead_connection(market: Callable[..., Market]) -> None:
    """Before anything is sent, the proxy looks whether the connection still lives."""
    first = market()
    with Watched(first.uri) as proxy:
        proxy.tell("one")
        first.kill()
        market(first.port)
        proxy.tell("two")
        eventually(lambda: proxy.ordered() == ["two"])


def test_attributes_streams_and_taken_names(market: Callable[..., Market]) -> None:
    """All that a Pyro5 proxy can do with an object's members."""
    with Watched(market().uri) as proxy:
        assert proxy.limit == 7
        proxy.limit = 8
        assert proxy.limit == 8
        assert "".join(proxy.tape()) == "abc"
        tape = proxy.tape()
        assert proxy.price("SUN")[0] == "SUN"  # a stream keeps its connection for itself
        assert "".join(tape) == "abc"
        assert proxy.method("close")() == "the market closes"
        with pytest.raises(AttributeError, match="no exposed attribute or method 'nothing'"):
            _ = proxy.nothing
        with pytest.raises(AttributeError, match="no exposed attribute 'nothing'"):
            proxy.nothing = 1
        assert repr(proxy).endswith(f"; connected to {proxy._place}>")


def test_an_idle_proxy_keeps_few_connections(market: Callable[..., Market]) -> None:
    """However many calls ran at once; a stock daemon has a thread for each."""
    with Watched(market().uri) as proxy:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(proxy.order, range(200)))
        assert len(proxy._pool._idle) <= 4
        assert sorted(proxy.ordered()) == list(range(200))


def test_closing_ends_what_waits(market: Callable[..., Market], tmp_path: Any) -> None:
    """A call under way can't know its outcome; one that waits for a connection was not sent."""
    first = market()
    proxy = Watched(first.uri)
    with background(proxy.hang, str(tmp_path / "flag")) as answer:
        await_hanging(first.uri)
        proxy.close()
        with pytest.raises(OutcomeUnknown):
            answer.result(20)
    with pytest.raises(Closed):
        proxy.price("SUN")
    first.kill()
    waiting = Watched(first.uri)
    with background(waiting.method("price"), "SUN") as answer:
        eventually(lambda: waiting.statistics()["failures"])
        waiting.close()
        with pytest.raises(Closed):
            answer.result(20)
    waiting.close()


def test_a_proxy_that_is_dropped_warns(market: Callable[..., Market]) -> None:
    """If it was used; its connections are closed."""
    proxy = ReconnectingProxy(market().uri)
    proxy.price("SUN")
    with pytest.warns(ResourceWarning, match="unclosed proxy: <ReconnectingProxy PYRO:market"):
        del proxy


def test_a_faulty_hook_is_logged(
    market: Callable[..., Market], caplog: pytest.LogCaptureFixture
) -> None:
    """And the call goes on."""

    class Faulty(ReconnectingProxy):
        def connected(self, notice: dict[str, Any]) -> None:
            raise RuntimeError("of the hook")

    with Faulty(market().uri) as proxy:
        assert proxy.order("SUN") == 1
    assert "error in connected()" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"uri": "market"}, ValueError, "uri must be like PYRONAME:name"),
        ({"uri": "PYROMETA:a"}, ValueError, "uri must be like PYRONAME:name"),
        ({"uri": 7}, TypeError, "uri must be text, not int"),
        ({"patience": 0}, ValueError, "patience must be more than 0 seconds"),
        ({"timeout": -1}, ValueError, "timeout must be more than 0 seconds"),
        ({"repeatable": "price"}, TypeError, "repeatable must be names of methods"),
        ({"repeatable": [7]}, TypeError, "repeatable must be names of methods"),
        ({"serializer": "pickle"}, ValueError, "serializer must be one of"),
        ({"events": 7}, TypeError, "events must be a URI or a LifeCycle"),
        ({"events": "nowhere"}, ValueError, "es must be a URI"),
    ],
)
def test_arguments_are_checked(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """At once, and the error says what would be right."""
    with pytest.raises(error, match=words):
        ReconnectingProxy(**{"uri": "PYRO:market@localhost:1", **arguments})


def test_the_manual_names_every_method_argument_and_count() -> None:
    """With the defaults; but for the clock and chance, which are for tests."""
    page = (ROOT / "man" / "pyro-events.7").read_text()
    text = page.partition(".Sh RECONNECTING PROXY\n")[2].partition("\n.Sh ")[0]
    described = set(re.findall(r"^\.It Fn (\w+)", text, re.MULTILINE))
    members = inspect.getmembers(ReconnectingProxy, callable)
    assert described == {name for name, _ in members if not name.startswith("_")} - {"heard"}
    shown = dict(re.findall(r"(\w+)=(\S+)", text.partition("\n.Pp")[0]))
    parameters = inspect.signature(ReconnectingProxy).parameters.values()
    expected = {p.name: f"{p.default}".removesuffix(".0") for p in parameters if p.name != "uri"}
    assert shown == {k: v for k, v in expected.items() if k not in ("clock", "chance")}
    counts = page.partition("of a ReconnectingProxy\n")[2].partition("\n.El")[0]
    with ReconnectingProxy("PYRO:a@localhost:1") as proxy:
        named = set(re.findall(r"^\.Li (\w+) ?", counts, re.MULTILINE))
        assert named - {"OutcomeUnknown", "Unreachable"} == set(proxy.statistics())
