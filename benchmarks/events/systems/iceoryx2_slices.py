"""iceoryx2: shared memory (Rust below), a slice of bytes for each message."""

# ruff: noqa: PLC0415 - every process imports what it needs, and a rival may not be there
from __future__ import annotations

import contextlib
import ctypes
import time
import uuid
from typing import TYPE_CHECKING, Any

from benchmarks.events.message import SUBJECT, codec
from benchmarks.events.processes import Broker
from benchmarks.events.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.events.message import Message, Plan

_DEPTH = 1024
"""Samples that may wait for one subscriber; then the publisher spins."""
_EVERY = 20
"""Messages for each notification, which is a system call: one for each costs a tenth more."""
_SETTLE = 0.3
"""Seconds for subscribers to find the publisher."""
_LARGEST = 256
"""Bytes of a message, to begin with."""


class Iceoryx2(System):
    needs = ("iceoryx2",)
    name = "iceoryx2"
    title = "iceoryx2, shared memory"
    gives_up = (
        "one machine; no acknowledgement; no patterns, a service for each exact subject; a full"
        " subscriber makes the publisher spin; a killed process leaves shared memory; bytes"
    )

    @contextlib.contextmanager
    def broker(self, directory: Path) -> Iterator[Broker]:  # noqa: ARG002 - it needs none
        try:
            yield Broker(f"bench-{uuid.uuid4().hex}-", None)
        finally:
            _node().try_cleanup_dead_nodes()  # what killed processes have left

    def publish(self, address: str, plan: Plan) -> None:
        import iceoryx2 as iox2

        encode, _ = codec("msgpack")
        _, data, bell = _services(address)
        publisher = (
            data.publisher_builder()
            .initial_max_slice_len(_LARGEST)
            .allocation_strategy(iox2.AllocationStrategy.PowerOfTwo)
            .backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )
        notifier = bell.notifier_builder().create()
        time.sleep(_SETTLE)
        every = 1 if plan.rate else _EVERY
        for number, message in enumerate(plan, 1):
            encoded = encode(message)
            sample = publisher.loan_slice_uninit(len(encoded))
            ctypes.memmove(sample.payload_ptr, encoded, len(encoded))
            sample.assume_init().send()
            if not number % every:
                notifier.notify()
        notifier.notify()

    def subscribe(
        self, address: str, ready: Callable[[], None], take: Callable[[Message], None]
    ) -> None:
        import iceoryx2 as iox2

        _, decode = codec("msgpack")
        _, data, bell = _services(address)
        subscriber = data.subscriber_builder().buffer_size(_DEPTH).create()
        listener = bell.listener_builder().create()
        wait = iox2.Duration.from_millis(100)
        ready()
        receive, string_at = subscriber.receive, ctypes.string_at
        while True:
            sample = receive()
            if sample is None:
                listener.timed_wait(wait)
                continue
            payload = sample.payload()
            take(decode(string_at(payload.data_ptr, payload.number_of_elements)))
            sample.delete()


def _services(prefix: str) -> tuple[Any, Any, Any]:
    """Open what carries the messages, and what tells of them; the first result keeps both."""
    import iceoryx2 as iox2

    node = _node()
    data = (
        node.service_builder(iox2.ServiceName.new(prefix + SUBJECT))
        .publish_subscribe(iox2.Slice[ctypes.c_uint8])
        .enable_safe_overflow(False)
        .subscriber_max_buffer_size(_DEPTH)
        .subscriber_max_borrowed_samples(2)
        .max_subscribers(64)
        .max_nodes(80)
        .open_or_create()
    )
    bell = (
        node.service_builder(iox2.ServiceName.new(f"{prefix}{SUBJECT}-bell"))
        .event()
        .max_listeners(64)
        .max_notifiers(64)
        .max_nodes(80)
        .open_or_create()
    )
    return node, data, bell


def _node() -> Any:
    import iceoryx2 as iox2

    iox2.set_log_level(iox2.LogLevel.Error)
    return iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
