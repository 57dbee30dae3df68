"""What every system has to carry, and what counts it where it arrives."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUBJECT = "stocks.nasdaq"
Message = dict[str, Any]

Codec = Literal["msgpack", "msgspec"]
# The rivals carry msgpack, which is faster than JSON for all of them: 0.6 µs against 2.7 to make,
# 0.7 against 2.9 to read (msgpack 1.2, Python 3.11).
encode: Callable[[Message], bytes] = msgpack.Packer().pack
decode: Callable[[bytes], Message] = msgpack.unpackb


def codec(name: Codec) -> tuple[Callable[[Message], bytes], Callable[[bytes], Message]]:
    """Return how a rival makes bytes of messages, and messages of bytes.

    msgspec is the fastest; it reads what strangers send in quadratic time, if they want that.
    """
    if name == "msgpack" or find_spec(name) is None:
        return encode, decode
    import msgspec  # noqa: PLC0415 - only some rivals need it

    return msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


def make(number: int) -> Message:
    """Make a message of about 100 bytes."""
    return {
        "symbol": "SUN",
        "price": 22.44,
        "ts": time.perf_counter(),
        "volume": 1200,
        "exchange": "NASDAQ",
        "cond": "regular",
        "seq": number,
    }


class Plan:
    """What a publisher is to publish: `count` messages, `rate` a second or as fast as it can.

    `begin` is called by the system when it is connected, and returns when the others are, too.
    """

    def __init__(self, count: int, rate: float | None, begin: Callable[[], None]) -> None:
        self.count = count
        self.rate = rate
        self.began = 0.0
        self._begin = begin

    def begin(self) -> None:
        """Wait for the start; the clock runs from here."""
        self._begin()
        self.began = time.perf_counter()

    def pause(self, number: int) -> float:
        """Return the seconds until that message is due, 0 if it is."""
        if self.rate is None:
            return 0.0
        return max(0.0, self.began + number / self.rate - time.perf_counter())

    def __iter__(self) -> Iterator[Message]:
        """Yield every message when it is due."""
        self.begin()
        if self.rate is None:
            yield from map(make, range(self.count))
            return
        for number in range(self.count):
            time.sleep(self.pause(number))
            yield make(number)


class Tally:
    """Counts the messages that one subscriber gets. `take` is what the system calls with each."""

    def __init__(self, count: int, done: Callable[[], None], *, timed: bool) -> None:
        self.latencies: list[float] = []
        self.take, self.counts = (
            _timer(count, done, self.latencies) if timed else _counter(count, done)
        )


def _counter(
    expected: int, done: Callable[[], None]
) -> tuple[Callable[[Message], None], Callable[[], tuple[int, int, float]]]:
    """Count as cheaply as Python can: the clock is read now and then, and at the end."""
    count = jumps = following = 0
    last = 0.0

    def take(message: Message) -> None:
        nonlocal count, jumps, following, last
        number = message["seq"]
        if number != following:
            jumps += 1
        following = number + 1
        count += 1
        if not count & 63 or expected in (following, count):
            last = time.perf_counter()
            if count == expected:
                done()

    return take, lambda: (count, jumps, last)


def _timer(
    expected: int, done: Callable[[], None], latencies: list[float]
) -> tuple[Callable[[Message], None], Callable[[], tuple[int, int, float]]]:
    """Record how long every message took; all processes of a machine share the same clock."""

    def take(message: Message) -> None:
        latencies.append(time.perf_counter() - message["ts"])
        if len(latencies) == expected:
            done()

    return take, lambda: (len(latencies), 0, time.perf_counter())
