"""MQTT: mosquitto, and paho-mqtt for its clients."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, decode, encode
from benchmarks.events.processes import Broker, await_port, free_port, program
from benchmarks.events.sockets import open_idle
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan

_TOPIC = SUBJECT.replace(".", "/")
_AHEAD = 1000
"""Messages between two looks whether paho has sent them; it queues without bounds."""
_CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
user root
"""


class Mosquitto(System):
    """Quality of service 0; `acked` takes 1 for publishing, and waits for each."""

    needs = ("paho",)
    program = "mosquitto"
    gives_up = (
        "what a slow subscriber misses is lost silently at quality of service 0; wildcards for"
        " whole words; bytes"
    )

    def __init__(self, *, acked: bool = False) -> None:
        self.acked = acked
        self.name = "mqtt" + ("-publish" if acked else "")
        self.title = "MQTT (mosquitto)"

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:
        port = free_port()
        file = directory / "mosquitto.conf"
        file.write_text(_CONFIGURATION.format(port=port), encoding="ascii")
        with program([self.executable(), "-c", str(file)], directory) as server:
            await_port(server, port)
            yield Broker(str(port), server.pid)

    def publish(self, address: str, plan: Plan) -> None:
        client = _client()
        connected = threading.Event()
        client.on_connect = lambda *_: connected.set()
        client.connect("127.0.0.1", int(address))
        client.loop_start()
        connected.wait()
        quality = 1 if self.acked else 0
        last = None
        for number, message in enumerate(plan, 1):
            last = client.publish(_TOPIC, encode(message), qos=quality)
            if self.acked or not number % _AHEAD:
                last.wait_for_publish()
        if last is not None:
            last.wait_for_publish()

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        client = _client()
        client.on_connect = lambda *_: client.subscribe(_TOPIC)
        client.on_subscribe = lambda *_: ready()
        client.on_message = lambda _client, _data, message: take(decode(message.payload))
        client.connect("127.0.0.1", int(address))
        client.loop_forever()

    def idle(self, address: str, number: int) -> object:
        requests = (_connect(each) + _subscription([f"idle/{each}"]) for each in range(number))
        return open_idle(int(address), requests, _confirmed)

    def patterns(self, address: str, number: int) -> object:
        request = _connect(0) + _subscription([f"none/{each}/+" for each in range(number)])
        return open_idle(int(address), [request], _confirmed)


def _connect(number: int) -> bytes:
    """Return a CONNECT packet with a clean session and no keep-alive (MQTT 3.1.1, section 3.1)."""
    return _packet(0x10, b"\0\4MQTT\4\2\0\0" + _text(f"idle{number}"))


def _subscription(topics: list[str]) -> bytes:
    """Return a SUBSCRIBE packet with quality of service 0 (section 3.8)."""
    return _packet(0x82, b"\0\1" + b"".join(_text(topic) + b"\0" for topic in topics))


def _packet(kind: int, body: bytes) -> bytes:
    size, left = b"", len(body)
    while left > 127:
        size += bytes((left & 127 | 128,))
        left >>= 7
    return bytes((kind,)) + size + bytes((left,)) + body


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _confirmed(answer: bytes) -> bool:
    return b"\x90" in answer[4:]  # SUBACK after the four bytes of CONNACK


def _client() -> Any:
    from paho.mqtt import client as mqtt

    return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)  # type: ignore[attr-defined] # it is there
