"""A client's connection: the handshake, then its requests, one after the other, in order."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any, ClassVar

from Pyro5.errors import DaemonError, PyroError

from pyro_events._broker.delivery.patience import Patience
from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.net.address import user_id
from pyro_events._broker.net.connection import ServerConnection
from pyro_events._broker.net.loop import Deadline
from pyro_events._broker.principal import Principal
from pyro_events._broker.rpc import calls
from pyro_events._broker.rpc.batch import Batch, call
from pyro_events._broker.snapshot.fields import FieldCodec, Fields, Snapshotted
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events._protocol.pressure import check_patience
from pyro_wire import framing
from pyro_wire.framing import ForeignProtocol, Frame, FrameTooLarge, ProtocolError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from Pyro5.core import URI

    from pyro_events._broker.broker import Broker
    from pyro_events._broker.delivery.stream import StreamSubscriber
    from pyro_events._broker.rpc.door import Door
    from pyro_events._broker.snapshot.transfer import SnapshotReader
    from pyro_wire.certificate import Certificate

HELPER_PROTOCOL = 1
"""The version of the protocol between helpers and event service, beyond Pyro5's."""

_log = logging.getLogger("pyro_events")


class Session(Snapshotted):
    """Serves one client, at an address or, if `peer` is None, at the end of a Unix socket."""

    __slots__ = (
        "_broker",
        "_deadline",
        "_door",
        "_ended",
        "_ending",
        "_objects",
        "_refuse",
        "_streamed",
        "_welcome",
        "certificate",
        "connection",
        "helper",
        "origin",
        "patience",
        "peer",
        "principal",
        "stream",
    )  # fmt: skip

    SNAPSHOT: ClassVar = Fields(
        "_streamed", "_welcome",
        parts=("_deadline", "patience"),
        init=("peer", "connection", "stream"),
        principal=FieldCodec(lambda principal, _: principal, lambda values, _: Principal(*values)),
        stream=FieldCodec(lambda stream, _: None if stream is None or stream.gone else stream.key),
    )  # fmt: skip
    TRANSIENT: ClassVar = (
        "_broker", "_objects", "_door", "_ended",
        "origin",  # it follows from the peer and the socket
        "_refuse",  # a refusal that is delayed becomes a timeout
        "_ending",  # then there is no handover
        "certificate", "helper",  # a connection with TLS is not handed over
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
        self.patience = Patience(broker.settings.patience, broker.loop.clock)
        """How long publishes of this client wait for full queues."""
        self.stream: StreamSubscriber | None = None
        self._broker = broker
        self._objects = objects
        self._door = door
        self._ended = ended
        self._refuse: Callable[[], None] | None = None
        """Sends a refusal that is delayed."""
        self.origin = peer or ""
        """The address, or the user at the other end of a Unix socket."""
        self.principal = Principal("address", self.origin)
        """The client's identity; its handshake may tell more."""
        self.certificate: Certificate | None = None
        """What the client has presented in its TLS handshake."""
        self.helper = False
        """Whether it is one of our helpers, which come back by themselves."""
        self._welcome = False
        self._ending = False
        self._streamed = False
        self.connection: ServerConnection
        self._deadline = Deadline(broker.loop, self._too_late)
        """For the handshake."""

    def __str__(self) -> str:
        return f"client {self.origin}"

    def begin(self, sock: socket.socket) -> None:
        """Serve the client at the other end of this socket."""
        settings = self._broker.settings
        self.principal = (
            Principal("address", self.peer) if self.peer else Principal("user", user_id(sock))
        )
        self.origin = self.principal.name
        self.connection = ServerConnection(self._broker.loop, sock, settings.handshake_size, self)
        self._deadline.set(settings.handshake_timeout)
        self._door.admission.arrive(self)

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue to serve, when the loop runs, the client that another process has served."""
        super().restore(values, reader)
        broker = self._broker
        settings = broker.settings
        size = settings.max_message_size if self._welcome else settings.handshake_size
        sock = reader.socket(values["connection"]["_sock"])
        self.origin = self.peer or user_id(sock)
        self.connection = ServerConnection(broker.loop, sock, size, self, configured=True)
        self.connection.restore(values["connection"], reader)
        if values["stream"] is not None:
            self.stream = broker.streams[values["stream"]]
            self.stream.rejoin(self.connection)
        if self._welcome:
            self._door.admission.enter(self)
        else:
            self._door.admission.arrive(self)

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
        return stream.attach(self.connection, last)

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
        if not self._welcome:
            self._handshake(frame)
        elif kind == framing.INVOKE:
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

    def on_too_large(self, error: FrameTooLarge) -> None:
        """Answer a request whose arguments were discarded."""
        if not self._welcome or error.frame.type != framing.INVOKE:
            raise error
        text = f"the message is too large: {error} (max_message_size)"
        self._failed(error.frame, LimitReached("max_message_size", text))

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
        if self.stream is not None:
            self.stream.detached(self.connection)
        self._ended(self)

    # Handshake

    def _handshake(self, frame: Frame) -> None:
        if frame.type != framing.CONNECT:
            raise ProtocolError("the first message is not a CONNECT")
        try:
            answer = self._greet(frame)
            self._door.admission.accept(self)
        except Exception as error:  # noqa: BLE001 - a client's data can make the serializer raise anything
            self._reject(frame, error)
            return
        self._welcome = True
        self._deadline.cancel()
        self.connection.reader.max_size = self._broker.settings.max_message_size
        self.connection.send(calls.encode_connect(frame, framing.CONNECTOK, answer))

    def _reject(self, frame: Frame, error: Exception) -> None:
        """Answer with the reason: at once, but for one who may be guessing the identification."""
        door = self._door
        door.refuse(self, error)

        def refuse() -> None:
            self._deadline.cancel()
            self.connection.send(calls.encode_connect(frame, framing.CONNECTFAIL, str(error)))
            self.connection.finish("refused")

        if isinstance(error, LimitReached) and error.limit == "ident":
            self.connection.pause()
            self._refuse = refuse
            self._deadline.cancel()  # it may be sooner than that of the handshake
            self._deadline.set(door.delays.next(self.origin))
        else:
            refuse()

    def dismiss(self, reason: LimitReached) -> None:
        """Close the connection at once, before its handshake, and count the reason."""
        self._door.rejections.count(reason)
        self.connection.close(str(reason))

    def _greet(self, frame: Frame) -> dict[str, object]:
        self._door.check_tls(self)
        data, object_id = calls.decode_connect(frame, trusted=self._broker.settings.trusted)
        self.helper = helper = isinstance(data, dict) and "pyro_events" in data
        given = data.get("ident") if isinstance(data, dict) else data
        wanted = self._broker.settings.ident
        if wanted is not None and not (isinstance(given, str) and _equal(given, wanted)):
            raise LimitReached("ident", "wrong identification")
        greeting: object = "hello"
        if helper and isinstance(data, dict):
            if data["pyro_events"] != HELPER_PROTOCOL:
                raise PyroError(
                    f"this event service speaks version {HELPER_PROTOCOL} of the helpers' "
                    f"protocol, not {data['pyro_events']!r:.40}"
                )
            greeting = {
                "pyro_events": HELPER_PROTOCOL,
                "incarnation": self._broker.identity["incarnation"],
                "version": self._broker.version,
            }
            if "patience" in data:
                self.patience.seconds = check_patience(data["patience"])
        daemon = self._objects["Pyro.Daemon"]
        return {"handshake": greeting, "meta": daemon.get_metadata(self, object_id)}

    def _too_late(self) -> None:
        if self._refuse is not None:
            self._refuse()
            return
        limit = self._broker.settings.handshake_timeout
        error = LimitReached("handshake_timeout", f"no handshake within {limit:g} s")
        self.dismiss(error)

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
        if not isinstance(result, PendingResult):
            self._answer(frame, result)
        elif result.done:
            self._answer(frame, result.value)
        else:
            self.connection.pause()
            result.when_done(lambda: self._answer_at_last(frame, result))

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
        self._broker.counters.refused += 1
        self._door.rejections.count(error)

    def _answer(self, frame: Frame, value: object) -> None:
        self._broker.flush_roster()
        if not frame.flags & framing.ONEWAY:
            self.connection.send(calls.encode_result(frame, value))


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
