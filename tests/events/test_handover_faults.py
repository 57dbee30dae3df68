"""A handover that fails, at every step, with real processes."""

from __future__ import annotations

import signal
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import pytest

from pyro_events import Publisher
from pyro_events._broker.errors import HandoverRefused
from pyro_events._broker.recovery import handover
from pyro_events._broker.snapshot import fd_passing
from tests.events.client_fixtures import Recording
from tests.events.relay import WORDS, Relay
from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.held_service import HeldService

    Held = Callable[..., HeldService]


class Clients:
    """A publisher, and a subscriber that receives its events over a stream."""

    def __init__(self, es: HeldService, publisher: Publisher, subscriber: Recording) -> None:
        self.es, self.publisher, self.subscriber = es, publisher, subscriber
        self.count = 0

    def talk(self) -> None:
        self.count += 1
        self.publisher.publish("a", self.count)
        self.subscriber.wait(self.count)

    def are_undisturbed(self) -> None:
        """Check that neither has noticed anything."""
        self.talk()
        assert self.subscriber.messages() == list(range(1, self.count + 1))
        assert self.subscriber.hook_names() == ["connected"]

    def came_back(self) -> None:
        """Check that both have noticed a crash, and nothing is missing."""
        self.talk()
        assert self.subscriber.messages() == list(range(1, self.count + 1))
        assert self.subscriber.hook_names() == ["connected", "disconnected", "connected"]


@contextmanager
def clients(es: HeldService) -> Iterator[Clients]:
    with Publisher(es.uri, timeout=20) as publisher, Recording(es.uri) as subscriber:
        subscriber.subscribe("a")
        subscriber.start()
        made = Clients(es, publisher, subscriber)
        made.talk()
        yield made


def serves_on(es: HeldService, pid: int, everybody: Clients) -> None:
    """Check that the old process is unaffected, and can still hand over."""
    everybody.are_undisturbed()
    assert es.process is not None
    assert es.process.pid == pid
    es.ask("withdraw_handover")
    es.handover()
    everybody.are_undisturbed()


def test_a_new_process_that_can_not_import_leaves_the_old_one(held: Held, tmp_path: Path) -> None:
    """It ends before it has connected to the old one, which doesn't notice."""
    es = held()
    with clients(es) as everybody:
        pid = es.pids[-1]
        es.ask("offer_handover", path=es.meeting_place)
        (tmp_path / "msgpack.py").write_text("raise ImportError")
        process, control = es.spawn(PYROCTL_TAKE_OVER=es.meeting_place, PYTHONPATH=str(tmp_path))
        assert process.wait(20) == 1
        assert process.stdout is not None
        process.stdout.close()
        control.close()
        serves_on(es, pid, everybody)


@pytest.mark.parametrize("word", [*WORDS[:-1]])
def test_the_new_process_is_killed_before_it_has_all(held: Held, word: str) -> None:
    """At every step up to the commit point, the old one serves on unaffected."""
    es = held()
    with clients(es) as everybody:
        pid = es.pids[-1]
        relay = Relay(es, word)
        relay.started[0].kill()
        relay.drop()
        assert relay.end_of_new() == -signal.SIGKILL
        serves_on(es, pid, everybody)


def test_the_new_process_is_killed_when_it_has_all(held: Held) -> None:
    """This is a crash: the old one has ended, and the next one starts from the roster."""
    es = held()
    with clients(es) as everybody:
        relay = Relay(es, "taken")
        relay.started[0].kill()
        relay.drop()
        relay.end_of_new()
        es.see_off()
        es.start()
        everybody.came_back()


@pytest.mark.parametrize("word", [*WORDS])
def test_the_old_process_is_killed(held: Held, word: str) -> None:
    """The new one serves, with the snapshot if it has it, otherwise as after a crash."""
    es = held()
    with clients(es) as everybody:
        relay = Relay(es, word)
        es.kill()
        relay.drop()
        es.become(relay.started)
        if word == "taken":
            everybody.are_undisturbed()
        else:
            everybody.came_back()


def test_the_old_process_was_dead_before(held: Held) -> None:
    """Its socket is left without a listener: the new one starts as after a crash."""
    es = held()
    with clients(es) as everybody:
        es.ask("offer_handover", path=es.meeting_place)
        es.kill()
        es.become(es.spawn(PYROCTL_TAKE_OVER=es.meeting_place))
        everybody.came_back()


def test_nothing_is_offered(held: Held) -> None:
    """Another process may be serving, so the new one ends for good."""
    es = held()
    process, control = es.spawn(PYROCTL_TAKE_OVER=es.meeting_place)
    assert process.wait(20) == 125
    assert process.stdout is not None
    process.stdout.close()
    control.close()
    assert "nothing can be taken over" in es.log.read_text()
    es.handover()


@pytest.mark.parametrize("word", ["patterns", "state", "taken"])
def test_the_manager_ends_during_it(held: Held, word: str) -> None:
    """Both processes end, whichever of them serves."""
    es = held()
    with clients(es):
        relay = Relay(es, word)
        assert es.process is not None
        assert es.control is not None
        es.lines.close()
        es.control.close()
        relay.drop()
        relay.started[1].close()
        es.process.wait(20)
        relay.started[0].wait(20)
    assert es.process.stdout is not None
    assert relay.started[0].stdout is not None
    es.process.stdout.close()
    relay.started[0].stdout.close()
    es.process = None
    for path in es.state.iterdir():  # a manager removes the whole directory
        path.unlink()


def test_a_new_process_that_hangs_is_given_up(held: Held) -> None:
    """Stopped before it has everything: after 5 s the old one serves on, the new one ends."""
    es = held()
    with clients(es) as everybody:
        pid = es.pids[-1]
        relay = Relay(es, "state")
        began = time.monotonic()
        everybody.talk()
        assert 3 < time.monotonic() - began < 10
        relay.new.setblocking(False)
        message, _ = fd_passing.receive(relay.old)
        word, reason = msgpack.unpackb(message)
        assert (word, reason) == ("kept", "the new process takes longer than 5 s")
        fd_passing.send(relay.new, message)
        relay.drop()
        assert relay.end_of_new() == 125
        assert "the old process continues" in es.log.read_text()
        serves_on(es, pid, everybody)


def test_a_new_process_that_does_not_take_over_in_time_gets_nothing(held: Held) -> None:
    """After 5 s the old one withdraws the offer; the new one gets the reason later."""
    es = held()
    with clients(es) as everybody:
        es.ask("offer_handover", path=es.meeting_place)
        inheritance = handover.receive(es.meeting_place)
        assert inheritance is not None
        with closing(inheritance.reader):
            everybody.talk()
            with pytest.raises(HandoverRefused, match="takes longer than 5 s"):
                inheritance.take()
        serves_on(es, es.pids[-1], everybody)


def test_the_new_process_waits_for_no_answer(held: Held) -> None:
    """It has taken everything, so it serves; the old one ends once it notices."""
    es = held()
    with clients(es) as everybody:
        assert es.process is not None
        relay = Relay(es, "taken")
        es.process.send_signal(signal.SIGSTOP)
        everybody.are_undisturbed()
        es.process.send_signal(signal.SIGCONT)
        es.see_off()
        relay.close()
        es.become(relay.started)
        everybody.are_undisturbed()


def test_two_at_once(held: Held) -> None:
    """A second offer is refused, and a second new process is turned away; the first goes on."""
    es = held()
    with clients(es) as everybody:
        relay = Relay(es, "ready")
        with pytest.raises(AssertionError, match="already in progress"):
            es.ask("offer_handover", path=es.meeting_place + "3")
        with pytest.raises(HandoverRefused, match="another process is taking over"):
            handover.receive(es.meeting_place)
        relay.resume()
        es.see_off()
        es.become(relay.started)
        everybody.are_undisturbed()


def test_a_new_process_with_another_format_is_refused(held: Held) -> None:
    """It gets the reason; the old one serves on, and hands over to one with its format."""
    es = held()
    with clients(es) as everybody:
        es.ask("offer_handover", path=es.meeting_place)
        with fd_passing.make_socket() as sock:
            sock.settimeout(10)
            sock.connect(es.meeting_place)
            handover._send(sock, "hello", 99)
            word, reason, _ = handover._receive(sock)
        assert word == "kept"
        assert reason == (
            f"the new process uses handover format 99, and the running one format {handover.FORMAT}"
        )
        serves_on(es, es.pids[-1], everybody)


def test_an_old_process_with_another_format_keeps_everything(held: Held) -> None:
    """The new one reports it and exits with 125: starting it again is pointless."""
    es = held()
    with fd_passing.make_socket() as listener:
        listener.bind(es.meeting_place)
        listener.listen()
        process, control = es.spawn(PYROCTL_TAKE_OVER=es.meeting_place)
        sock, _ = listener.accept()
        with sock:
            assert handover._receive(sock)[:2] == ("hello", handover.FORMAT)
            handover._send(sock, "kept", "it uses handover format 0")
            assert process.wait(20) == 125
    Path(es.meeting_place).unlink()
    assert process.stdout is not None
    process.stdout.close()
    control.close()
    assert "es: the old process continues: it uses handover format 0" in es.log.read_text()


def test_a_retired_process_has_nothing_to_hand_over(held: Held) -> None:
    """The offer is refused, with the reason."""
    es = held()
    es.ask("retire")
    with pytest.raises(AssertionError, match="has retired"):
        es.ask("offer_handover", path=es.meeting_place)
    es.end(signal.SIGTERM)
    es.start()


def test_a_stop_during_it_ends_both(held: Held) -> None:
    """The old one ends in order, and the new one is told that there is nothing to take."""
    es = held()
    with clients(es):
        relay = Relay(es, "ready")
        assert es.end(signal.SIGTERM) == 0
        message, _ = fd_passing.receive(relay.old)
        assert msgpack.unpackb(message) == ["kept", "it is stopping"]
        fd_passing.send(relay.new, message)
        relay.close()
        assert relay.end_of_new() == 125
        es.start()


def test_twenty_failures_leak_nothing(held: Held) -> None:
    """Failed new processes leave no descriptor in the old one."""
    es = held()

    def descriptors() -> int:
        return len(list(Path(f"/proc/{es.pids[0]}/fd").iterdir()))

    before = descriptors()
    for _ in range(20):
        es.ask("offer_handover", path=es.meeting_place)
        inheritance = handover.receive(es.meeting_place)
        assert inheritance is not None
        inheritance.sock.close()
        inheritance.reader.close()
        es.ask("withdraw_handover")
    eventually(lambda: descriptors() == before)
    assert is_alive(es.pids[0])


def test_a_new_process_that_comes_when_the_offer_is_withdrawn(held: Held) -> None:
    """It gets the reason, and doesn't mistake the closed connection for the old one's death."""
    es = held()
    assert es.process is not None
    es.ask("offer_handover", path=es.meeting_place)
    es.process.send_signal(signal.SIGSTOP)
    with fd_passing.make_socket() as first, fd_passing.make_socket() as second:
        for sock in (first, second):
            sock.settimeout(10)
            sock.connect(es.meeting_place)
        assert es.control is not None
        es.control.sendall(b'{"id": 1, "ask": "withdraw_handover"}\n')
        es.process.send_signal(signal.SIGCONT)
        es.lines.readline()
        for sock in (first, second):
            with pytest.raises(HandoverRefused, match="continues"):
                handover._ask(sock)
    with pytest.raises(HandoverRefused, match="nothing can be taken over"):
        handover.receive(es.meeting_place)
