"""ReconnectingProxy finds its service again, here or elsewhere, or raises Unreachable."""

from __future__ import annotations

import inspect
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pyro_events import ReconnectingProxy
from pyro_events.errors import Closed, OutcomeUnknown, Unreachable
from tests.events.market_fixtures import (
    NAME_SERVER_AT,
    Market,
    Watched,
    await_hanging,
    background,
)
from tests.events.service_harness import ROOT
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyro_events.types import ProxyNotice
    from tests.events.service_harness import Process


def test_calls_continue_after_a_kill_and_a_start(market: Callable[..., Market]) -> None:
    """On the same port, unsent calls wait for the service, even if they aren't repeatable."""
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
        assert [notice["uri"] for notice in proxy._notices] == [first.uri] * 3
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
            before = proxy._uri
            first.kill()
            with background(proxy.order, "SUN") as answer:
                first = market(0, name_server)
                assert answer.result(20) == 1
            assert str(before) != str(proxy._uri) == first.uri


def test_the_name_server_may_be_restarted_in_between(
    market: Callable[..., Market], process: Callable[..., Process]
) -> None:
    """The name server comes back empty: the proxy waits for it, and then for the name."""
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


def test_waiting_has_a_limit(market: Callable[..., Market]) -> None:
    """The error has the last reason."""
    first = market()
    first.kill()
    with Watched(first.uri, patience=0.3) as proxy:
        with pytest.raises(Unreachable, match=r"did not answer for 0\.3 s: .*refused"):
            proxy.price("SUN")
        assert proxy.statistics()["unreachable"] == 1
        assert proxy.kinds() == ["disconnected"]
        assert "refused" in str(proxy._notices[0]["reason"])


def test_an_idle_proxy_keeps_few_connections(market: Callable[..., Market]) -> None:
    """A stock daemon has a thread for each, so they are few however many calls ran at once."""
    with Watched(market().uri) as proxy:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(proxy.order, range(200)))
        assert len(proxy._pool._idle) <= 4
        assert sorted(proxy.ordered()) == list(range(200))


def test_closing_ends_what_waits(market: Callable[..., Market], tmp_path: Any) -> None:
    """A call under way has an unknown outcome; one that waits for a connection was not sent."""
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
    """It warns if it was used, and its connections are closed."""
    proxy = ReconnectingProxy(market().uri)
    proxy.price("SUN")
    with pytest.warns(ResourceWarning, match="unclosed proxy: <ReconnectingProxy PYRO:market"):
        del proxy


def test_a_faulty_hook_is_logged(
    market: Callable[..., Market], caplog: pytest.LogCaptureFixture
) -> None:
    """The call continues."""

    class Faulty(ReconnectingProxy):
        def connected(self, notice: ProxyNotice) -> None:
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
    """Errors are raised at once, with a hint."""
    with pytest.raises(error, match=words):
        ReconnectingProxy(**{"uri": "PYRO:market@localhost:1", **arguments})


def test_the_manual_names_every_method_argument_and_count() -> None:
    """They are described with defaults, except the clock and chance, which are for tests."""
    page = (ROOT / "man" / "pyro-events.7").read_text()
    text = page.partition(".Sh RECONNECTING PROXY\n")[2].partition("\n.Sh ")[0]
    described = set(re.findall(r"^\.It Fn (\w+)", text, re.MULTILINE))
    members = inspect.getmembers(ReconnectingProxy, callable)
    assert described == {name for name, _ in members if not name.startswith("_")}
    shown = dict(re.findall(r"(\w+)=(\S+)", text.partition("\n.Pp")[0]))
    parameters = inspect.signature(ReconnectingProxy).parameters.values()
    expected = {p.name: f"{p.default}".removesuffix(".0") for p in parameters if p.name != "uri"}
    assert shown == {k: v for k, v in expected.items() if k not in ("clock", "chance")}
    counts = page.partition("of a ReconnectingProxy\n")[2].partition("\n.El")[0]
    with ReconnectingProxy("PYRO:a@localhost:1") as proxy:
        named = set(re.findall(r"^\.Li (\w+) ?", counts, re.MULTILINE))
        assert named - {"OutcomeUnknown", "Unreachable"} == set(proxy.statistics())
