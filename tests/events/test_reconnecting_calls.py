"""What happens to a ReconnectingProxy's calls if the service is killed, or doesn't answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.errors import CommunicationError

from pyro_events.errors import OutcomeUnknown
from tests.events.market_fixtures import (
    Market,
    Watched,
    await_hanging,
    background,
)
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_call_that_was_sent_is_not_sent_again(
    market: Callable[..., Market], tmp_path: Any
) -> None:
    """Its caller gets OutcomeUnknown, as it may have been executed; the next call works."""
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
    """It is repeated until the restarted service has answered."""
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
    """If the service doesn't come back, the call may have been executed the first time."""
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
        kinds = proxy.kinds()  # a thread that notices an old end late makes it two
        assert kinds == ["connected", *["disconnected", "connected"] * (len(kinds) // 2)]
        assert len(kinds) >= 7


def test_calls_run_side_by_side(market: Callable[..., Market], tmp_path: Any) -> None:
    """A call that hangs doesn't block calls of another thread."""
    flag = tmp_path / "flag"
    first = market()
    with Watched(first.uri) as proxy, background(proxy.hang, str(flag)) as answer:
        eventually(lambda: "hang" in proxy.ordered())
        assert not answer.done()
        flag.touch()
        assert answer.result(20) == first.pid


def test_errors_of_the_method_are_the_caller_s(market: Callable[..., Market]) -> None:
    """They are raised unchanged, and nothing is sent again, even if Pyro5 closes the connection."""
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
    """OutcomeUnknown is raised after `timeout` seconds."""
    flag = tmp_path / "flag"
    with Watched(market().uri, timeout=0.2) as proxy:
        with pytest.raises(OutcomeUnknown, match=r"may or may not have been executed: .*timeout"):
            proxy.hang(str(flag))
        flag.touch()
        assert proxy.ordered() == ["hang"]


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
    """The proxy can do all that a Pyro5 proxy does with an object's members."""
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
        assert repr(proxy).endswith(f"; connected to {proxy._uri}>")
