"""What the tests of the helpers share: a scripted event service, a relay, a recorder."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import msgpack
import pytest
from Pyro5.serializers import serializers_by_id

from pyro_events import Subscriber
from pyro_events._client import condition, sender
from pyro_wire import framing
from pyro_wire.challenge import Challenge
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyro_events import Event, Publisher
    from pyro_events.types import ConnectionNotice, GapNotice

_msgpack = serializers_by_id[framing.MSGPACK]


class FakeES:
    """An event service that a test scripts, and that records its requests.

    `on_batch` decides what becomes of a publish_batch: "ack", "lose" (the connection, before the
    batch is taken), "deafen" (the connection, after it is taken), "ignore" or an exception.
    """

    def __init__(self, port: int = 0, ident: str | None = None, incarnation: str = "one") -> None:
        self.ident = ident
        self.incarnation = incarnation
        self.greeting: Any = None
        self.on_batch: Callable[[list[Any]], str | Exception] = lambda _batch: "ack"
        self.answers: dict[str, Any] = {
            "authenticate": None, "detach": None, "stream_subscribe": None,
        }  # fmt: skip
        self.hellos: list[Any] = []
        self.calls: list[tuple[str, list[Any]]] = []
        self.taken: list[Any] = []
        self.acks: list[int] = []
        self.pongs = 0
        self.connections: list[socket.socket] = []
        self._last: dict[str, int] = {}
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.uri = f"PYRO:Pyro.EventService@127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def cut(self) -> None:
        """Break every connection."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def push(self, first: int, *messages: Any) -> None:
        """Push opaque events over the latest connection, numbered from `first` on."""
        body = msgpack.packb([["subject", 1.0, message, True] for message in messages])
        self.send(framing.INVOKE, b"\x92\xcf" + first.to_bytes(8, "big") + body, framing.ONEWAY)

    def notice(self, **notice: Any) -> None:
        self.send(framing.INVOKE, msgpack.packb([None, notice]), framing.ONEWAY)

    def send(self, kind: int, data: bytes, flags: int = 0, seq: int = 0) -> None:
        self.connections[-1].sendall(framing.encode_frame(kind, framing.MSGPACK, flags, seq, data))

    def called(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.calls if name == method]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        reader = framing.FrameReader(1 << 30)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                reader.feed(data)
                for frame in reader:
                    if not self._handle(connection, frame):
                        return

    def _handle(self, connection: socket.socket, frame: framing.Frame) -> bool:
        if frame.type == framing.CONNECT:
            return self._greet(connection, frame)
        if frame.type == framing.PING:
            self.pongs += 1
        elif frame.type == framing.RESULT:
            self.acks.append(int.from_bytes(frame.data, "big"))
        elif frame.type == framing.INVOKE:
            _, method, params, _ = msgpack.unpackb(frame.data)
            self.calls.append((method, params))
            return self._answer(connection, frame, method, params)
        return True

    def _greet(self, connection: socket.socket, frame: framing.Frame) -> bool:
        hello = msgpack.unpackb(frame.data)["handshake"]
        about = {"pyro_events": 2, "incarnation": self.incarnation, "version": "0"}
        if self.ident is not None:
            begun = Challenge("", hello["nonce"], "b" * 64, self.incarnation)
            about |= {"nonce": "b" * 64, "proof": begun.server_proof(self.ident.encode())}
        data = {"handshake": self.greeting or about, "meta": {}}
        self.hellos.append(hello)
        connection.sendall(framing.encode_frame(framing.CONNECTOK, 4, 0, 0, _msgpack.dumps(data)))
        self.connections.append(connection)
        return True

    def _answer(
        self, connection: socket.socket, frame: framing.Frame, method: str, params: list[Any]
    ) -> bool:
        if method == "publish_batch":
            answer = self._take(*params)
        elif method == "attach" and method not in self.answers:
            answer = {"incarnation": self.incarnation, "resumed": False, "next": 1, "missed": None}
        else:
            answer = self.answers[method]
        if answer in ("lose", "deafen"):
            return False
        if answer != "ignore":
            flags = framing.EXCEPTION if isinstance(answer, Exception) else 0
            data = _msgpack.dumps(answer)
            connection.sendall(framing.encode_frame(framing.RESULT, 4, flags, frame.seq, data))
        return True

    def _take(self, publisher: str, first: int, batch: list[Any]) -> Any:
        verdict = self.on_batch(batch)
        if verdict not in ("ack", "deafen"):
            return verdict
        known = self._last.get(publisher, 0)
        self.taken += batch[max(0, known + 1 - first) :]
        self._last[publisher] = max(known, first + len(batch) - 1)
        return verdict if verdict == "deafen" else [self.incarnation, self._last[publisher]]


class Relay:
    """A port that leads to another one, until it is cut, or until an answer is to be lost."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.refuse = False
        self.lose: Callable[[bytes], bool] = lambda _answer: False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def cut(self) -> None:
        """Break all connections; new ones are possible at once."""
        pairs, self._pairs = self._pairs, []
        for sock in pairs:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.refuse:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    near.close()
                    continue
                self._pairs += [near, far]
                ends = _Ends(near, far)
                for carried in ((near, far, lambda _: False), (far, near, self._loses)):
                    thread = threading.Thread(target=ends.carry, args=carried)
                    self._threads.append(thread)
                    thread.start()

    def _loses(self, data: bytes) -> bool:
        return self.lose(data)


class _Ends:
    """Two sockets that are closed when no thread copies between them any more."""

    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets
        self._lock = threading.Lock()
        self._carriers = 2

    def carry(
        self, one: socket.socket, other: socket.socket, loses: Callable[[bytes], bool]
    ) -> None:
        with contextlib.suppress(OSError):
            while (data := one.recv(1 << 16)) and not loses(data):
                other.sendall(data)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._carriers -= 1
            last = not self._carriers
        if last:
            for sock in self._sockets:
                sock.close()


class Recording(Subscriber):
    """Records everything; as a context manager it listens in a thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.events: list[Event] = []
        self.hooks: list[tuple[str, Any]] = []
        self.threads: set[int] = set()
        self.on_event: Callable[[Event], object] = lambda _event: None
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._listen)

    def event(self, event: Event) -> None:
        self.threads.add(threading.get_ident())
        self.events.append(event)
        self.on_event(event)

    def connected(self, notice: ConnectionNotice) -> None:
        self.hooks.append(("connected", notice))

    def disconnected(self, notice: ConnectionNotice) -> None:
        self.hooks.append(("disconnected", notice))

    def gap(self, notice: GapNotice) -> None:
        self.hooks.append(("gap", notice))

    def messages(self) -> list[Any]:
        return [event.msg for event in self.events]

    def hook_names(self) -> list[str]:
        return [name for name, _ in self.hooks]

    def gaps(self) -> list[GapNotice]:
        return [notice for name, notice in self.hooks if name == "gap"]

    def start(self) -> Recording:
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()
        return self

    def wait(self, count: int, timeout: float = 20) -> list[Any]:
        """Wait for `count` events, and return their messages."""
        eventually(lambda: len(self.events) >= count, f"{count} events", timeout)
        return self.messages()

    def close(self) -> None:
        super().close()
        if self.thread.ident is not None and self.thread is not threading.current_thread():
            self.thread.join(10)
            assert not self.thread.is_alive()

    def _listen(self) -> None:
        try:
            self.listen()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.failure = error


@contextlib.contextmanager
def time_over_once_failed(pub: Publisher, seconds: float) -> Iterator[None]:
    """Stop a publisher's clock until its link has failed; then advance it by `seconds`."""

    def monotonic() -> float:
        return seconds if pub._sender._failure else 0.0

    with pytest.MonkeyPatch.context() as patch:
        for module in (sender, condition):
            patch.setattr(module, "time", SimpleNamespace(monotonic=monotonic))
        yield


def all_get_more(subscribers: Sequence[Recording]) -> None:
    """Wait until each of them has an event that it hasn't at this moment."""
    seen = [len(each.events) for each in subscribers]
    eventually(lambda: all(len(each.events) > n for each, n in zip(subscribers, seen, strict=True)))
