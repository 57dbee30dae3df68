"""Everything that workers need, imported once before they are forked."""

import contextlib
import importlib

import benchmarks.events.systems
import benchmarks.events.workers  # noqa: F401 - loading it is the purpose

for _module in (
    "Pyro5.api",
    "pyro_events",
    "pyro_events._client.receiving.callback",
    "pyro_events._client.receiving.stream",
    "nats",
    "paho.mqtt.client",
    "redis",
    "zenoh",
    "iceoryx2",
    "msgspec",
    "zmq",
):
    with contextlib.suppress(ImportError):
        importlib.import_module(_module)
