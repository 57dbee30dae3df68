"""The systems that are compared, one file each."""

from __future__ import annotations

from benchmarks.events.systems.event_service import EventService
from benchmarks.events.systems.nats_server import Nats
from benchmarks.events.systems.zeromq import ZeroMQ

SYSTEMS = (
    EventService("stream"),
    EventService("callback"),
    EventService("stock"),
    Nats(),
    ZeroMQ(),
    ZeroMQ(bounded=True),
)
