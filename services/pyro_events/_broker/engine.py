"""The engine put together: starts listening, serves, and stops in order."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from pyro_events import codec
from pyro_events._broker import stats
from pyro_events._broker.broker import Broker, slots
from pyro_events._broker.errors import HandoverRefused, NotRunning
from pyro_events._broker.net.address import UNIX, UnixSocket, bind
from pyro_events._broker.net.dialer import Resolver
from pyro_events._broker.net.listener import Listener
from pyro_events._broker.net.loop import Loop
from pyro_events._broker.recovery.graceful_restart import DrainAndSave, lost_with, restore
from pyro_events._broker.recovery.roster_store import RosterStore, recall
from pyro_events._broker.rejections import RejectionCounters
from pyro_events._broker.rpc.remote import make_items, remote_objects
from pyro_events._broker.rpc.session import Session
from pyro_events._broker.rpc.targets import is_loopback
from pyro_events._broker.snapshot.model import lost_of
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events._protocol.subjects import check_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyro_events._broker.delivery.encoder import Item
    from pyro_events._broker.recovery.handover import ReceivedHandover
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.model import LostSubscriber
    from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
    from pyro_events._protocol.decode_limits import LimitReached
    from pyro_events.types import EventServiceStatistics, SubscriberInfo

T = TypeVar("T")

_TICK = 0.02
_HANG_UP = 0.5
"""Seconds that streams have to close their end."""
_log = logging.getLogger("pyro_events")


class Engine:
    """Listens from its construction on, serves while `run` runs in some thread.

    `host` may be the path of a Unix socket, written as in Pyro5: `./u:PATH`; then `port` is 0. A
    socket that somebody holds for us, `listening`, takes the place of one of our own; `state_dir`
    is where an earlier process has left its roster, and where this one keeps its own.
    Raises AddressUnusable. Only the methods that say so may be called from other threads.
    """

    def __init__(
        self,
        host: str,
        port: int,
        settings: Settings,
        version: str,
        *,
        listening: socket.socket | None = None,
        state_dir: str | None = None,
        inheritance: ReceivedHandover | None = None,
    ) -> None:
        if inheritance is not None:
            listening = _passed_on(listening, inheritance.receiver)
        sock = listening or bind(host, port, settings.socket_mode)
        sock.setblocking(False)
        self.uri = f"PYRO:{EVENTSERVICE_NAME}@{location(host, sock)}"
        self._settings = settings
        self._version = version
        self.loop = Loop()
        self._resolver = Resolver(self.loop)
        self._keeper: RosterStore | None = None
        self._hub: Broker
        self._sessions: set[Session] = set()
        self._refusals = RejectionCounters()
        self._listener = Listener(self.loop, sock, settings, self._refusals, self._accepted)
        self._started = time.monotonic()
        self._stopping = False
        self._closed = False
        self.retired = False
        """Whether everything was left, or is being left, to the next process."""
        self.handed_over = False
        """Whether another process serves on by now, and it is no business of ours any more."""
        if inheritance is None:
            self._begin(state_dir)
        else:
            self._take_over(inheritance, state_dir)
        unix = sock.family == socket.AF_UNIX
        if settings.ident is None and not unix and not is_loopback(sock.getsockname()[0]):
            _log.warning("%s: open to everybody who reaches it: give an identification", self.uri)

    def _begin(self, state_dir: str | None) -> None:
        """Begin with nothing but what an earlier process may have left."""
        self.incarnation = uuid.uuid4().hex
        past = recall(state_dir) if state_dir is not None else None
        lost = lost_with(past) if past is not None else []
        if state_dir is not None:
            room = slots(self._settings) + (past.size if past is not None else 0)
            self._keeper = RosterStore(state_dir, room, self.incarnation, lost)
        self._make_hub(lost)
        if past is not None:
            restore(self._hub, past)
        if self._keeper is not None:
            self._keeper.begin()

    def _take_over(self, inheritance: ReceivedHandover, state_dir: str | None) -> None:
        """Go on, when the loop runs, with what another process hands over; see `hand_over`.

        Raises HandoverRefused if that is not for us, OSError if its files can't be used.
        """
        receiver = inheritance.receiver
        values = receiver.values["engine"]
        if values["uri"] != self.uri:
            raise HandoverRefused(
                f"this one is to be {self.uri}, and the old one is {values['uri']}"
            )
        self.incarnation = values["incarnation"]
        lost = lost_of(values["lost"])
        if state_dir is not None and values["keeper"] is not None:
            room = slots(self._settings) + values["slots"]
            self._keeper = RosterStore(state_dir, room, self.incarnation, lost, values["keeper"])
        self._make_hub(lost, values["slots"])
        self._hub.take_over(receiver, values["hub"], inheritance.patterns)
        self._started = values["started"]
        self._refusals.take_over(values["refusals"])
        for each in values["sessions"]:
            session = self._session(each["peer"], None)
            session.take_over(receiver, each)
            self._listener.enter(session.peer)

    def _make_hub(self, lost: list[LostSubscriber], more_slots: int = 0) -> None:
        identity = {"uri": self.uri, "incarnation": self.incarnation}
        self._hub = Broker(
            self.loop, self._resolver, self._settings, identity, self._version, self._keeper,
            more_slots=more_slots,
        )  # fmt: skip
        self._hub.lost = lost
        self._objects = remote_objects(self._hub, self.statistics)

    def check_willing(self) -> None:
        """Raise NotRunning when there is nothing to hand over any more."""
        if self._stopping:
            raise NotRunning("the event service is stopping, or has retired")

    def settle(self) -> None:
        """Come to a point where nothing is half done; held publishers are let go.

        For the loop's thread, when it handles what is ready.
        """
        self._hub.settle()

    def hand_over(self, sender: SnapshotWriter) -> dict[str, object]:
        """Say everything that another process needs to go on, when it is settled.

        For the loop's thread. Nothing changes here by that, so this one may go on as well.
        """
        return {
            "uri": self.uri,
            "incarnation": self.incarnation,
            "listener": self._listener.hand_over(sender),
            "owns_file": self._listener.owns_file,
            "started": self._started,
            "refusals": self._refusals.as_dict(),
            "lost": [lost.plain() for lost in self._hub.lost],
            "slots": self._hub.tallies.used,
            "keeper": self._keeper and self._keeper.hand_over(),
            "hub": self._hub.hand_over(sender),
            "sessions": [session.hand_over(sender) for session in self._sessions],
        }

    def part(self) -> None:
        """Let go of everything, which is another process' now, and end without a word."""
        self.loop.stop()  # first of all: whatever happens, this process serves no more
        self.handed_over = True
        self._listener.part()
        self._release()
        if self._keeper is not None:
            self._keeper.close()

    def patterns(self) -> list[str]:
        """Give the texts of all patterns."""
        return self._hub.router.patterns()

    def run(self) -> None:
        """Serve until stopped, then release everything."""
        self._listener.own()
        try:
            self.loop.run()
        finally:
            self.close()

    def close(self) -> None:
        """Release every descriptor, once; for an engine that never ran, or has ended."""
        if self._closed:
            return
        self._closed = True
        self._listener.close()
        self._release()
        self.loop.run_once(0)  # lets everything hear of its end
        if self._keeper is not None:
            self._keeper.close()
        self._hub.tallies.close()
        self._resolver.close()
        self.loop.close()

    def _release(self) -> None:
        self._hub.close()
        for session in list(self._sessions):
            session.connection.close("the event service stops")

    def stop(self, reason: str) -> None:
        """Stop in order: tell the aware, let queues drain for a moment. Any thread may call it."""
        self.loop.call_soon(lambda: self._begin_stop(reason))

    def retire(self, reason: str, done: Callable[[Callable[[], object]], None]) -> None:
        """Leave everything to the next process, which is about to come; for the loop's thread.

        Tells the aware, drains, and writes down what is left; `done` gets what gives the outcome
        or raises OSError. Nothing is served afterwards. Raises NotRunning if it can't be done.
        """
        if self._stopping:
            raise NotRunning("the event service is stopping already")
        if self._keeper is None or self._keeper.given_up:
            raise NotRunning("the event service has no state directory to leave anything in")
        self.retired = True
        self._refuse_work()

        def parted(outcome: Callable[[], object]) -> None:
            for session in self._sessions:
                session.pause()
            done(outcome)

        DrainAndSave(self._hub, self._keeper, reason, parted).begin()

    def await_return(self, seconds: float, done: Callable[[], None]) -> None:
        """Call when all who were there before a restart are back, or after so many seconds."""
        self._hub.awaited.when_complete(seconds, done)

    def returned(self) -> dict[str, object]:
        """Say how many subscribers of the process before were expected, and how many are back."""
        return {"expected": self._hub.awaited.expected, "back": self._hub.awaited.back}

    def ask(self, question: Callable[[], T]) -> Future[T]:
        """Have something answered in the loop's thread. Any thread may call it."""
        answer: Future[T] = Future()

        def work() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                answer.set_exception(error)

        self.loop.call_soon(work)
        return answer

    def publish(self, items: Sequence[Item]) -> Future[None]:
        """Publish; done when everything is in the queues. Any thread may call it."""
        accepted: Future[None] = Future()
        self.loop.call_soon(
            lambda: self._hub.publish(items).when_done(lambda: accepted.set_result(None))
        )
        return accepted

    def announce(self, subject: str, message: object) -> None:
        """Publish what the manager tells, at once and waiting for nobody; for the loop's thread.

        Raises NotRunning when nothing is published any more, ValueError or TypeError for what
        can't be.
        """
        if self._stopping:
            raise NotRunning("the event service is stopping")
        texts = check_subjects(subject)
        limit = self._hub.settings.queue_bytes
        self._hub.announce(make_items(texts, codec.pack(message), limit))

    def statistics(self) -> EventServiceStatistics:
        """Return what the remote method of that name returns; for the loop's thread."""
        return stats.statistics(
            self._hub,
            connections=len(self._sessions),
            refusals=self._refusals.as_dict(),
            uptime_s=time.monotonic() - self._started,
        )

    def subscriptions(self) -> list[SubscriberInfo]:
        """Return what the remote method of that name returns; for the loop's thread."""
        return stats.subscriptions(self._hub)

    def _accepted(
        self, sock: socket.socket, peer: str | None, refusal: LimitReached | None
    ) -> None:
        self._session(peer, refusal).begin(sock)

    def _session(self, peer: str | None, refusal: LimitReached | None) -> Session:
        session = Session(
            self._hub,
            self._objects,
            peer,
            refusal=refusal,
            refusals=self._refusals,
            ended=self._ended,
        )
        self._sessions.add(session)
        return session

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        self._listener.leave(session.peer)

    def _begin_stop(self, reason: str) -> None:
        if self.retired:
            self.loop.stop()  # everybody knows, and everything is written down
        if self._stopping:
            return
        self._refuse_work()
        for subscriber in self._hub.subscribers():
            if subscriber.aware:
                subscriber.notify({"kind": "stopping", "reason": reason})
        self._drain(time.monotonic() + self._hub.settings.drain_timeout)

    def _refuse_work(self) -> None:
        self._stopping = True
        self._hub.pump()  # the events of this round come before the notice
        self._listener.close()
        for session in list(self._sessions):
            if session.stream is None:
                session.pause()

    def _drain(self, deadline: float) -> None:
        late = time.monotonic() >= deadline
        subscribers = list(self._hub.subscribers())
        if not late and any(subscriber.busy for subscriber in subscribers):
            self.loop.call_later(_TICK, lambda: self._drain(deadline))
            return
        left = sum(subscriber.queued for subscriber in subscribers)
        if left:
            _log.warning("stopped with %d events undelivered", left)
        for stream in list(self._hub.streams.values()):
            stream.farewell("the event service stops")
        self._await_hang_up(time.monotonic() + _HANG_UP)

    def _await_hang_up(self, deadline: float) -> None:
        """Let streams read our last words before the sockets are closed."""
        connected = any(stream.state == "connected" for stream in self._hub.streams.values())
        if connected and time.monotonic() < deadline:
            self.loop.call_later(_TICK, lambda: self._await_hang_up(deadline))
            return
        if self._keeper is not None:
            self._keeper.remove()  # it was told to everybody that their subscriptions end
        self.loop.stop()


def _passed_on(own: socket.socket | None, receiver: SnapshotReader) -> socket.socket:
    """Give the socket to listen on: the one that we have, or else that of the old process."""
    values = receiver.values["engine"]
    passed = receiver.socket(values["listener"])
    if own is not None:
        passed.close()
        return own
    if values["owns_file"]:
        path = passed.getsockname()
        return UnixSocket(path, 0, passed.detach())
    return passed


def location(host: str, sock: socket.socket) -> str:
    """Give what the URI says after the @: a host that clients can connect to, and the port."""
    address: Any = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"{UNIX}{address}"
    port = address[1]
    if host.startswith(UNIX):  # the socket that was passed on is another kind
        host = address[0]
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - what must not be in an address
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
