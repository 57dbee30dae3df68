"""Rules of an event service as clients meet them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from Pyro5.client import Proxy

from pyro_events import EventService, Publisher
from pyro_events._broker.rules import Rule
from pyro_events._broker.snapshot.model import LostSubscriber
from pyro_events.errors import NotPublished, Refused
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder
from tests.events.test_engine_limits import refusals
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.events.service_harness import Connect, Make, Running, Stock, WireClient

ME = f"uid:{os.getuid()}"


def allow(
    *publish: str, subscribe: tuple[str, ...] = (".*",), may: frozenset[str] | None = None
) -> tuple[Rule, ...]:
    return (Rule((ME,), publish, subscribe, may),)


def change(running: Running, rules: tuple[Rule, ...]) -> int:
    return running.engine.ask(lambda: running.engine.allow(rules)).result(5)


def test_what_no_rule_allows_is_not_published(
    engine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Its publisher hears of it, whichever way it publishes; all the rest goes on in order."""
    running = engine(allow=allow(r"lab\."))
    words = f"no rule lets {ME} publish 'stage'"
    with (
        Recording(running.uri) as recording,
        Publisher(running.uri) as publisher,
        Proxy(running.uri) as stock,
    ):
        recording.subscribeMatch(".*")
        recording.start()
        for publish in (stock.publish, publisher.publish):
            with pytest.raises(PermissionError, match=words):
                publish("stage", 0)
            with pytest.raises(PermissionError, match=words):
                publish(["lab.a", "stage"], 0)
        for number in range(1, 9):
            publisher.post("lab.a" if number % 2 else "stage", number)
        with pytest.raises(NotPublished, match=words):
            publisher.flush()
        assert recording.wait(4) == [1, 3, 5, 7]
        counts = publisher.statistics()
        assert (counts["failed"], counts["acked"]) == (6, 4)
    assert refusals(running) == {"rule": 8}
    logged = re.findall(r"(\d+) events? w\w+ refused", caplog.text)
    assert sum(map(int, logged)) == 4, "in one line or several, as the answers came"


def test_events_are_left_out_that_no_rule_allows(engine: Make) -> None:
    """A subject is refused with what is allowed; a pattern may be wider than the rule."""
    running = engine(allow=allow(".*", subscribe=(r"lab\.", "log$")))
    with Recording(running.uri) as recording, Publisher(running.uri) as publisher:
        with pytest.raises(Refused, match=r"subscribe to 'stage'; it may: lab\\., log\$"):
            recording.subscribe("stage")
        recording.subscribeMatch(".*")
        recording.start()
        with pytest.raises(PermissionError, match="subscribe to 'logs'"):
            recording.subscribe("logs")
        for number, subject in enumerate(("stage", "lab.a", "logs", "LOG", "lab.b")):
            publisher.publish(subject, number)
        assert recording.wait(3) == [1, 3, 4]


def test_without_a_rule_for_it_a_client_may_do_nothing(engine: Make) -> None:
    """Nobody is identified by having connected."""
    running = engine(allow=(Rule(("camera-*",), (".*",), (".*",)),))
    with Proxy(running.uri) as stock:
        for attempt in (
            lambda: stock.publish("a", 1),
            lambda: stock.subscribe("a", "PYRO:x@127.0.0.1:1"),
        ):
            with pytest.raises(PermissionError, match=f"no rule .* {ME}"):
                attempt()


def test_rights_beside_subjects(engine: Make, stock: Stock) -> None:
    """To be called back, and to see the subscriptions of others, has to be allowed."""
    running = engine(allow=allow(".*", may=frozenset()))
    recorder = Recorder()
    uri = stock().register(recorder)
    with Proxy(running.uri) as client:
        for subscribe in (client.subscribe, client.subscribeMatch):
            with pytest.raises(PermissionError, match="the right 'callback'"):
                subscribe("a", uri)
        change(running, allow(".*", may=frozenset({"callback"})))
        client.subscribe("a", uri)
        client.publish("a", 1)
        eventually(lambda: len(recorder.events) == 1)
        change(running, allow(".*", may=frozenset()))
        assert running.subscriptions() == []


def test_what_others_hear_about_is_shown_by_right_only(
    engine: Make, wire_client: Connect, stranger: Callable[[str], WireClient]
) -> None:
    """Nobody else learns of their subjects, neither of present subscribers nor of lost ones."""
    running = engine(allow=allow(".*", may=frozenset()))
    me, other = wire_client(running), stranger(running.uri)
    me.attach("s", ["secret.subject"], ["secret.pattern"])
    owner = next(running.engine.broker.subscribers()).owner
    lost = LostSubscriber("PYRO:x@localhost:1", ["secret.lost"], [], owner)
    running.engine.ask(lambda: running.engine.broker.lost.append(lost)).result(5)
    methods = ("subscriptions", "statistics")
    for rights, seen in ((frozenset(), False), (frozenset({"subscriptions"}), True)):
        change(running, allow(".*", may=rights))
        assert [str(me.call(method)).count("secret") for method in methods] == [2, 1]
        assert [("secret" in str(other.call(method))) for method in methods] == [seen] * 2


def test_a_change_of_the_rules_is_told_and_takes_effect_at_once(engine: Make) -> None:
    """A subscriber that loses something hears a gap; one that comes back keeps its place."""
    running = engine(allow=allow(".*"))
    with Recording(running.uri) as recording, Publisher(running.uri) as publisher:
        recording.subscribe(["a", "b"])
        recording.subscribeMatch("[cd]")
        recording.start()
        publisher.publish(["a", "b", "c", "d"], 1)
        assert recording.wait(4) == [1] * 4
        assert change(running, allow(".*", subscribe=("a", "c"))) == 1
        eventually(lambda: len(recording.gaps()) == 1)
        (gap,) = recording.gaps()
        assert (gap["reason"], gap["missed"]) == ("rule", None)
        assert (gap["subjects"], gap["patterns"]) == (["b"], ["[cd]"])
        publisher.publish(["a", "b", "c", "d"], 2)
        assert recording.wait(6) == [1] * 4 + [2] * 2

        def cut() -> None:
            for session in running.engine._sessions:
                session.connection.close("cut")

        running.engine.ask(cut).result(5)
        publisher.publish(["a", "b"], 3)
        assert recording.wait(7)[6:] == [3]
        assert change(running, allow(".*")) == 0
        publisher.publish(["a", "b"], 4)
        assert recording.wait(9)[7:] == [4, 4]
        assert change(running, ()) == 0
        assert len(recording.gaps()) == 1


def test_who_claims_to_come_back_is_told_what_it_does_not_get(
    engine: Make, wire_client: Connect
) -> None:
    """It is counted, too; what a stream had when the rules changed isn't told again."""
    running = engine(allow=allow(".*", subscribe=("a",)))
    client = wire_client(running)
    with pytest.raises(PermissionError, match="no rule lets"):
        client.attach("s", ["a", "b"])
    answer = client.attach("s", ["a", "b"], last=0, last_incarnation="forged")
    assert client.push() == (None, {"kind": "rule", "subjects": ["b"], "patterns": []})
    client.call("publish", ["b", "a"], 1)
    assert [subject for subject, *_ in client.events(1)] == ["a"]
    assert refusals(running) == {"rule": 2}
    again = wire_client(running)
    again.attach("s", ["a", "b"], last=0, last_incarnation=answer["incarnation"])
    again.call("statistics")
    assert refusals(running) == {"rule": 2}


def test_the_deciding_rule_is_explained(engine: Make) -> None:
    """With its number and pattern; without rules everything is allowed."""
    running = engine(
        allow=(Rule(("camera-*",), (r"lab\.{client}\.",)), Rule(("anyone",), (), ("log",)))
    )
    explain = running.engine.may
    assert explain("camera-2", "lab.camera-2.x") == {
        "rule": 1,
        "publish": {"allowed": True, "pattern": r"lab\.{client}\."},
        "subscribe": {"allowed": False, "pattern": None},
        "may": ["callback", "subscriptions"],
    }
    other = explain("10.0.0.7", "logs")
    assert (other["rule"], other["may"]) == (2, [])
    assert other["subscribe"] == {"allowed": True, "pattern": "log"}
    change(running, ())
    assert explain("x", "y")["rule"] == 0


def test_a_program_gives_rules_as_dicts() -> None:
    """They have the keys of the configuration, and are checked like them."""
    rule = {"client": [ME], "publish": ["log"]}
    with EventService(register=False, allow=(rule,)) as service, Proxy(service.uri) as client:
        client.publish("log", 1)
        with pytest.raises(PermissionError, match="publish 'lab'"):
            client.publish("lab", 1)
    with pytest.raises(ValueError, match="a rule needs a client"):
        EventService(allow=({},))
