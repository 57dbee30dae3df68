"""One connection to a Pyro5 object: frames in, bytes out, and nothing blocks for good."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from Pyro5 import config

from pyro_events._client.condition import TimedOut
from pyro_events._client.dialing import connect
from pyro_events._client.process import process
from pyro_events._client.waker import Waiter
from pyro_events.errors import EventServiceError, Refused, Unreachable
from pyro_wire import framing
from pyro_wire.messages import ConnectRefused, UnexpectedAnswer, decode_connect, encode_connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from Pyro5.core import URI

    from pyro_events._client.waker import Wait, Waker

_CHUNK = 64 * 1024
"""Bytes at a time; a larger buffer costs more to have than what arrives in it."""
_RELEASE_TIMEOUT = 1.0
"""Seconds that a reading thread has to notice the end; only an interrupted one needs them."""


class ConnectionLost(EventServiceError):
    """The connection has broken or was given up; the text is the reason."""


class Abandoned(ConnectionLost):
    """A thread was interrupted while it used the connection; the network is fine."""


class Connection:
    """A connected socket with its handshake still to do.

    Any thread may call `write`. A thread that receives has to hold the `read_lock`: the thread that
    waits with the waker (the connection's own thread) by `acquire`, any other one, one at a time,
    by `request_read` and `with connection.read_lock`. Everything else belongs to the connection's
    own thread, which also has to `close` it.

    Other threads may be interrupted by a signal handler that raises. When that may have cost bytes,
    the connection fails: another one is made, over which the missing bytes come again.
    """

    def __init__(self, sock: socket.socket, waker: Waker, clock: Callable[[], float]) -> None:
        self._sock = sock
        self._waker = waker
        self._clock = clock
        self.wait = Waiter()
        """How a thread that isn't the connection's own waits."""
        self._reader = framing.FrameReader(config.MAX_MESSAGE_SIZE)
        self._lock = threading.RLock()  # collecting garbage may write
        self._unsent = bytearray()
        self._finished = False
        self._failure: EventServiceError | None = None
        self.read_lock = threading.RLock()  # it knows its owner
        self.acquired = False
        """Whether its own thread holds the lock, and reads."""
        self.read_requested = False
        """Whether another thread wants the lock; it resets this itself."""
        self.idle = False
        """Whether the reading thread waits, and holds no bytes that could be lost."""
        self.last_received = clock()

    @classmethod
    def open(cls, uri: URI, waker: Waker, clock: Callable[[], float], deadline: float) -> Self:
        """Connect to the daemon of a PYRO: URI until `deadline` by the clock.

        Raises Unreachable, and Stopped when the waker is stopped.
        """
        return cls(connect(uri, waker, clock, deadline), waker, clock)

    @classmethod
    def open_local(cls, name: str, waker: Waker, clock: Callable[[], float]) -> Self:
        """Connect to the Unix socket with that abstract name, at once; raises Unreachable."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        process.add_socket(sock)
        try:
            sock.setblocking(False)
            sock.connect("\0" + name)
        except (OSError, ValueError) as error:
            sock.close()
            raise Unreachable(f"no local connection: {error}") from None
        except BaseException:
            sock.close()
            raise
        return cls(sock, waker, clock)

    @property
    def stays_here(self) -> bool:
        """Whether it is a TCP connection to an address of this machine."""
        if self._sock.family == socket.AF_UNIX:
            return False
        with contextlib.suppress(OSError):
            return bool(self._sock.getpeername()[0] == self._sock.getsockname()[0])
        return False

    def handshake(self, target: str, data: Any, serializer_id: int, deadline: float) -> Any:
        """Introduce ourselves to the object `target`, and give the daemon's answer.

        Raises Refused with the daemon's own words, ConnectionLost, or TimedOut.
        """
        self.write(encode_connect(target, data, serializer_id))
        try:
            return decode_connect(self.next_frame(deadline))
        except ConnectRefused as refusal:
            raise Refused(f"refused: {refusal}") from None
        except UnexpectedAnswer as error:
            raise ConnectionLost(str(error)) from error

    def write(self, data: bytes) -> None:
        """Send the bytes, now or as soon as the peer accepts them; raises ConnectionLost."""
        try:
            with self._lock:
                if self._failure is not None or self._finished:
                    self._check()
                data = self._sealed(data)
                sent = 0 if self._unsent else self._send(data)
                if sent == len(data):
                    return
                self._unsent += memoryview(data)[sent:]
            self._waker.wake()
        except EventServiceError:
            raise
        except BaseException:
            self.fail(Abandoned("a thread was interrupted while writing"))
            raise

    def acquire(self) -> bool:
        """Take the lock in its own thread; False while another has it. `release` must follow."""
        self.acquired = True  # set before it is true, so that a request wakes us in any case
        self.acquired = self.read_lock.acquire(blocking=False)
        return self.acquired

    def release(self) -> None:
        """Release the lock for other threads."""
        self.acquired = False
        self.read_lock.release()

    def request_read(self) -> None:
        """Ask its own thread to release the lock, so that the calling thread can take it.

        A thread that waits for a frame so reads it itself, and no thread has to wake another one.
        It has to reset `read_requested` in any case, also when it was interrupted.
        """
        self.read_requested = True
        if self.acquired:
            self._waker.wake()

    def ensure_reader(self) -> None:
        """Ensure that some thread reads, because an answer is due."""
        if not self.acquired:
            self._waker.wake()

    def fail(self, error: EventServiceError) -> None:
        """Make its own thread raise this error when it reads again, which is at once."""
        self._failure = error
        self._waker.wake()

    def watch(self, deadline: float | None) -> bool:
        """Wait, without reading, for the end of the connection; True when woken.

        Unsent bytes are sent as the peer accepts them. Raises Stopped.
        """
        left = None if deadline is None else deadline - self._clock()
        mask = select.POLLRDHUP | (select.POLLOUT if self._unsent else 0)
        _, woken = self._waker.wait(self._sock, left, mask)
        self._flush()
        return woken

    def listen(self, silence: float | None, wait: Wait | None = None) -> framing.Frame | None:
        """Wait for a frame as `receive` does, until nothing was received for `silence` seconds."""
        if silence is None:
            return self.receive(None, wait)
        try:
            return self.receive(self.last_received + silence, wait)
        except TimedOut:
            if self._clock() >= self.last_received + silence:
                raise
            return None  # a ping has come

    def receive(self, deadline: float | None, wait: Wait | None = None) -> framing.Frame | None:
        """Wait for a frame until `deadline`; None when another thread called the waker.

        A thread that isn't the connection's own passes its way to `wait`. Pings are answered.
        Raises ConnectionLost, TimedOut, and Stopped.
        """
        self.idle = False
        try:
            while True:
                if self._failure is not None:  # bytes before those in the reader may be missing
                    raise self._failure
                frame = self._reader.next_frame()
                if frame is None:
                    data = self._wait_for_bytes(deadline, wait or self._waker.wait)
                    if data is None:
                        return None
                    frame = self._reader.lone_frame(data)
                    if frame is None:
                        self._reader.feed(data)
                        continue
                if frame.type != framing.PING:
                    return frame
                if frame.data != b"pong":
                    self.write(
                        framing.encode_frame(framing.PING, frame.serializer, 0, frame.seq, b"pong")
                    )
        except framing.ProtocolError as error:
            raise ConnectionLost(str(error)) from None

    def next_frame(self, deadline: float, wait: Wait | None = None) -> framing.Frame:
        """Wait for a frame, also when woken; raises as `receive`."""
        while (frame := self.receive(deadline, wait)) is None:
            pass
        return frame

    def finish(self, last_words: bytes, seconds: float) -> None:
        """Send these bytes as the last ones, and wait until the peer closes its side.

        Waits at most `seconds`.
        """
        with self._lock:
            self._finished = True
        if self._failure is not None or not self.read_lock.acquire(timeout=seconds):
            return
        try:
            self._sock.settimeout(seconds)
            with self._lock:
                last_words = self._sealed(last_words)
            self._sock.sendall(self._unsent + last_words)
            self._unsent.clear()
            self._sock.shutdown(socket.SHUT_WR)
            end = self._clock() + seconds
            while self._sock.recv(_CHUNK) and self._clock() < end:
                pass
        except OSError:
            pass  # the peer has gone
        finally:
            self.read_lock.release()

    def close(self) -> None:
        """Close the socket; unsent bytes are still sent if the peer accepts them at once."""
        with self._lock:
            self._finished = True
            with contextlib.suppress(ConnectionLost):
                self._send_unsent()
            self._unsent.clear()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # a thread that reads notices
        left = self.read_lock.acquire(timeout=_RELEASE_TIMEOUT)
        self._sock.close()
        if left:
            self.read_lock.release()

    def _check(self) -> None:
        """Raise the error that ended the connection, if one did."""
        if self._failure is not None:
            raise self._failure
        if self._finished:
            raise ConnectionLost("it was closed here")

    def _wait_for_bytes(self, deadline: float | None, wait: Wait) -> bytes | None:
        """Return bytes that arrive, or None when woken instead."""
        while True:
            if self._failure is not None or self._finished:
                self._check()
            left = None if deadline is None else deadline - self._clock()
            mask = select.POLLIN | (select.POLLOUT if self._unsent else 0)
            self.idle = True
            ready, woken = wait(self._sock, left, mask)
            self.idle = False
            if self._unsent:
                self._flush()
            data = self._receive() if ready else None
            if data is not None or woken:
                return data
            if left is not None and left <= 0:
                raise TimedOut

    def _receive(self) -> bytes | None:
        """Return bytes that have arrived, maybe none of ours; None if there are none."""
        try:
            chunk = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _lost(error) from None
        if not chunk:
            raise ConnectionLost("the other side closed the connection")
        self.last_received = self._clock()
        return self._opened(chunk)

    def _opened(self, chunk: bytes) -> bytes:
        """Return what arrived bytes say; for connections that encrypt."""
        return chunk

    def _sealed(self, data: bytes) -> bytes:
        """Return what is sent for these bytes; for the same, and with the lock held."""
        return data

    def _flush(self) -> None:
        if self._unsent:
            with self._lock:
                self._send_unsent()

    def _send_unsent(self) -> None:
        if self._unsent and self._failure is None:
            sent = self._send(self._unsent)
            del self._unsent[:sent]

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _lost(error) from None


def _lost(error: OSError) -> ConnectionLost:
    if error.errno is None:
        raise error  # not the system's, but a signal handler's
    return ConnectionLost(f"the connection broke: {error.strerror or error}")
