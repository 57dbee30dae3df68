"""A non-blocking connection that carries Pyro5's frames, in either direction."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from pyro_events._broker.net.address import endpoint
from pyro_events._broker.net.loop import READ, WRITE
from pyro_events._broker.snapshot.fields import SOCKET, FieldCodec, Fields, Snapshotted
from pyro_wire.framing import ForeignProtocol, Frame, FrameReader, FrameTooLarge, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_events._broker.net.loop import Loop
    from pyro_events._broker.snapshot.transfer import SnapshotReader

_RECEIVE: Final = 64 << 10
"""Bytes at a time; with more, one busy peer would delay the others."""
_UNREAD_REPLIES: Final = 1 << 20
"""Bytes that may wait for a peer that doesn't read, before we stop reading from it."""
_BUFFERS: Final = 64
_SHORT: Final = 4 << 10
_KEEPALIVE: Final = 10
_GIVE_UP: Final = 60
"""Seconds after which the system gives up a peer that acknowledges nothing."""

_log = logging.getLogger("pyro_events")


class ConnectionOwner(Protocol):
    """What a connection works for."""

    def on_frame(self, frame: Frame) -> None:
        """Handle one frame; an exception closes the connection."""

    def on_too_large(self, error: FrameTooLarge) -> None:
        """Answer a frame that was discarded because of its size."""

    def on_foreign(self, error: ForeignProtocol) -> None:
        """Close or take over a connection whose peer speaks another protocol."""

    def on_closed(self, reason: str) -> None:
        """React, once and not within another call, to the end of the connection."""


class ServerConnection(Snapshotted):
    """Owns a connected socket and registers it with the loop, whose thread it belongs to."""

    __slots__ = (
        "_blocked", "_end", "_loop", "_mask", "_out", "_out_bytes", "_owner",
        "_paused", "_sock", "closed", "finishing", "last_received", "reader",
    )  # fmt: skip

    SNAPSHOT: ClassVar = Fields(
        "_end", "finishing", "last_received",
        init=("_sock", "reader"),
        _sock=SOCKET,
        reader=FieldCodec(lambda reader, _: (reader.leftover(), reader.skipping)),
        _out=FieldCodec(
            lambda out, writer: writer.share([b if type(b) is bytes else bytes(b) for b in out]),
            lambda values, reader: deque(reader.shared(values)),
        ),
    )  # fmt: skip
    TRANSIENT: ClassVar[tuple[str, ...]] = (
        "_loop", "_owner",
        "closed", "_paused",  # neither is, while the service runs and is quiescent
        "_blocked", "_mask", "_out_bytes",  # they follow from the others
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        max_size: int,
        owner: ConnectionOwner,
        *,
        configured: bool = False,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._owner = owner
        self.reader = FrameReader(max_size)
        self.closed = False
        self.last_received = loop.clock()
        self._out: deque[bytes | memoryview] = deque()
        self._out_bytes = 0
        self._paused = False
        self._blocked = False
        self.finishing: str | None = None
        """Why it is to end, once `finish` was called."""
        self._end = 0.0
        self._mask = 0
        sock.setblocking(False)
        if not configured:
            configure(sock)
        self._watch()

    def send(self, *buffers: bytes) -> None:
        """Send, or keep until the peer takes it; do nothing on a closed connection."""
        if self.closed:
            return
        size = len(buffers[0]) if len(buffers) == 1 else sum(map(len, buffers))
        self._loop.traffic.sent += size
        if size <= _SHORT and len(buffers) > 1:
            buffers = (b"".join(buffers),)  # faster than passing the parts to the system
        sent = 0 if self._out else self._write(buffers)
        if sent == size or self.closed:
            return
        self._out.extend(buffers)
        self._out_bytes += size
        self._sent(sent)
        self._blocked = True
        self._watch()

    @property
    def endpoint(self) -> str:
        """Where the connection ends here, as in greetings; see `pyro_wire.challenge`."""
        return endpoint(self._sock)

    def pause(self) -> None:
        """Read nothing more until `resume`, so that the peer has to wait."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """Read again, first what has arrived already."""
        if self._paused:
            self._paused = False
            self._loop.call_later(0.0, self._continue)  # only then is more read

    def finish(self, reason: str, patience: float = 1.0) -> None:
        """Close when everything is sent and the peer has closed, too, or after `patience` seconds.

        What still arrives is read and discarded: bytes that are left unread when a socket is closed
        make the peer's system discard what we have sent last.
        """
        if self.closed or self.finishing is not None:
            return
        self.finishing = reason
        self._paused = False
        self._end = self._loop.call_later(patience, lambda: self.close(reason)).at
        if self._out:
            self._watch()
        else:
            self._end_sending()

    def close(self, reason: str) -> None:
        """Close at once."""
        if self.closed:
            return
        self.release().close()
        self._out.clear()
        self._out_bytes = 0
        self._loop.call_soon(lambda: self._owner.on_closed(reason))

    def go_on_soon(self) -> None:
        """Read on when others had a turn: the next frame is here, and not yet inflated."""
        self._loop.call_soon(self._continue)

    def release(self) -> socket.socket:
        """Return the socket, to which this does nothing any more."""
        self.closed = True
        if self._mask:
            self._loop.unwatch(self._sock)
            self._mask = 0
        return self._sock

    def restore(self, values: dict[str, Any], reader: SnapshotReader) -> None:
        """Continue, when the loop runs, where another process was with the same socket."""
        super().restore(values, reader)
        leftover, skipping = values["reader"]
        self.reader.restore(leftover, skipping)
        self._out_bytes = sum(map(len, self._out))
        self._blocked = bool(self._out)
        if (reason := self.finishing) is not None:
            self._loop.call_at(self._end, lambda: self.close(reason))
        self._watch()
        if leftover:
            self._loop.call_soon(self._process)

    def _watch(self) -> None:
        if self.closed:
            return
        reading = self.finishing is not None or (
            not self._paused and self._out_bytes <= _UNREAD_REPLIES and not self.reader.inflating
        )
        mask = (READ if reading else 0) | (WRITE if self._blocked else 0)
        if mask == self._mask:
            return
        if mask:
            self._loop.watch(self._sock, mask, self._ready)
        else:
            self._loop.unwatch(self._sock)
        self._mask = mask

    def _ready(self, mask: int) -> None:
        if mask & WRITE and not self.closed:
            self._blocked = False
            self._flush()
            if not self._blocked:
                self._continue()
        if mask & READ and not self.closed and not self._paused:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(f"lost: {error.strerror or error}")
            return
        if not data:
            self.close(self.finishing or "closed by the peer")
            return
        if self.finishing is not None:
            return
        self._loop.traffic.received += len(data)
        self.last_received = self._loop.clock()
        self._arrived(data)

    def _arrived(self, data: bytes) -> None:
        frame = self.reader.lone_frame(data)
        if frame is None:
            self.reader.feed(data)
        self._process(frame)

    def _continue(self) -> None:
        """Handle what has arrived already, and read again."""
        self._process()
        self._watch()

    def _process(self, frame: Frame | None = None) -> None:
        """Handle this frame, or what the reader has, unless the owner pauses."""
        owner, next_frame = self._owner, self.reader.next_frame
        try:
            if frame is not None:
                owner.on_frame(frame)
                return
            while self._willing():
                try:
                    frame = next_frame()
                except FrameTooLarge as error:
                    owner.on_too_large(error)
                    continue
                if frame is None:
                    break
                owner.on_frame(frame)
        except ForeignProtocol as error:
            owner.on_foreign(error)
        except ProtocolError as error:
            _log.debug("protocol error of %s: %s", owner, error)
            self.close(str(error))
        except Exception:  # noqa: BLE001 - one connection must not disturb the others
            _log.exception("error while serving %s; its connection is closed", owner)
            self.close("internal error")

    def _willing(self) -> bool:
        """Return whether the next frame may be handled."""
        if self._paused or self.closed or self.finishing is not None:
            return False
        return self._out_bytes <= _UNREAD_REPLIES

    def _end_sending(self) -> None:
        with contextlib.suppress(OSError):  # the peer has closed already
            self._sock.shutdown(socket.SHUT_WR)
        self._watch()

    def _flush(self) -> None:
        """Send what was kept, as far as the peer takes it."""
        out = self._out
        while out and not self.closed:
            size = self._out_bytes
            self._sent(self._write(list(islice(out, _BUFFERS))))
            if self._out_bytes == size:
                break
        self._blocked = bool(out)
        if self.finishing is not None and not out and not self.closed:
            self._end_sending()
        else:
            self._watch()

    def _write(self, buffers: Sequence[bytes | memoryview]) -> int:
        try:
            if len(buffers) == 1:
                return self._sock.send(buffers[0])
            return self._sock.sendmsg(buffers[:_BUFFERS])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.close(f"lost: {error.strerror or error}")
            return 0

    def _sent(self, size: int) -> None:
        """Forget `size` of the bytes that were kept."""
        out = self._out
        self._out_bytes -= size
        while out and size >= len(out[0]):
            size -= len(out.popleft())
        if size:
            out[0] = memoryview(out[0])[size:]


def configure(sock: socket.socket) -> None:
    """Make a socket send at once, and detect a peer that has vanished."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE),
        ("TCP_KEEPINTVL", _KEEPALIVE),
        ("TCP_USER_TIMEOUT", _GIVE_UP * 1000),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
