"""The wire codec against Pyro5's own, and against arbitrary bytes."""

from __future__ import annotations

import itertools
import random
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from Pyro5 import protocol

from pyro_wire import framing
from pyro_wire.framing import Frame, FrameReader, FrameTooLarge, ProtocolError, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 1000

frames = st.builds(
    Frame,
    type=st.integers(0, 255),
    serializer=st.integers(0, 255),
    flags=st.integers(0, 0xFFFF).map(lambda flags: flags & ~framing.COMPRESSED),
    seq=st.integers(0, 0xFFFF),
    annotations=st.just(b""),
    data=st.binary(max_size=300),
)


def encode(frame: Frame) -> bytes:
    return encode_frame(
        frame.type, frame.serializer, frame.flags, frame.seq, frame.data, frame.annotations
    )


def read_all(pieces: Iterable[bytes], max_size: int = LIMIT) -> list[Frame]:
    reader = FrameReader(max_size)
    found = []
    for piece in pieces:
        reader.feed(piece)
        found += list(reader)
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_survive_any_cutting(sent: list[Frame], places: list[int]) -> None:
    """The same frames result, however the network splits the stream."""
    data = b"".join(encode(frame) for frame in sent)
    assert read_all(cut(data, places)) == sent


@given(frames)
def test_pyro5_reads_our_frames(frame: Frame) -> None:
    """Pyro5 reads what we encode."""
    data = encode(frame)
    message = protocol.ReceivingMessage(data[: framing.HEADER_SIZE], data[framing.HEADER_SIZE :])
    assert (message.type, message.serializer_id, message.flags, message.seq) == frame[:4]
    assert bytes(message.data) == frame.data


@given(frames, st.dictionaries(st.sampled_from(["ABCD", "WXYZ"]), st.binary(max_size=50)))
def test_we_read_pyro5s_frames(frame: Frame, annotations: dict[str, bytes]) -> None:
    """We read what Pyro5 encodes, with and without annotations."""
    message = protocol.SendingMessage(
        frame.type, frame.flags, frame.seq, frame.serializer, frame.data, annotations
    )
    (read,) = read_all([bytes(message.data)])
    assert read[:4] == (frame.type, frame.serializer, frame.flags, frame.seq)
    assert read.data == frame.data
    assert len(read.annotations) == sum(8 + len(chunk) for chunk in annotations.values())


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_gives_an_error_or_waits(pieces: list[bytes]) -> None:
    """Arbitrary bytes give a frame, a wait for more, or a ProtocolError; nothing else."""
    reader = FrameReader(LIMIT)
    try:
        for piece in pieces:
            reader.feed(piece)
            list(reader)
    except ProtocolError:
        return


@given(frames, st.integers(0, 39), st.integers(1, 255))
def test_a_damaged_header_gives_an_error_or_another_frame(frame: Frame, at: int, by: int) -> None:
    """A header with one wrong byte gives a frame, a wait for more, or a ProtocolError."""
    data = bytearray(encode(frame))
    data[at] ^= by
    try:
        found = read_all([bytes(data)])
    except ProtocolError:
        return
    assert len(found) <= 1


def test_a_wrong_start_is_refused_at_once() -> None:
    """A browser that connects is refused at its first bytes."""
    reader = FrameReader(LIMIT)
    reader.feed(b"GE")
    with pytest.raises(ProtocolError, match="not Pyro's protocol"):
        reader.next_frame()


def test_another_version_is_named() -> None:
    """Pyro4 (protocol 48) is distinguished from garbage."""
    reader = FrameReader(LIMIT)
    reader.feed(b"PYRO\0\x30")
    with pytest.raises(ProtocolError, match="version 502"):
        reader.next_frame()


def test_an_error_is_final() -> None:
    """A broken stream stays broken, even when good frames follow."""
    reader = FrameReader(LIMIT)
    reader.feed(b"nonsense")
    with pytest.raises(ProtocolError):
        reader.next_frame()
    reader.feed(encode_frame(framing.PING, 1, 0, 0, b""))
    with pytest.raises(ProtocolError, match="not Pyro's protocol"):
        reader.next_frame()
    assert reader.leftover() == b"" or reader.leftover().startswith(b"PYRO")


def test_size_is_checked_as_announced() -> None:
    """A frame that is too large is refused by its header, before its data arrive."""
    reader = FrameReader(LIMIT)
    reader.feed(framing.encode_header(framing.INVOKE, 1, 0, 0, LIMIT + 1))
    with pytest.raises(ProtocolError, match="1001 bytes, the limit is 1000"):
        reader.next_frame()
    reader = FrameReader(LIMIT)
    reader.feed(framing.encode_header(framing.INVOKE, 1, 0, 0, LIMIT, 1))
    with pytest.raises(ProtocolError, match="limit"):
        reader.next_frame()


@pytest.mark.parametrize("step", [1, 7, 1000, 5000])
def test_reading_continues_after_a_frame_that_is_too_large(step: int) -> None:
    """A large frame is discarded as it comes, and reported; the next frame is read."""
    too_large = encode_frame(framing.INVOKE, 1, 0, 7, b"x" * (3 * LIMIT))
    data = too_large + encode_frame(framing.PING, 1, 0, 8, b"")
    reader = FrameReader(LIMIT)
    refused, found = [], []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        try:
            found += list(reader)
        except FrameTooLarge as error:
            refused.append((error.frame.seq, str(error)))
            found += list(reader)
    assert refused == [(7, "message of 3000 bytes, the limit is 1000")]
    assert [frame.seq for frame in found] == [8]


def test_compressed_data_are_inflated_within_the_limit() -> None:
    """COMPRESSED data come out inflated and without the flag; reading goes on after a bomb."""
    small = encode_frame(framing.INVOKE, 1, framing.COMPRESSED, 3, zlib.compress(b"x" * LIMIT))
    assert read_all([small]) == [Frame(framing.INVOKE, 1, 0, 3, b"", b"x" * LIMIT)]
    bomb = encode_frame(framing.INVOKE, 1, framing.COMPRESSED, 3, zlib.compress(b"x" * 100_000))
    reader = FrameReader(LIMIT)
    reader.feed(bomb + small)
    with pytest.raises(FrameTooLarge, match="inflates") as caught:
        reader.next_frame()
    assert caught.value.frame == Frame(framing.INVOKE, 1, 0, 3, b"", b"")
    assert reader.next_frame() == Frame(framing.INVOKE, 1, 0, 3, b"", b"x" * LIMIT)


def test_annotations_count_for_the_size_of_compressed_data() -> None:
    """The size of the annotations reduces the limit for the inflated data."""
    data = zlib.compress(b"x" * LIMIT)
    with pytest.raises(FrameTooLarge):
        read_all([encode_frame(framing.INVOKE, 1, framing.COMPRESSED, 3, data, b"ABCD\0\0\0\1.")])


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    """Data that inflate to 200 MB are given up at the limit, and never in memory."""
    bomb = encode_frame(
        framing.INVOKE, 1, framing.COMPRESSED, 3, zlib.compress(bytes(200_000_000), 9)
    )
    reader = FrameReader(1_000_000)
    reader.feed(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(FrameTooLarge):
            reader.next_frame()
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_frame_is_inflated_in_slices_where_others_wait() -> None:
    """Each takes one call of a reader that rests between them; what follows is not touched."""
    rests: list[bool] = []
    reader = FrameReader(3 * framing.SLICE)
    reader.admit, reader.rest = lambda: True, lambda: rests.append(reader.inflating)
    fits = random.Random(1).randbytes(framing.SLICE) + bytes(framing.SLICE)
    small = encode_frame(framing.PING, 1, 0, 4, b"")
    for content in (fits, bytes(3 * framing.SLICE), bytes(3 * framing.SLICE + 1)):
        data = zlib.compress(content)
        reader.feed(encode_frame(framing.INVOKE, 1, framing.COMPRESSED, 3, data) + small)
        del rests[:]
        frame = None
        try:
            while (frame := reader.next_frame()) is None:
                assert reader.leftover().endswith(small)
        except FrameTooLarge:
            assert len(content) > reader.max_size
        else:
            assert frame.data == content
        assert len(rests) >= 2
        assert all(rests)
        assert not reader.inflating
        after = reader.next_frame()
        assert after is not None
        assert after.type == framing.PING


@pytest.mark.parametrize("data", [b"", b"junk", zlib.compress(b"abc" * 99)[:-5]])
def test_damaged_compression_is_a_protocol_error(data: bytes) -> None:
    """Data that don't inflate are the peer's fault, not a zlib.error."""
    with pytest.raises(ProtocolError, match="damaged"):
        read_all([encode_frame(framing.INVOKE, 1, framing.COMPRESSED, 3, data)])


def test_leftover_is_what_was_not_handed_out() -> None:
    """The unparsed rest is available for the next owner of the connection."""
    reader = FrameReader(LIMIT)
    whole = encode_frame(framing.PING, 42, 0, 0, b"ping")
    reader.feed(whole + whole[:17])
    assert len(list(reader)) == 1
    assert reader.leftover() == whole[:17]
    reader.feed(whole[17:])
    assert len(list(reader)) == 1
    assert reader.leftover() == b""


def test_constants_are_pyro5s() -> None:
    """Our constants are the protocol's."""
    assert framing.PROTOCOL_VERSION == protocol.PROTOCOL_VERSION
    for name in ("CONNECT", "CONNECTOK", "CONNECTFAIL", "INVOKE", "RESULT", "PING"):
        assert getattr(framing, name) == getattr(protocol, f"MSG_{name}")
    for name in (
        "EXCEPTION",
        "COMPRESSED",
        "ONEWAY",
        "BATCH",
        "ITEMSTREAMRESULT",
        "KEEPSERIALIZED",
        "CORR_ID",
    ):
        assert getattr(framing, name) == getattr(protocol, f"FLAGS_{name}")
