"""Which styles the roles of a text have on a terminal: its own sixteen colours, no others."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.ansi import SGR_STYLE_MAP
from rich.errors import StyleSyntaxError
from rich.style import Style
from rich.text import Text

from pyroctl.printable import log_text
from pyroctl.view.lines import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

ROLES = {
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "backoff": "yellow",
    "failed": "bold red",
    "stopped": "dim",
    "exited": "dim",
    "error": "red",
    "head": "bold",
    "dim": "dim",
    "time": "dim",
    "note": "cyan",
}
SERVICES = ("cyan", "yellow", "magenta", "blue", "green")
"""By which services in a log are told apart; not red, which looks like an error."""
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_LONG = {5: 1, 2: 3}
"""How many numbers follow `38;5` and `38;2`."""
GROUNDS = {38: "", 48: "on "}
LARGEST = 255


@lru_cache(256)
def style_of(role: str) -> Style:
    """Return the style of a role; any other is a style of rich, such as "bold red"."""
    try:
        return Style.parse(ROLES.get(role, role))
    except StyleSyntaxError:
        return Style.null()


def text_of(parts: Iterable[Part]) -> Text:
    """Return parts as one text of rich."""
    return Text.assemble(*((part.text, style_of(part.role)) for part in parts), no_wrap=True)


def service_role(place: int) -> str:
    """Return the style of a service in a log, by its place among all of them."""
    return SERVICES[place % len(SERVICES)]


def coloured(text: str) -> list[Part]:
    """Return a line of a log as parts in the colours that it has; nothing else in it works."""
    first, *rest = _SGR.split(text.removesuffix("\r"))
    parts = [Part(log_text(first))]
    active: list[str] = []
    for codes, following in zip(rest[::2], rest[1::2], strict=True):
        active = _after(active, [int(code or 0) for code in codes.split(";")])
        parts.append(Part(log_text(following), " ".join(active)))
    return [part for part in parts if part.text]


def _after(active: list[str], codes: list[int]) -> list[str]:
    """Return which styles are active after a sequence of SGR codes."""
    rest = list(codes)
    while rest:
        code = rest.pop(0)
        if code == 0:
            active = []
        elif code in GROUNDS:
            kind = rest.pop(0) if rest else 0
            numbers = [rest.pop(0) for _ in range(min(_LONG.get(kind, 0), len(rest)))]
            known = len(numbers) == _LONG.get(kind) and max(numbers) <= LARGEST
            if known:
                named = ",".join(map(str, numbers))
                colour = f"color({named})" if len(numbers) == 1 else f"rgb({named})"
                active = [*active, GROUNDS[code] + colour]
        elif code in SGR_STYLE_MAP:
            active = [*active, SGR_STYLE_MAP[code]]
    return active
