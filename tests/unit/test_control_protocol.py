"""The control channel's codec."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroctl.control.protocol import (
    MAX_LINE,
    Decoder,
    MalformedMessage,
    check_request,
    encode,
    request,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
messages = st.lists(st.dictionaries(st.text(), values), max_size=5)


@settings(max_examples=50, deadline=None)
@given(messages, st.lists(st.integers(0, 10_000)))
def test_messages_survive_any_cut_of_the_stream(
    sent: list[dict[str, object]], cuts: list[int]
) -> None:
    """The same messages arrive in order, however the bytes are split."""
    data = b"".join(encode(message) for message in sent)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    decoder = Decoder()
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert [m for piece in pieces for m in decoder.feed(piece)] == sent


@given(st.binary())
def test_any_bytes_give_messages_or_a_protocol_error(data: bytes) -> None:
    """Garbage raises no other exception."""
    with contextlib.suppress(MalformedMessage):
        assert all(isinstance(message, dict) for message in Decoder().feed(data))


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    """Both sides enforce the limit of 1 MiB per line."""
    decoder = Decoder()
    with pytest.raises(MalformedMessage, match="longer than"):
        for _ in range(20):
            decoder.feed(b"x" * (MAX_LINE // 10))
    with pytest.raises(MalformedMessage, match="too long"):
        encode({"text": "x" * MAX_LINE})


def test_a_request_is_read_back() -> None:
    """`check_request` accepts what `request` returns."""
    args: dict[str, object] = {"services": ["es"]}
    (message,) = Decoder().feed(encode(request("start", args)))
    assert check_request(message) == ("start", args)


@pytest.mark.parametrize(
    "message",
    [{}, {"pyroctl": 2, "do": "start"}, {"pyroctl": 1}, {"pyroctl": 1, "do": "x", "args": 3}],
)
def test_a_request_of_another_form_or_version_is_refused(message: dict[str, object]) -> None:
    """The error for another version has a hint."""
    with pytest.raises(MalformedMessage):
        check_request(json.loads(json.dumps(message)))
