"""Makes whole lines of what comes in pieces. Pure: bytes in, bytes out."""

from __future__ import annotations

LONGEST_LINE = 65536
"""Bytes; a longer line is broken up, so that memory stays bounded."""
GOES_ON = b"[pyroctl] the line goes on: it has more than %d bytes\n" % LONGEST_LINE
"""Stands after the first piece of a line that was broken up."""
CONTINUATION_BITS, CONTINUATION = 0xC0, 0x80
LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8 (RFC 3629)."""


class LineAssembler:
    """Holds back an unfinished line until the rest comes. Bytes are never changed."""

    def __init__(self) -> None:
        self._unfinished = b""
        self._said = False
        """The unfinished line's beginning was given already, with GOES_ON after it."""

    def feed(self, data: bytes) -> bytes:
        """Give the lines that are complete now, each with its newline; b"" if none is."""
        if self._unfinished:
            data = self._unfinished + data
        breaks = self._breaks(data)
        end = data.rfind(b"\n") + 1
        if breaks and breaks[-1][0] > end:
            end, self._said = breaks[-1][0], True
        elif end:
            self._said = False
        self._unfinished = data[end:]
        return _broken(data, breaks, end) if breaks else data[:end]

    @property
    def unfinished(self) -> bytes:
        """What is held back."""
        return self._unfinished

    def finish(self) -> bytes:
        """Give what came without a newline at its end, as a line."""
        rest, self._unfinished, self._said = self._unfinished, b"", False
        return rest + b"\n" if rest else b""

    def _breaks(self, data: bytes) -> list[tuple[int, bool]]:
        """Find where lines that are too long must be broken, and whether to say so there.

        Looks at a few places only, not at every line.
        """
        found = []
        start, said = 0, self._said
        while len(data) - start > LONGEST_LINE:
            newline = data.rfind(b"\n", start, start + LONGEST_LINE + 1)
            if newline >= 0:
                start, said = newline + 1, False
            else:
                start = _between_characters(data, start + LONGEST_LINE)
                found.append((start, not said))
                said = True
        return found


def _broken(data: bytes, breaks: list[tuple[int, bool]], end: int) -> bytes:
    pieces = []
    start = 0
    for place, say in breaks:
        pieces += [data[start:place], b"\n", GOES_ON if say else b""]
        start = place
    return b"".join([*pieces, data[start:end]])


def _between_characters(data: bytes, place: int) -> int:
    """Go back to where a character of UTF-8 begins, if one does nearby."""
    for start in range(place, place - LONGEST_CHARACTER, -1):
        if data[start] & CONTINUATION_BITS != CONTINUATION:
            return start
    return place
