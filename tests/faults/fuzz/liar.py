"""Servers that lie: a name server, and an event service that answers with mutated bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import msgpack
from Pyro5.serializers import serializers_by_id

from pyro_events._protocol.event import EVENTSERVICE_NAME, HELPER_PROTOCOL
from pyro_wire import framing
from pyro_wire.framing import Frame, FrameReader, ProtocolError
from tests.faults.fuzz.mutation import mutate

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Answer = Callable[[Frame], bytes | None]


class FakeServer:
    """Answers each frame with what `answer` returns; None ends the connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._connections):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._connections.add(sock)
                self._threads.append(threading.Thread(target=self._talk, args=(sock,)))
                self._threads[-1].start()

    def _talk(self, sock: socket.socket) -> None:
        reader = FrameReader(1 << 24)
        with sock, contextlib.suppress(OSError, ProtocolError):
            while data := sock.recv(1 << 16):
                reader.feed(data)
                for frame in reader:
                    answer = self._answer(frame)
                    if answer is None:
                        return
                    sock.sendall(answer)
        self._connections.discard(sock)


def encoded(frame: Frame, kind: int, value: Any, flags: int = 0) -> bytes:
    """Return an answer to the frame, in its serializer."""
    data = serializers_by_id[frame.serializer].dumps(value)
    return framing.encode_frame(kind, frame.serializer, flags, frame.seq, data)


class LyingNameServer(FakeServer):
    """A name server that fails in the way of its `mode`, or knows one name when that is "true"."""

    MODES = ("silent", "closes", "garbage", "refuses", "dead address", "itself", "nonsense")

    def __init__(self, mode: str, truth: str = "") -> None:
        self.mode = mode
        self.truth = truth
        super().__init__(self._lie)

    def _lie(self, frame: Frame) -> bytes | None:
        if self.mode == "silent":
            return b""
        if self.mode == "closes":
            return None
        if self.mode == "garbage":
            return b"\x00\xffPYRO" * 100
        if frame.type == framing.CONNECT:
            if self.mode == "refuses":
                return encoded(frame, framing.CONNECTFAIL, "go away")
            methods = ["lookup", "register", "remove", "list", "ping", "set_metadata", "count"]
            meta = {"methods": methods, "oneway": [], "attrs": []}
            return encoded(frame, framing.CONNECTOK, {"handshake": "hello", "meta": meta})
        return encoded(frame, framing.RESULT, self._value())

    def _value(self) -> Any:
        if self.mode == "nonsense":
            return {"": [None, -1]}
        port = {"dead address": 9, "itself": self.port}.get(self.mode)
        return f"PYRO:{EVENTSERVICE_NAME}@localhost:{port}" if port else self.truth


class LyingService(FakeServer):
    """An event service whose handshakes are mostly right, and nothing else is."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.sent = 0
        """Mutated bytes so far."""
        super().__init__(self._lie)
        self.uri = f"PYRO:{EVENTSERVICE_NAME}@127.0.0.1:{self.port}"

    def _lie(self, frame: Frame) -> bytes | None:
        chance = self._chance
        if frame.type == framing.CONNECT:
            greeting = {"pyro_events": HELPER_PROTOCOL, "incarnation": "i", "version": "0"}
            answer = encoded(frame, framing.CONNECTOK, {"handshake": greeting, "meta": {}})
            return answer if chance.random() < 0.9 else self._mutant(answer)
        if frame.type != framing.INVOKE:
            return b""
        attached = {
            "next": 1,
            "resumed": False,
            "last": 0,
            "incarnation": "i",
            "missed": 0,
            "published": 0,
        }
        result = encoded(frame, framing.RESULT, chance.choice((None, 1, attached)))
        pushes = [self._mutant(self._push(number)) for number in range(chance.randrange(20))]
        return b"".join([*pushes, self._mutant(result)])

    def _push(self, number: int) -> bytes:
        """Return events with a header that fits their mutated bytes."""
        event = ["a", 1.5, msgpack.packb([1, "text", {"key": b"x"}]), False]
        head = b"\x92\xcf" + number.to_bytes(8, "big")
        body = mutate(head + bytes(msgpack.packb([event] * 3)), self._chance)
        self.sent += len(body)
        return framing.encode_frame(framing.INVOKE, framing.MSGPACK, framing.ONEWAY, 0, body)

    def _mutant(self, data: bytes) -> bytes:
        if self._chance.random() >= 0.2:
            return data
        mutant = mutate(data, self._chance)
        self.sent += len(mutant)
        return mutant
