"""The systems that are compared, one file each."""

from __future__ import annotations

from benchmarks.events.systems.event_service import EventService
from benchmarks.events.systems.mosquitto import Mosquitto
from benchmarks.events.systems.nats_server import Nats
from benchmarks.events.systems.redis_pubsub import Redis
from benchmarks.events.systems.threads import Threads
from benchmarks.events.systems.zeromq import ZeroMQ

STREAM = EventService("stream")
STREAM_TLS = EventService("stream", tls=True)
CALLBACK = EventService("callback")
STOCK = EventService("stock")
NATS = Nats()
ZEROMQ = ZeroMQ()
BOUNDED = ZeroMQ(bounded=True)
REDIS = Redis()
MQTT = Mosquitto()
THREADS = Threads()
THREADS_MSGPACK = Threads("msgpack")

STREAM_ACKED = EventService("stream", acked=True)
REDIS_ACKED = Redis(acked=True)
NATS_ACKED = Nats(acked=True)
MQTT_ACKED = Mosquitto(acked=True)

FLOWING = (
    STREAM, STREAM_TLS, CALLBACK, STOCK, NATS, ZEROMQ, BOUNDED, REDIS, MQTT, THREADS,
    THREADS_MSGPACK,
)  # fmt: skip
"""Publishers go as fast as they can."""
ACKED = (STREAM_ACKED, REDIS_ACKED, NATS_ACKED, MQTT_ACKED, THREADS)
"""Publishers wait for each message until the broker has it."""
PROMPT = (STREAM, STREAM_ACKED, STOCK, REDIS, NATS, ZEROMQ, MQTT, THREADS)
"""Latency is measured."""
IDLE = (STREAM, STOCK, REDIS, NATS, ZEROMQ, MQTT, THREADS)
"""Idle subscribers are counted."""
PATTERNS = (STREAM, REDIS, NATS, ZEROMQ, MQTT)
"""Patterns that match nothing are there, or not."""
