"""Assembles lines from pieces. Pure: bytes in, bytes out."""

from __future__ import annotations

LONGEST_LINE = 65536
"""Bytes; a longer line is broken, so that memory stays bounded."""
GOES_ON = b"[pyroctl] the line goes on: it has more than %d bytes\n" % LONGEST_LINE
"""Follows the first piece of a broken line."""
CONTINUATION_BITS, CONTINUATION = 0xC0, 0x80
LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8 (RFC 3629)."""


class LineAssembler:
    """Holds an unfinished line until the rest arrives. Never changes bytes."""

    def __init__(self) -> None:
        self.unfinished = b""
        self._noted = False
        """Whether GOES_ON was already inserted into the unfinished line."""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete now, each with its newline, or b""."""
        if self.unfinished:
            data = self.unfinished + data
        breaks = self._breaks(data)
        end = data.rfind(b"\n") + 1
        if breaks and breaks[-1][0] > end:
            end, self._noted = breaks[-1][0], True
        elif end:
            self._noted = False
        self.unfinished = data[end:]
        return _broken(data, breaks, end) if breaks else data[:end]

    def finish(self) -> bytes:
        """Return the unfinished line, completed by a newline, or b""."""
        rest, self.unfinished, self._noted = self.unfinished, b"", False
        return rest + b"\n" if rest else b""

    def _breaks(self, data: bytes) -> list[tuple[int, bool]]:
        """Return where to break lines that are too long, and whether to insert GOES_ON there.

        Examines only a few places, not every line.
        """
        found = []
        start, noted = 0, self._noted
        while len(data) - start > LONGEST_LINE:
            newline = data.rfind(b"\n", start, start + LONGEST_LINE + 1)
            if newline >= 0:
                start, noted = newline + 1, False
            else:
                start = _between_characters(data, start + LONGEST_LINE)
                found.append((start, not noted))
                noted = True
        return found


def _broken(data: bytes, breaks: list[tuple[int, bool]], end: int) -> bytes:
    pieces = []
    start = 0
    for place, note in breaks:
        pieces += [data[start:place], b"\n", GOES_ON if note else b""]
        start = place
    return b"".join([*pieces, data[start:end]])


def _between_characters(data: bytes, place: int) -> int:
    """Return the start of the UTF-8 character at `place`, if there is one nearby."""
    for start in range(place, place - LONGEST_CHARACTER, -1):
        if data[start] & CONTINUATION_BITS != CONTINUATION:
            return start
    return place
