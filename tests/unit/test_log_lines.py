"""Whole lines out of pieces: nothing is changed, nothing grows without bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyroctl.manager.output.lines import GOES_ON, LONGEST_LINE, LineAssembler

PIECES = st.lists(st.binary(max_size=12) | st.just(b"\n") | st.just(b"\xff\x00\n"), max_size=30)


def feed(*pieces: bytes) -> list[bytes]:
    lines = LineAssembler()
    return [*map(lines.feed, pieces), lines.finish()]


def test_lines_are_given_when_they_are_complete() -> None:
    """Half a line waits for the rest; at the end of the output it counts as a line."""
    assert feed(b"a", b"b\nc", b"\n\nd") == [b"", b"ab\n", b"c\n\n", b"d\n"]


@given(PIECES)
def test_every_byte_comes_out_in_order(pieces: list[bytes]) -> None:
    """Invalid UTF-8, NULs and empty lines included; only the last newline may be ours."""
    written = b"".join(pieces)
    *_, end = given_ = feed(*pieces)
    assert b"".join(given_) == written + (b"\n" if end else b"")
    assert all(block == b"" or block.endswith(b"\n") for block in given_)


@given(st.lists(st.integers(0, 3 * LONGEST_LINE), max_size=5), st.integers(1000, 300_000))
def test_a_line_that_is_too_long_is_broken_up_and_reported_once(
    lengths: list[int], size: int
) -> None:
    """Without the breaks it is what was written, whatever pieces the output comes in."""
    written = b"".join(b"x" * length + b"\n" for length in lengths)
    blocks = feed(*(written[start : start + size] for start in range(0, len(written), size)))
    lines = b"".join(blocks).splitlines(keepends=True)
    assert all(len(line) <= LONGEST_LINE + 1 for line in lines)
    assert lines.count(GOES_ON) == sum(length > LONGEST_LINE for length in lengths)
    whole = b"".join(line for line in lines if line != GOES_ON)
    assert whole.replace(b"\n", b"") == written.replace(b"\n", b"")


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    """It is passed on while it grows."""
    lines = LineAssembler()
    given_ = [lines.feed(b"x" * 10_000) for _ in range(1000)]
    assert sum(map(len, given_)) > 9_900_000
    assert len(lines.finish()) <= LONGEST_LINE + 1
    assert b"".join(given_).count(GOES_ON) == 1


def test_characters_are_not_split() -> None:
    """A break comes before a character of UTF-8, not in the middle."""
    text = "€" * LONGEST_LINE
    blocks = feed(text.encode() + b"\n")
    assert b"".join(blocks).replace(GOES_ON, b"").decode().replace("\n", "") == text
    for line in b"".join(blocks).splitlines():
        line.decode()
