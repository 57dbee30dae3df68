"""Patterns are compiled on a thread, call by call, and a call that fails changes nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.errors import PyroError

from pyro_events._broker import compiler as module
from pyro_events._broker.compiler import PatternCompiler
from pyro_events._broker.net.loop import Loop
from pyro_events._protocol.patterns import Pattern
from tests.events.service_harness import AwareRecorder, proxy
from tests.events.test_engine_stream import messages, publish
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.events.service_harness import Connect, Make, Stock

SLOW = "(a|b)*" * 80
WIDE = r"[\u0100-\U0010ffff]" * 3
"""Slow to compile, and quick to match."""


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def compiled(compiler: PatternCompiler, *texts: str) -> Any:
    return compiler.compile(texts, lambda patterns: [each.text for each in patterns])


def test_known_patterns_are_not_compiled_again(loop: Loop) -> None:
    """A subscriber that comes back has its answer at once."""
    known = Pattern("a")
    compiler = PatternCompiler(loop, {"a": known}.get)
    assert compiler.compile(["a", "a"], list) == [known, known]


def test_the_answer_comes_in_the_loop(loop: Loop) -> None:
    """In the order of the call, the known ones included; no thread is left."""
    compiler = PatternCompiler(loop, {"a": Pattern("a")}.get)
    pending = compiled(compiler, "b", "a", "b")
    assert not pending.done
    compiler.settle(10)
    assert (pending.value, pending.error) == (["b", "a", "b"], None)
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "compiler"])


def test_a_short_call_overtakes_a_long_one(loop: Loop) -> None:
    """Calls have their turns, whatever the others want."""
    compiler = PatternCompiler(loop, lambda _: None)
    order = []
    long = compiled(compiler, *(f"{number}{SLOW}" for number in range(5)))
    long.when_done(lambda: order.append("long"))
    compiled(compiler, "a").when_done(lambda: order.append("short"))
    while len(order) < 2:
        loop.run_once(10)
    assert order == ["short", "long"]


def test_errors_of_patterns_and_of_their_use_are_the_outcome(loop: Loop) -> None:
    """Both fail the result, and the next call is served."""
    compiler = PatternCompiler(loop, lambda _: None)

    def refuse(_: object) -> None:
        raise ValueError("too many")

    bad, refused, good = compiled(compiler, "("), compiler.compile(["a"], refuse), "b"
    last = compiled(compiler, good)
    compiler.settle(10)
    assert "pattern '(' is refused" in str(bad.error)
    assert str(refused.error) == "too many"  # type: ignore[attr-defined] # it is pending
    assert last.value == ["b"]


def test_a_handover_waits_only_for_so_long(loop: Loop) -> None:
    """What isn't compiled by then fails, and says what to do."""
    compiler = PatternCompiler(loop, lambda _: None)
    pending = compiled(compiler, *(f"{number}{SLOW}" for number in range(20)))
    compiler.settle(0.01)
    assert isinstance(pending.error, PyroError)
    assert "call again" in str(pending.error)
    compiler.close()
    loop.run_once()


def test_the_end_leaves_calls_unanswered(loop: Loop) -> None:
    """The connections end, and helpers call again elsewhere."""
    compiler = PatternCompiler(loop, lambda _: None)
    pending = compiled(compiler, "a")
    compiler.close()
    later = compiled(compiler, "b")
    loop.run_once()
    assert not pending.done
    assert not later.done


def test_a_call_that_takes_too_long_to_compile_is_refused(
    engine: Make, stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the pattern and the limit, and nothing is subscribed."""
    monkeypatch.setattr(module, "COMPILE_TIME", 0.1)
    running, recorder = engine(), AwareRecorder()
    texts = [f"{number}{SLOW}" for number in range(200)]
    with proxy(running.uri) as es:
        with pytest.raises(ValueError, match=r"pattern '\d+\(a.*took 0.1 s to compile"):
            es.subscribeMatch(texts, stock().register(recorder))
        assert es.subscriptions() == []
        assert es.statistics()["refused"] == 1


def test_calls_of_one_connection_stay_in_order(engine: Make, wire_client: Connect) -> None:
    """What is sent after a subscription waits for it."""
    running = engine()
    client = wire_client(running)
    client.attach("id", ["a"])
    first = client.start("stream_subscribe", [], [WIDE, "b.*"])
    second = client.start("publish", "b1", 1)
    third = client.start("stream_unsubscribe", ["b.*"])
    for call in (first, second, third):
        client.finish(call)
    publish(running, "b2", 2)
    publish(running, "a", 3)
    assert messages(client.events(2)) == [1, 3]


def test_a_client_that_leaves_meanwhile_may_come_back(engine: Make, wire_client: Connect) -> None:
    """Its stream waits for it to come back, as after any broken connection."""
    running = engine()
    client = wire_client(running)
    client.start("attach", "id", [], [f"{number}{SLOW}" for number in range(3)], {})
    client.sock.close()
    eventually(lambda: [each["state"] for each in running.subscriptions()] == ["away"])
