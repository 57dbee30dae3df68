"""The engine put together: starts listening, serves, and stops in order."""

from __future__ import annotations

import logging
import socket
import time
import uuid
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyro_events import codec
from pyro_events._broker import stats
from pyro_events._broker.broker import Broker, slots
from pyro_events._broker.delivery.patience import Patience
from pyro_events._broker.errors import HandoverRefused, NotRunning
from pyro_events._broker.identification import Identification
from pyro_events._broker.net.address import location
from pyro_events._broker.net.admission import Admission, GuessDelays
from pyro_events._broker.net.dialer import Resolver
from pyro_events._broker.net.handshakes import Handshakes
from pyro_events._broker.net.listeners import Listeners, open_sockets, passed_listeners
from pyro_events._broker.net.loop import Loop
from pyro_events._broker.net.loop_share import LoopShare
from pyro_events._broker.net.socket_owner import SocketOwners
from pyro_events._broker.net.tls_connection import TlsConnection
from pyro_events._broker.recovery.roster_store import RosterStore, lost_with, recall
from pyro_events._broker.rejections import RefusalLog, RejectionCounters
from pyro_events._broker.rpc.arguments import make_items
from pyro_events._broker.rpc.door import Door, TlsDoor, chosen_identity
from pyro_events._broker.rpc.objects import remote_objects
from pyro_events._broker.rpc.removal import end_removed
from pyro_events._broker.rpc.session import Session
from pyro_events._broker.rpc.targets import is_loopback
from pyro_events._broker.rpc.turn_away import turn_away
from pyro_events._broker.rules import named
from pyro_events._broker.shutdown import DrainAndSave, Shutdown
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._broker.snapshot.model import BrokerSnapshot, lost_of
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.event import EVENTSERVICE_NAME
from pyro_events._protocol.subjects import check_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pyro_events._broker.principal import Principal
    from pyro_events._broker.recovery.handover import ReceivedHandover
    from pyro_events._broker.rules import Rule
    from pyro_events._broker.settings import Settings
    from pyro_events._broker.snapshot.model import LostSubscriber
    from pyro_events._broker.snapshot.ring import Ring
    from pyro_events._broker.snapshot.transfer import SnapshotReader
    from pyro_events._protocol.event import Item
    from pyro_events.types import EventServiceStatistics, SubscriberInfo

T = TypeVar("T")

_log = logging.getLogger("pyro_events")


class Engine(Snapshotted):
    """Listens from its construction on, and serves while `run` runs in some thread.

    `host` may be the path of a Unix socket, written as in Pyro5: `./u:PATH`; then `port` is 0. The
    socket `listening`, if given, takes the place of one of our own; `state_dir` is where an earlier
    process has left its roster, and where this one keeps its own; `received` is what a running
    process hands over; in `ring`, accepted events outlive the process.
    Raises AddressUnusable and TlsUnusable. Other threads may call only methods that document it.
    """

    SNAPSHOT: ClassVar = Fields(
        "_started",
        parts=("_rejections", "_identification"),
        init=("uri", "incarnation", "broker", "_listeners", "_store", "_sessions"),
        _sessions=FieldCodec(lambda sessions, writer: [each.snapshot(writer) for each in sessions]),
    )
    TRANSIENT: ClassVar = (
        "loop", "_settings", "_version", "_resolver", "_owners", "_objects", "_patience",
        "_handshakes", "_ring",
        "_turned_away",  # it logs
        "_door",  # each restored session is counted
        "_stopping", "_closed", "retired",  # then there is no handover
    )  # fmt: skip

    def __init__(
        self,
        host: str,
        port: int,
        settings: Settings,
        version: str,
        *,
        listening: socket.socket | None = None,
        state_dir: str | None = None,
        received: ReceivedHandover | None = None,
        ring: Ring | None = None,
    ) -> None:
        passed = None if received is None else passed_listeners(received.reader)
        tls = chosen_identity(settings, host)
        sock, local = open_sockets(host, port, settings, listening, passed)
        self.uri = f"PYRO:{EVENTSERVICE_NAME}@{location(host, sock)}"
        self._settings = settings
        self._version = version
        self.loop = Loop()
        self._patience = Patience(settings.patience, self.loop.clock)
        self._resolver = Resolver(self.loop)
        self._owners = SocketOwners()
        self._store: RosterStore | None = None
        self._ring = ring
        self.broker: Broker
        self._sessions: set[Session] = set()
        self._rejections = RejectionCounters()
        self._identification = Identification(settings.ident)
        self._handshakes = Handshakes(self.loop)
        self._door = Door(
            self._owners, self._identification, Admission(settings, self.loop.clock),
            GuessDelays(self.loop.clock), self._rejections, RefusalLog(self.loop.call_later),
            LoopShare(self.loop.clock, self.loop.call_later), lambda: self._listeners.local_name,
            TlsDoor(self.loop, settings, tls, self._handshakes, self._end_removed) if tls else None,
        )  # fmt: skip
        self._turned_away = RefusalLog(self.loop.call_later, logging.ERROR)
        self._listeners = Listeners(
            *(self.loop, sock, local),
            *(lambda sock, peer: self._session(peer).begin(sock), self._turn_away),
        )
        self._started = time.monotonic()
        self._stopping = False
        self._closed = False
        self.retired = False
        """Whether everything was left, or is being left, to the next process."""
        if received is None:
            self._begin(state_dir)
        else:
            self._begin_with(received.reader.values["engine"], received.reader, state_dir)
        unix = sock.family == socket.AF_UNIX
        if settings.ident is None and not unix and not is_loopback(sock.getsockname()[0]):
            _log.warning(
                "%s: open to all clients that can reach it: set an identification", self.uri
            )

    def _begin(self, state_dir: str | None) -> None:
        """Begin with nothing but what an earlier process may have left."""
        self.incarnation = uuid.uuid4().hex
        past = (state_dir and recall(state_dir, self._ring)) or BrokerSnapshot("", "")
        lost = lost_with(past)
        if state_dir is not None:
            room = slots(self._settings) + past.size
            self._store = RosterStore(state_dir, room, self.incarnation, lost)
        self._make_broker(lost)
        self.broker.resume(past)
        if self._store is not None:
            self._store.begin()

    def _make_broker(self, lost: list[LostSubscriber], more_slots: int = 0) -> None:
        identity = {"uri": self.uri, "incarnation": self.incarnation}
        self.broker = Broker(
            self.loop, self._settings, identity, self._version, self._store,
            owners=self._owners, resolver=self._resolver, rejections=self._rejections,
            lost=lost, more_slots=more_slots, ring=self._ring, tls=self._door.tls,
        )  # fmt: skip
        self._objects = remote_objects(self.broker, self.statistics)

    def run(self) -> None:
        """Serve until stopped, then release everything."""
        self._listeners.own()
        try:
            self.loop.run()
        finally:
            self.close()

    def close(self) -> None:
        """Release every descriptor, once; for an engine that never ran, or has ended."""
        if self._closed:
            return
        self._closed = True
        self.broker.compiler.close()
        self._handshakes.close()
        self._listeners.close()
        self._release()
        self.loop.run_once(0)  # connections report their end
        if self._store is not None:
            self._store.close()
        self.broker.counter_file.close()
        self._resolver.close()
        self._owners.close()
        self.loop.close()

    def _release(self) -> None:
        self.broker.close()
        for session in list(self._sessions):
            session.connection.close("the event service stops")

    def disinherit(self) -> None:
        """Close, in a forked child, what belongs to the parent, where the engine goes on."""
        self._listeners.disinherit()
        self._owners.close()
        self.loop.disinherit()

    # Handover

    def _begin_with(
        self, values: Mapping[str, Any], reader: SnapshotReader, state_dir: str | None
    ) -> None:
        """Continue, when the loop runs, with what another process hands over.

        Raises HandoverRefused if that is not for us, OSError if its files can't be used.
        """
        if values["uri"] != self.uri:
            raise HandoverRefused(
                f"this one is to be {self.uri}, and the old one is {values['uri']}"
            )
        self.incarnation = values["incarnation"]
        lost = lost_of(values["broker"]["lost"])
        used = values["broker"]["counter_file"]["used"]
        if state_dir is not None and values["_store"] is not None:
            room = slots(self._settings) + used
            self._store = RosterStore(state_dir, room, self.incarnation, lost, values["_store"])
        self._make_broker(lost, used)
        self.broker.restore(values["broker"], reader)
        self.restore(values, reader)
        for each in values["_sessions"]:
            self._session(each["peer"]).restore(each, reader)
        self.loop.call_soon(self._end_removed)

    def check_running(self) -> None:
        """Raise NotRunning when there is nothing to hand over any more."""
        if self._stopping:
            raise NotRunning("the event service is stopping, or has retired")

    def relinquish(self) -> None:
        """Close everything, which another process has now, and end without any notice."""
        self.loop.stop()  # first of all: whatever happens, this process serves no more
        self._listeners.relinquish()
        self._release()
        if self._store is not None:
            self._store.close()

    @property
    def speaks_tls(self) -> bool:
        """Whether there are files of TLS."""
        return self._door.tls is not None

    # Stopping, and planned restarts

    def stop(self, reason: str) -> None:
        """Notify aware subscribers, drain the queues for a moment, end. Any thread may call it."""
        self.loop.call_soon(lambda: self._stop(reason))

    def _stop(self, reason: str) -> None:
        if self.retired:
            self.loop.stop()  # the notices are sent, and the rest is saved
        if not self._stopping:
            self._refuse_work()
            Shutdown(self.broker, reason)

    def retire(self, reason: str, done: Callable[[Callable[[], object]], None]) -> None:
        """Leave everything to the next process, which is about to start; for the loop's thread.

        It notifies aware subscribers, drains, and saves the rest; `done` gets a function that
        returns the outcome or raises OSError. Nothing is served afterwards. Raises NotRunning if
        it can't be done.
        """
        if self._stopping:
            raise NotRunning("the event service is stopping already")
        if self._store is None or self._store.given_up:
            raise NotRunning("the event service has no state directory to leave anything in")
        self.retired = True
        self._refuse_work()

        def saved(outcome: Callable[[], object]) -> None:
            for session in self._sessions:
                session.pause()
            done(outcome)

        DrainAndSave(self.broker, self._store, reason, saved)

    def _refuse_work(self) -> None:
        self._stopping = True
        self.broker.compiler.close()
        self.broker.pump()  # the events of this round come before the notice
        self._listeners.close()
        for session in list(self._sessions):
            if session.stream is None:
                session.pause()

    # Publishing and statistics

    def ask(self, question: Callable[[], T]) -> Future[T]:
        """Call `question` in the loop's thread. Any thread may call it."""
        answer: Future[T] = Future()

        def work() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001 - the caller of `ask` handles it
                answer.set_exception(error)

        self.loop.call_soon(work)
        return answer

    def publish(self, items: Sequence[Item]) -> Future[None]:
        """Publish; done when everything is in the queues. Any thread may call it."""
        accepted: Future[None] = Future()
        self.loop.call_soon(
            lambda: self.broker.publish(items, self._patience).when_done(
                lambda: accepted.set_result(None)
            )
        )
        return accepted

    def announce(self, subject: str, message: object) -> None:
        """Publish an event of the manager, without waiting for queues; for the loop's thread.

        Raises NotRunning when nothing is published any more, ValueError or TypeError for a
        subject or a message that can't be published.
        """
        if self._stopping:
            raise NotRunning("the event service is stopping")
        texts = check_subjects(subject)
        items = make_items(texts, codec.pack(message), self._settings.queue_bytes)
        if self.broker.context.inventory.open:
            self.broker.context.inventory.count(items, "manager", "")
        self.broker.announce(items)

    def statistics(self, principal: Principal | None = None) -> EventServiceStatistics:
        """Return what the remote method of that name returns to a client, or to the manager.

        For the loop's thread.
        """
        return stats.statistics(
            self.broker,
            principal,
            connections=len(self._sessions),
            refusals=self._rejections.as_dict(),
            slowed=self._door.share.slowed,
            uptime_s=time.monotonic() - self._started,
            tls=self._door.tls.statistics(self._sessions) if self._door.tls else None,
        )

    def allow(self, rules: Sequence[Rule]) -> int:
        """Use other rules; return how many subscribers get less now. For the loop's thread."""
        narrowed = self.broker.access.change(rules, self.broker.subscribers())
        self._end_removed()
        return narrowed

    def may(self, client: str, subject: str) -> dict[str, object]:
        """Return what a client may do about a subject, and the number of the rule that decides."""
        return self.broker.access.explain(named(client), subject)

    def subscriptions(self) -> list[SubscriberInfo]:
        """Return what the remote method of that name returns to the manager, in the same way."""
        return stats.subscriptions(self.broker)

    # Clients

    def reload_tls(self) -> None:
        """Read the files of TLS again, and disconnect the clients that were removed; soon."""
        if self._door.tls is not None:
            self._door.tls.reload()

    def replace_secrets(self, ident: str) -> None:
        """Use other secrets, and disconnect those who know only others. For the loop's thread."""
        self._end_removed(self._identification.replace(ident))

    def _end_removed(self, changed: Collection[str] = ()) -> None:
        end_removed(self._door, self.broker, self._sessions, changed)

    def stock_tls_clients(self) -> list[str]:
        """Return the names of clients with TLS that don't come back by themselves."""
        return sorted(str(s.principal) for s in self._sessions if s.certificate and not s.helper)

    def end_tls(self) -> None:
        """End what has TLS, whose keys can't be handed over; it is begun again."""
        for session in list(self._sessions):
            if isinstance(session.connection, TlsConnection):
                session.connection.close("handed over to another process")
        if self._door.tls is not None:
            self._door.tls.end_calls()
        self.loop.run_pending()  # connections report their end

    def _session(self, peer: str | None) -> Session:
        session = Session(self.broker, self._objects, peer, door=self._door, ended=self._ended)
        self._sessions.add(session)
        return session

    def _turn_away(self, sock: socket.socket, peer: str | None) -> None:
        """Refuse a client for which there is no descriptor; see Listener."""
        reason = LimitReached(
            "descriptors", "the event service has no more file descriptors (see ulimit -n)"
        )
        self._rejections.count(reason)
        self._turned_away.refused(f"client {peer or 'of a Unix socket'} is refused: {reason}")
        turn_away(sock, str(reason))

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        self._door.admission.leave(session)
