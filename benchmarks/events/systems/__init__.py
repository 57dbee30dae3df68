"""The systems that are compared, one file each."""

from __future__ import annotations

from benchmarks.events.systems.event_service import EventService
from benchmarks.events.systems.iceoryx2_slices import Iceoryx2
from benchmarks.events.systems.mosquitto import Mosquitto
from benchmarks.events.systems.nats_server import Nats
from benchmarks.events.systems.redis_pubsub import Redis
from benchmarks.events.systems.threads import Threads
from benchmarks.events.systems.zenoh_sessions import Zenoh
from benchmarks.events.systems.zeromq import ZeroMQ

STREAM = EventService("stream")
STREAM_TLS = EventService("stream", tls=True)
CALLBACK = EventService("callback")
STOCK = EventService("stock")
NATS = Nats()
NATS_CURRENT = Nats(current=True)
NATS_CORE = Nats(current=True, core=True)
ZEROMQ = ZeroMQ()
BOUNDED = ZeroMQ(bounded=True)
SINGLE = ZeroMQ(single=True)
SINGLE_MSGSPEC = ZeroMQ(single=True, coded="msgspec")
DIRECT = ZeroMQ(direct=True)
ZENOH_PEERS = Zenoh()
ZENOH_MSGSPEC = Zenoh(coded="msgspec")
ZENOH_ROUTER = Zenoh(router=True)
ICEORYX2 = Iceoryx2()
REDIS = Redis()
REDIS_UNIX = Redis(unix=True)
MQTT = Mosquitto()
THREADS = Threads()
THREADS_MSGPACK = Threads("msgpack")

STREAM_ACKED = EventService("stream", acked=True)
STREAM_ACKED_UNIX = EventService("stream", acked=True, unix=True)
REDIS_ACKED = Redis(acked=True)
REDIS_ACKED_UNIX = Redis(acked=True, unix=True)
NATS_ACKED = Nats(acked=True)
MQTT_ACKED = Mosquitto(acked=True)

BEST = (
    SINGLE, SINGLE_MSGSPEC, DIRECT, ZENOH_PEERS, ZENOH_MSGSPEC, ZENOH_ROUTER, ICEORYX2,
    NATS_CURRENT, NATS_CORE, NATS, REDIS_UNIX, REDIS,
)  # fmt: skip
"""Rivals at their best."""
FLOWING = (
    STREAM, STREAM_TLS, CALLBACK, STOCK, *BEST, ZEROMQ, BOUNDED, MQTT, THREADS, THREADS_MSGPACK,
)  # fmt: skip
"""Publishers go as fast as they can."""
ACKED = (
    STREAM_ACKED, STREAM_ACKED_UNIX, REDIS_ACKED, REDIS_ACKED_UNIX, NATS_ACKED, MQTT_ACKED, THREADS,
)  # fmt: skip
"""Publishers wait for each message until the broker has it."""
PROMPT = (
    STREAM, STREAM_ACKED, STREAM_ACKED_UNIX, STOCK, REDIS, REDIS_UNIX, NATS, SINGLE, DIRECT,
    ZENOH_PEERS, ZENOH_ROUTER, ICEORYX2, MQTT, THREADS,
)  # fmt: skip
"""Latency is measured."""
IDLE = (STREAM, STOCK, REDIS, NATS, ZEROMQ, MQTT, THREADS)
"""Idle subscribers are counted."""
PATTERNS = (STREAM, REDIS, NATS, ZEROMQ, MQTT)
"""Patterns that match nothing are there, or not."""
