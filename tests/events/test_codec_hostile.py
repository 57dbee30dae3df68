"""Any bytes give a message or a ValueError, in bounded time and memory."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import tracemalloc
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_events import codec
from pyro_events._protocol import tags
from pyro_events._protocol.collisions import MAX_COLLIDING
from pyro_events._protocol.tags import MARK

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("each_codec")

PRIME = sys.hash_info.modulus
"""Numbers that differ by a multiple of it have the same hash."""


def tagged(code: int, *values: Any) -> list[Any]:
    return [MARK[code], *values]


def big(number: int) -> list[Any]:
    return tagged(tags.INT, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def refuse(message: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        codec.unpack(msgpack.packb(message))
    return str(caught.value)


def cpu_time(call: Callable[[], object]) -> float:
    before = time.thread_time()
    call()
    return time.thread_time() - before


class Pairs(list[Any]):
    """A map with keys that no dict could have."""


bodies = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.sampled_from([*MARK.values(), msgpack.ExtType(99, b""), msgpack.ExtType(1, b"x")]),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.builds(
            lambda mark, rest: [mark, *rest],
            st.sampled_from(list(MARK.values())),
            st.lists(inner, max_size=7),
        )
        | st.lists(st.tuples(inner, inner), max_size=4).map(Pairs)
    ),
    max_leaves=20,
)


def write(value: Any) -> bytes:
    if isinstance(value, Pairs):
        head = msgpack.Packer().pack_map_header(len(value))
        return bytes(head) + b"".join(write(key) + write(item) for key, item in value)
    if isinstance(value, list):
        return bytes(msgpack.Packer().pack_array_header(len(value))) + b"".join(map(write, value))
    return bytes(msgpack.packb(value))


@settings(deadline=None)
@given(bodies, st.integers(0, 40), st.binary(max_size=3))
def test_tags_in_any_disorder_are_a_message_or_a_value_error(
    body: Any, cut: int, more: bytes
) -> None:
    """Tags may be anywhere, with anything after them, or cut off; none appears in a message."""
    packed = write(body)
    for data in (packed, packed[:cut], packed[:cut] + more, packed + more):
        with contextlib.suppress(ValueError):
            assert "Tag object" not in repr(codec.unpack(data))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    """Bytes-like objects are treated like bytes."""
    with contextlib.suppress(ValueError):
        codec.unpack(memoryview(data))


@pytest.mark.parametrize("where", [lambda mark: [1, mark], lambda mark: {"a": mark}, lambda m: m])
def test_a_tag_without_a_value_is_refused_wherever_it_is(where: Any) -> None:
    """This holds at the top and nested."""
    assert "tag without a value" in refuse(where(MARK[tags.TUPLE]))


@pytest.mark.parametrize(
    "numbers",
    [
        [big(PRIME * n) for n in range(8, 30_000)],
        [tagged(tags.TUPLE, big(PRIME * n)) for n in range(8, 30_000)],
        [tagged(tags.COMPLEX, n * -1000003.0, float(n)) for n in range(30_000)],
        [tagged(tags.DECIMAL, str(PRIME * n)) for n in range(30_000)],
        [tagged(tags.UUID_, (PRIME * n).to_bytes(16, "big")) for n in range(30_000)],
    ],
    ids=["int", "tuple", "complex", "Decimal", "UUID"],
)
@pytest.mark.parametrize("kind", ["set", "frozenset", "dict", "map"])
def test_colliding_keys_cost_no_more_than_others(numbers: list[Any], kind: str) -> None:
    """They are refused after a time proportional to the message."""
    if kind == "dict":
        message: Any = tagged(tags.DICT, *(x for number in numbers for x in (number, 1)))
    elif kind == "map":
        message = Pairs((number, 1) for number in numbers)
    else:
        message = tagged(tags.SET if kind == "set" else tags.FROZENSET, *numbers)
    data = write(message)

    def unpack() -> None:
        with pytest.raises(ValueError, match=f"more than {MAX_COLLIDING} keys"):
            codec.unpack(data)

    assert cpu_time(unpack) < 2


@pytest.mark.parametrize(
    "keys",
    [
        {-1, -2, 2**61, 1, 0, PRIME},
        {2.0**n for n in range(-1000, 1000)},
        {(x, y, z) for x in range(-4, 4) for y in range(-4, 4) for z in range(-4, 4)},
        {1 << n for n in range(1000)},
    ],
    ids=["small", "floats", "grid", "bits"],
)
def test_natural_collisions_are_accepted(keys: set[Any]) -> None:
    """Sets and dicts with a few colliding keys travel."""
    assert codec.unpack(codec.pack(keys)) == keys
    assert codec.unpack(codec.pack(dict.fromkeys(keys))) == dict.fromkeys(keys)


def test_many_colliding_keys_are_refused_at_publish() -> None:
    """Otherwise subscribers would get a gap."""
    with pytest.raises(ValueError, match="same hash"):
        codec.pack({(PRIME * n,) for n in range(8, 8 + 2 * MAX_COLLIDING)})


def test_plain_maps_have_few_collisions() -> None:
    """Ints of 64 bits and floats: the worst choice of keys costs about what others cost."""
    ints = [n * PRIME + offset for offset in range(9000) for n in range(-3, 8)]
    floats = [float(m) * 2.0 ** (61 * e) for m in range(1, 3000) for e in range(-16, 16)]
    for keys in (ints, floats):
        data = write(Pairs((key, None) for key in keys))
        assert cpu_time(lambda data=data: codec.unpack(data)) < 2  # type: ignore[misc] # bound on purpose


def test_no_comparison_of_ints_and_decimals_takes_hours() -> None:
    """A Decimal converts an int that it is compared with; that isn't linear."""
    huge = 1 << 61 * 100_000  # its hash is 1
    keys = [big(huge), tagged(tags.DECIMAL, "1")]
    for pair in (keys, [tagged(tags.TUPLE, key) for key in keys]):
        assert "2048 bits" in refuse(tagged(tags.SET, *pair))
    assert "not text" in refuse(tagged(tags.DECIMAL, big(huge)))
    assert codec.unpack(codec.pack({huge: huge})) == {huge: huge}


@pytest.mark.parametrize("header", [b"\xdd\0\0\xe0\0", b"\xdc\xe0\0", b"\xdf\0\0\xe0\0"])
@pytest.mark.parametrize("filling", [b"\xc0", b"\xc1"])
def test_claimed_lengths_allocate_nothing(header: bytes, filling: bytes) -> None:
    """Lists that claim the length of the message, a thousand deep, are never created."""
    headers = header * 1000
    data = headers + filling * (60_000 - len(headers))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"not a message|exceeds max_map_len"):
            codec.unpack(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\xa2\xff\xfe",
        b"\x91\xa1\x80",
        b"\x81\xa1\xff\xc0",
        b"\xc1",
    ],
)
def test_lengths_and_text_that_cannot_be_are_refused_with_a_reason(data: bytes) -> None:
    """The error has a text, for the log and for the gap's detail."""
    with pytest.raises(ValueError, match=r"[a-z]{3}"):
        codec.unpack(data)


def test_errors_are_short() -> None:
    """A stranger can't fill the log with one message."""
    long = "x" * 1_000_000
    assert len(refuse(tagged(tags.CLASS, long, {}))) < 300
    assert len(refuse(tagged(tags.TIME, 1, 2, 3, 4, 0, long))) < 300
    assert len(refuse(tagged(tags.DECIMAL, long))) < 300


def test_many_threads_pack_at_once() -> None:
    """Each gets its own message, also while ints of any size are packed."""
    wrong: list[object] = []

    def work(number: int) -> None:
        message = {"n": [number, 1 << 80 + number, (number, Decimal(number))], "t": "x" * number}
        copies = [codec.unpack(codec.pack(message)) for _ in range(300)]
        wrong.extend(copy for copy in copies if copy != message)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
