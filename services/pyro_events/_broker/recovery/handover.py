"""How one process of the event service hands over to the next, so that no client notices.

    the old process                                  the new process
    ───────────────                                  ───────────────
    listens at a path, and continues to serve
                       ◀── hello: the format ──      has imported everything
    patterns ──▶                                     compiles them
                       ◀── ready ──
    stops serving, between two calls
    state ──▶                                        restores everything, touches nothing
                                                     takes the token: the commit point
                       ◀── taken ──                  serves
    ends without a notice

The state is a file in memory, followed by all descriptors. Among them is a token, which only one of
the two can take, so that neither has to wait for the other's answer. When the new process has
ended, or was silent for 5 s, the old one takes the token back and serves as before: a snapshot does
not change anything. It then sends `kept`, with the reason, and the new one ends. If the token is
gone, the old process ends. A connection that ends without a message means that the old process is
dead: then the new one serves, with the state if it has all of it, else as after a crash.

Messages are msgpack lists of a word and a value. Both ends run as the same user, or as root.
"""

from __future__ import annotations

import gc
import logging
import os
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgpack

from pyro_events._broker.errors import HandoverRefused
from pyro_events._broker.net.loop import READ
from pyro_events._broker.net.socket_owner import unix_peer
from pyro_events._broker.snapshot import fd_passing
from pyro_events._broker.snapshot.transfer import SnapshotReader, SnapshotWriter
from pyro_events._protocol.patterns import Pattern

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from pyro_events._broker.net.loop import Loop

FORMAT: Final = 9
"""Grows whenever an older process could misunderstand a newer one, or the other way round: also
when the attributes change that classes list in SNAPSHOT."""
_PATIENCE: Final = 5.0
"""Seconds that no client is served while the new process takes everything."""
_ANSWER: Final = 30.0
"""Seconds that the new process waits for the old one."""

_log = logging.getLogger("pyro_events")


class Failed(Exception):
    """The handover can't continue; the text gives the reason."""


class HandoverOffer:
    """The old process's side. Everything happens in the loop.

    `patterns` returns the texts of all patterns, `snapshot` the whole state, and `relinquish` is
    called when the new process has it. Raises OSError when the path can't be used.
    """

    def __init__(
        self,
        loop: Loop,
        path: str,
        patterns: Callable[[], list[str]],
        snapshot: Callable[[SnapshotWriter], dict[str, Any]],
        relinquish: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._patterns = patterns
        self._snapshot = snapshot
        self._relinquish = relinquish
        self._successor: socket.socket | None = None
        self._listener = fd_passing.make_socket()
        try:
            self._listener.setblocking(False)
            self._listener.bind(path)
            self._listener.listen(1)
        except OSError:
            self._listener.close()
            raise
        loop.watch(self._listener, READ, self._connected)

    def withdraw(self, reason: str) -> None:
        """Take the offer back; a process that has connected is told why."""
        with suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108 - it is text
        self._turn_away(reason)
        with suppress(OSError):
            while True:  # a process that has just connected must not think that we are dead
                _refuse(self._listener.accept()[0], reason)
        self._loop.unwatch(self._listener)
        self._listener.close()

    def _connected(self, _mask: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if not _trusted(sock):
            _refuse(sock, "it belongs to another user")
            return
        if self._successor is not None:
            _refuse(sock, "another process is taking over already")
            return
        sock.setblocking(False)
        self._successor = sock
        self._loop.watch(sock, READ, self._ready)

    def _ready(self, _mask: int) -> None:
        sock = self._successor
        if sock is None:
            return
        try:
            self._answer(sock, *_receive(sock))
        except BlockingIOError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, this process continues
            reason = _reason(error)
            _log.warning("not handed over: %s; this process continues", reason)
            self._turn_away(reason)

    def _answer(self, sock: socket.socket, word: str, value: object, _files: object) -> None:
        if word == "hello":
            self._greet(sock, value)
        elif word == "ready":
            with _no_collection():
                self._transfer(sock)
        else:
            raise Failed(f"the new process says {word!r:.40}" if word else "the new process ended")

    def _greet(self, sock: socket.socket, version: object) -> None:
        if version != FORMAT:
            raise Failed(
                f"the new process uses handover format {version!r:.20}, "
                f"and the running one format {FORMAT}"
            )
        with fd_passing.memory_file(bytes(msgpack.packb(self._patterns()))) as file:
            _send(sock, "patterns", None, [file])

    def _transfer(self, sock: socket.socket) -> None:
        """Send everything, and end; or raise whatever prevents that."""
        began = self._loop.clock()
        writer = SnapshotWriter()
        values = self._snapshot(writer)
        with closing(fd_passing.Token()) as token:
            values["token"] = writer.descriptor(token.fileno())
            with fd_passing.memory_file(writer.pack(values)) as file:
                self._send_state(sock, began, [file, *writer.descriptors])
            reason = self._await_taking(sock, began)
            if token.take():
                raise Failed(reason)
        self._loop.unwatch(sock)
        sock.close()
        self._successor = None
        self._relinquish()

    def _send_state(self, sock: socket.socket, began: float, descriptors: list[int]) -> None:
        """Send them all, with one message if possible: each one wakes the new process up."""
        for at in range(0, len(descriptors), fd_passing.AT_ONCE):
            sock.settimeout(self._left(began))
            _send(sock, "state", len(descriptors), descriptors[at : at + fd_passing.AT_ONCE])

    def _await_taking(self, sock: socket.socket, began: float) -> str:
        """Wait for the token to be taken; return the reason in case it is not."""
        sock.settimeout(self._left(began))
        try:
            _, unwanted = fd_passing.receive(sock)
            fd_passing.close(unwanted)
        except TimeoutError:
            return f"the new process takes longer than {_PATIENCE:g} s"
        except OSError as error:
            return _reason(error)
        return "the new process has ended before it had everything"

    def _left(self, began: float) -> float:
        return max(0.001, began + _PATIENCE - self._loop.clock())

    def _turn_away(self, reason: str) -> None:
        sock, self._successor = self._successor, None
        if sock is not None:
            self._loop.unwatch(sock)
            _refuse(sock, reason)


@dataclass(frozen=True)
class ReceivedHandover:
    """The new process's side: everything that it has received, and must not touch yet.

    `reader` has to be closed at the end.
    """

    sock: socket.socket
    reader: SnapshotReader

    def take(self) -> None:
        """Make everything ours, and the old process end. Raises HandoverRefused."""
        descriptor = self.reader.descriptor(self.reader.values["token"])
        with self.sock as sock, closing(fd_passing.Token(descriptor)) as token:
            if token.take():
                _notify(sock, "taken", None)
                return
            with suppress(ConnectionError):
                _ask(sock)  # raises HandoverRefused with the reason
            raise HandoverRefused("the old process continues")


def receive(path: str) -> ReceivedHandover | None:
    """Return the state of the process that offers it at that path; None if that one is dead.

    Raises HandoverRefused when it is alive and keeps everything.
    """
    sock = fd_passing.make_socket()
    sock.settimeout(_ANSWER)
    try:
        sock.connect(path)
        return _receive_state(sock)
    except ConnectionError:  # also when the path exists, and no process listens there any more
        sock.close()
        _log.error("the old process died before it had handed over; starting as after a crash")
        return None
    except OSError as error:
        sock.close()
        raise HandoverRefused(f"nothing can be taken over at {path}: {_reason(error)}") from None
    except BaseException:
        sock.close()
        raise


def _receive_state(sock: socket.socket) -> ReceivedHandover:
    _notify(sock, "hello", FORMAT)
    _, (file,) = _ask(sock)
    patterns = {text: Pattern(text) for text in msgpack.unpackb(fd_passing.contents(file))}
    _notify(sock, "ready", None)
    count, descriptors = _ask(sock)
    try:
        while len(descriptors) < count:
            descriptors += _ask(sock)[1]
        data = fd_passing.contents(descriptors.pop(0))
        return ReceivedHandover(sock, SnapshotReader(data, descriptors, patterns))
    except BaseException:
        fd_passing.close(descriptors)
        raise


def _send(sock: socket.socket, word: str, value: object, descriptors: Sequence[int] = ()) -> None:
    fd_passing.send(sock, bytes(msgpack.packb([word, value])), descriptors)


def _refuse(sock: socket.socket, reason: str) -> None:
    with sock, suppress(OSError):  # then the other process has ended
        sock.setblocking(False)
        _send(sock, "kept", reason)


def _receive(sock: socket.socket) -> tuple[str, Any, list[int]]:
    """Return a word, its value, and descriptors; an empty word at the end."""
    message, descriptors = fd_passing.receive(sock)
    if not message:
        return "", None, []
    word, value = msgpack.unpackb(message)
    return word, value, descriptors


def _notify(sock: socket.socket, word: str, value: object) -> None:
    with suppress(ConnectionError):  # the next `_ask` finds out whether it is dead, or why it left
        _send(sock, word, value)


def _ask(sock: socket.socket) -> tuple[Any, list[int]]:
    """Receive from the old process; ConnectionError if it is dead, or HandoverRefused."""
    try:
        try:
            word, value, descriptors = _receive(sock)
        except ConnectionResetError:  # it is reported, once, before the last message
            word, value, descriptors = _receive(sock)
    except TimeoutError:
        raise HandoverRefused("the old process doesn't answer") from None
    if not word:
        raise ConnectionResetError
    if word == "kept":
        raise HandoverRefused(f"the old process continues: {value}")
    return value, descriptors


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep clients from waiting for the garbage collector."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _trusted(sock: socket.socket) -> bool:
    return unix_peer(sock) in {0, os.geteuid()}


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
