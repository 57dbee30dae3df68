"""A connection of the event service, without the service."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from pyro_events._broker.net.connection import ServerConnection
from pyro_events._broker.net.loop import Loop
from pyro_wire import framing

if TYPE_CHECKING:
    from pyro_wire.framing import ForeignProtocol, Frame, FrameTooLarge


class Hesitant:
    """Holds the connection for a while at every frame."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.seen = 0
        self.connection: ServerConnection

    def on_frame(self, frame: Frame) -> None:
        self.seen += 1
        self.connection.pause()
        self.loop.call_soon(lambda: self.loop.call_soon(self.connection.resume))

    def on_foreign(self, error: ForeignProtocol) -> None:
        raise error

    def on_too_large(self, error: FrameTooLarge) -> None:
        raise error

    def on_closed(self, reason: str) -> None:
        pass


def test_a_client_that_is_held_repeatedly_is_not_read_ahead() -> None:
    """Of many requests that a client sends at once, few are in memory at a time."""
    ours, theirs = socket.socketpair()
    loop = Loop()
    owner = Hesitant(loop)
    frames = framing.encode_frame(framing.INVOKE, framing.MSGPACK, 0, 1, bytes(1000)) * 4000
    with theirs:
        owner.connection = ServerConnection(loop, ours, 1 << 20, owner)
        theirs.setblocking(False)
        sent, most = 0, 0
        for _ in range(1000):
            with contextlib.suppress(BlockingIOError):
                sent += theirs.send(frames[sent:])
            loop.run_once(0)
            most = max(most, len(owner.connection.reader.leftover()))
        owner.connection.close("the test ends")
        loop.run_once(0)
    loop.close()
    assert owner.seen > 100
    assert most < 100_000
