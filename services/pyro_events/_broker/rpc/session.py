"""A client's connection: the handshake, then its requests, one after the other, in order."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from Pyro5.errors import DaemonError

from pyro_events._broker.delivery.patience import Patience
from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.identification import WrongProof
from pyro_events._broker.net.connection import ServerConnection
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.net.socket_owner import PeerGone
from pyro_events._broker.principal import Principal, principal_at
from pyro_events._broker.publishers import PublishersInUse
from pyro_events._broker.rpc import calls, lone_publish
from pyro_events._broker.rpc.batch import Batch, call
from pyro_events._broker.rpc.greeting import decode_proof, greet_helper
from pyro_events._broker.rpc.large_requests import LargeRequests
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted, plain
from pyro_events._protocol.capabilities import LOCAL, capabilities
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.pressure import check_patience
from pyro_wire import framing
from pyro_wire.challenge import Challenge
from pyro_wire.framing import ForeignProtocol, Frame, FrameTooLarge, ProtocolError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from Pyro5.core import URI

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.stream import StreamSubscriber
    from pyro_events._broker.identification import Proven
    from pyro_events._broker.rpc.door import Door
    from pyro_events._broker.snapshot.transfer import SnapshotReader
    from pyro_wire.tls.certificate import Certificate

_log = logging.getLogger("pyro_events")


class Session(Snapshotted):
    """Serves one client, at an address or, if `peer` is None, at the end of a Unix socket."""

    __slots__ = (
        "_broker", "_challenge", "_deadline", "_door", "_ended", "_ending", "_objects", "_refuse",
        "_streamed", "_welcome", "can", "certificate", "connection", "helper", "large", "origin",
        "patience", "peer", "principal", "proven", "publishers", "stream", "user",
    )  # fmt: skip

    SNAPSHOT: ClassVar = Fields(
        "_streamed", "_welcome", "origin", "user",
        parts=("_deadline", "patience"),
        init=("peer", "connection", "publishers", "stream"),
        proven=FieldCodec(lambda proven, _: proven, lambda it, _: it and tuple(it)),
        principal=FieldCodec(lambda principal, _: principal, lambda values, _: Principal(*values)),
        can=plain(frozenset),
        _challenge=FieldCodec(lambda begun, _: begun, lambda it, _: it and Challenge(*it)),
        stream=FieldCodec(lambda stream, _: None if stream is None or stream.gone else stream.key),
    )  # fmt: skip
    TRANSIENT: ClassVar = (
        "_broker", "_objects", "_door", "_ended",
        "_refuse",  # a refusal that is delayed becomes a timeout
        "_ending",  # then there is no handover
        "certificate", "helper",  # a connection with TLS is not handed over
        "large",  # one that waits is still unread
    )  # fmt: skip

    def __init__(
        self,
        broker: Broker,
        objects: dict[str, Any],
        peer: str | None,
        *,
        door: Door,
        ended: Callable[[Session], None],
    ) -> None:
        self.peer = peer
        self.large = LargeRequests(self, door.share)
        self.patience = Patience(broker.settings.patience, broker.loop.clock)
        """How long publishes of this client wait for full queues."""
        self.stream: StreamSubscriber | None = None
        self._broker = broker
        self._objects = objects
        self._door = door
        self._ended = ended
        self._challenge: Challenge | None = None
        """What the client, a helper, has to prove before it is served."""
        self._refuse: Callable[[], None] | None = None
        """Sends a refusal that is delayed."""
        self.publishers = PublishersInUse(
            broker.publishers, broker.settings.publishers_per_connection
        )
        self.user: int | None = None
        """The user of the process at the other end, if that is on this machine and can be told."""
        self.principal = principal_at(peer, None)
        """The client's identity; its handshake may tell more."""
        self.origin = self.principal.account.name
        """The identity before the handshake, by which connections are counted."""
        self.certificate: Certificate | None = None
        """What the client has presented in its TLS handshake."""
        self.proven: Proven | None = None
        """The secret by which it is identified."""
        self.helper = False
        """Whether it is one of our helpers, which come back by themselves."""
        self.can: frozenset[str] = frozenset()
        """What such a helper and we can do; see `capabilities`."""
        self._welcome = False
        self._ending = False
        self._streamed = False
        self.connection: ServerConnection
        self._deadline = Deadline(broker.loop, self._too_late)

    def __str__(self) -> str:
        named = self.principal.evidence in ("certificate", "secret")
        return f"client {self.principal} at {self.origin}" if named else f"client {self.origin}"

    def begin(self, sock: socket.socket) -> None:
        """Serve the client at the other end of this socket."""
        settings = self._broker.settings
        try:
            self.user = self._door.owners.peer_user(sock)
        except PeerGone as error:
            sock.close()
            self.on_closed(str(error))
            return
        self.principal = principal_at(self.peer, self.user)
        self.origin = self.principal.account.name
        self.connection = ServerConnection(self._broker.loop, sock, settings.handshake_size, self)
        self.large.watch(self.connection.reader)
        self._deadline.set(settings.handshake_timeout)
        self._door.admission.arrive(self)

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue to serve, when the loop runs, the client that another process has served."""
        super().restore(values, reader)
        broker = self._broker
        settings = broker.settings
        size = settings.max_message_size if self._welcome else settings.handshake_size
        sock = reader.socket(values["connection"]["_sock"])
        self.connection = ServerConnection(broker.loop, sock, size, self, configured=True)
        self.large.watch(self.connection.reader)
        self.connection.restore(values["connection"], reader)
        self.publishers.resume(self.principal, values["publishers"])
        if values["stream"] is not None:
            self.stream = broker.streams[values["stream"]]
            self.stream.rejoin(self.connection)
        if self._welcome:
            self._door.admission.enter(self)
        else:
            self._door.admission.arrive(self)

    @property
    def accepted(self) -> bool:
        """Whether its handshake is done."""
        return self._welcome

    def check_no_stream(self) -> None:
        """Raise ValueError if the connection is a stream already."""
        if self.stream is not None and not self.stream.gone:
            raise ValueError("this connection is a stream already: call detach first")

    def check_callback(self, uri: URI) -> None:
        """Raise LimitReached for an object that may not be called back."""
        self._door.check_callback(uri)

    def attach(self, stream: StreamSubscriber, last: int | None) -> tuple[int, int]:
        """Make this connection the subscriber's stream; see `StreamSubscriber.attach`."""
        self.stream, self._streamed = stream, True
        return stream.attach(self.connection, last, can=self.can)

    def pause(self) -> None:
        """Read nothing more: the next process handles the client's requests."""
        self._ending = True
        self.connection.pause()

    def resume(self) -> None:
        """Read the next request, after one that had to wait."""
        if not self._ending:
            self.connection.resume()

    # The connection's owner

    def on_frame(self, frame: Frame) -> None:
        """Handle what the client sent."""
        kind = frame.type
        if self._challenge is not None:
            self._authenticate(frame, self._challenge)
        elif not self._welcome:
            self._handshake(frame)
        elif kind == framing.INVOKE:
            if not lone_publish.publish(self, self._broker, frame):
                self._invoke(frame)
        elif kind == framing.RESULT and self._streamed:
            if self.stream is not None and not self.stream.gone:
                self.stream.acknowledge(frame.data)
        elif kind == framing.PING:
            if frame.data != b"pong":
                pong = framing.encode_frame(framing.PING, frame.serializer, 0, frame.seq, b"pong")
                self.connection.send(pong)
        else:
            raise ProtocolError(f"a message of type {kind} is out of place")
        if self.large.began is not None:
            self.large.settle()

    def on_too_large(self, error: FrameTooLarge) -> None:
        """Answer a request whose arguments were discarded."""
        if not self._welcome or error.frame.type != framing.INVOKE:
            raise error
        text = f"the message is too large: {error} (max_message_size)"
        self._failed(error.frame, LimitReached("max_message_size", text))
        self.large.settle()

    def on_foreign(self, error: ForeignProtocol) -> None:
        """Go on with TLS if that is what the client speaks."""
        if self._welcome or not self._door.begin_tls(self, error.received):
            self.connection.close(str(error))

    def on_secured(self, peer: Certificate) -> None:
        """Take the name in the client's certificate for its own."""
        self.certificate = peer
        self.principal = Principal("certificate", peer.name)

    def on_insecure(self, reason: str) -> None:
        """Count and log a TLS handshake that has failed; its connection is about to end."""
        self._door.refuse(self, LimitReached("tls", reason))

    def on_closed(self, reason: str) -> None:
        """Release everything that belongs to the connection."""
        _log.debug("%s: %s", self, reason)
        self._deadline.cancel()
        self.large.close()
        self.publishers.close()
        if self._challenge is not None and not self._ending:
            self._door.refuse(self, LimitReached("ident", "it did not prove the identification"))
        if self.stream is not None:
            self.stream.detached(self.connection)
        self._ended(self)

    # Handshake

    def _handshake(self, frame: Frame) -> None:
        if frame.type != framing.CONNECT:
            raise ProtocolError("the first message is not a CONNECT")
        try:
            answer = self._greet(frame)
            if self._challenge is None:
                self._enter()
            else:
                self._door.admission.wait_anew(self)
        except Exception as error:  # noqa: BLE001 - a client's data can make the serializer raise anything
            self._reject(error, calls.encode_connect(frame, framing.CONNECTFAIL, str(error)))
            return
        self.connection.send(calls.encode_connect(frame, framing.CONNECTOK, answer))

    def _authenticate(self, frame: Frame, begun: Challenge) -> None:
        """Accept a helper that proves the identification; it may say nothing else before."""
        try:
            self._know(self._door.identification.check_proof(begun, decode_proof(frame)))
            self._enter()
        except Exception as error:  # noqa: BLE001 - the same
            self._reject(error, calls.encode_exception(frame, error))
            return
        self._answer(frame, None)

    def _know(self, name: str) -> None:
        self.proven = self._door.identification.proof_of(name)
        if name and self.certificate is None:
            self.principal = Principal("secret", name)

    def _enter(self) -> None:
        """Serve the client from now on. Raises LimitReached if there is no place for it."""
        self._door.admission.accept(self)
        self._welcome, self._challenge = True, None
        self._deadline.cancel()
        self.connection.reader.max_size = self._broker.settings.max_message_size

    def _reject(self, error: Exception, answer: bytes) -> None:
        """Answer with the reason: at once, but for one who may be guessing the identification."""
        self._challenge = None
        self.large.refused = True
        self._door.refuse(self, error)

        def refuse() -> None:
            self._deadline.cancel()
            self.connection.send(answer)
            self.connection.finish("refused")

        if isinstance(error, WrongProof):
            self.connection.pause()
            self._refuse = refuse
            self._deadline.cancel()  # it may be sooner than that of the handshake
            self._deadline.set(self._door.delays.next(self.origin))
        else:
            refuse()

    def end(self, reason: str) -> None:
        """Disconnect a client that isn't let in any more; tell it why if it has a stream."""
        _log.info("%s is disconnected: %s", self, reason)
        if self.stream is not None and not self.stream.gone:
            self.stream.notify({"kind": "disconnected", "reason": reason})
        self.connection.finish(reason)

    def dismiss(self, reason: LimitReached) -> None:
        """Close the connection at once, before its handshake, and count the reason."""
        self._challenge = None
        self._door.rejections.count(reason)
        self.connection.close(str(reason))

    def _greet(self, frame: Frame) -> dict[str, object]:
        self._door.check_tls(self)
        data, object_id = calls.decode_connect(frame, trusted=self._broker.settings.trusted)
        self.helper = isinstance(data, dict) and "pyro_events" in data
        identification = self._door.identification
        greeting: object = "hello"
        if self.helper and isinstance(data, dict):
            self.can = capabilities(data)
            incarnation = self._broker.identity["incarnation"]
            greeting, self._challenge = greet_helper(
                identification, data, incarnation, self._broker.version
            )
            if LOCAL in self.can and (local := self._door.local_for(self)) is not None:
                greeting["local"] = local
            if "patience" in data:
                self.patience.seconds = check_patience(data["patience"])
            if self._challenge is not None:
                return {"handshake": greeting, "meta": {}}
        elif identification.required:
            here = self.connection.endpoint
            self._know(identification.check_greeting(data, object_id, here))
        daemon = self._objects["Pyro.Daemon"]
        return {"handshake": greeting, "meta": daemon.get_metadata(self, object_id)}

    def _too_late(self) -> None:
        if self._refuse is not None:
            self._refuse()
            return
        limit = self._broker.settings.handshake_timeout
        self.dismiss(LimitReached("handshake_timeout", f"no handshake within {limit:g} s"))

    # Requests

    def _invoke(self, frame: Frame) -> None:
        try:
            settings = self._broker.settings
            object_id, requests = calls.decode_request(
                frame, trusted=settings.trusted, max_message_size=settings.max_message_size
            )
            target = self._objects.get(object_id)
            if target is None:
                raise DaemonError("unknown object")  # noqa: TRY301 - one way to refuse
        except Exception as error:  # noqa: BLE001 - a client's data can make the serializer raise anything
            self._failed(frame, error)
            return
        if frame.flags & framing.BATCH:
            Batch(self, frame, target, iter(requests)).advance()
        else:
            self._execute(frame, target, requests[0])

    def _execute(self, frame: Frame, target: Any, request: calls.Call) -> None:
        """Answer a call, when it is done; one that waits keeps the client's connection unread."""
        try:
            result = call(self, target, *request)
        except Exception as error:  # noqa: BLE001 - it is sent to the caller
            self._failed(frame, error)
            return
        if isinstance(result, PendingResult) and not result.done:
            self.connection.pause()
            result.when_done(lambda: self._answer_at_last(frame, result))
        else:
            self._answer(frame, result.value if isinstance(result, PendingResult) else result)

    def _answer_at_last(self, frame: Frame, pending: PendingResult) -> None:
        if pending.error is not None:
            self._failed(frame, pending.error)
        else:
            self._answer(frame, pending.value)
        self.resume()

    def _failed(self, frame: Frame, error: Exception) -> None:
        self._count_failure(error)
        if frame.flags & framing.ONEWAY:
            _log.warning("%s: a oneway call failed: %s", self, calls.describe(error))
        else:
            self.connection.send(calls.encode_exception(frame, error))

    def _count_failure(self, error: Exception) -> None:
        self.large.refused = True
        self._broker.counters.refused += 1
        self._door.rejections.count(error)

    def _answer(self, frame: Frame, value: object) -> None:
        self._broker.flush_roster()
        if not frame.flags & framing.ONEWAY:
            self.connection.send(calls.encode_result(frame, value))
