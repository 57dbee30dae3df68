r"""Patterns over subjects: standard `re` syntax that can't freeze the event service.

`re` holds the interpreter's lock while it backtracks, so that one bad pattern stops every thread
for seconds. A pattern is therefore parsed first. If an upper bound on the ways to backtrack is
small, `re` itself matches; all others go to the `regex` package, which accepts a timeout.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found] # typeshed has no stubs of it
import re._parser as parser  # type: ignore[import-not-found] # the same
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PATTERN = 512
"""Characters that a pattern may have."""
MAX_REPEAT = 1000
"""Largest product of nested counted repeats: `regex` unrolls them when it compiles."""
MAX_UNROLLED = 5000
"""Parts that a pattern for `regex` may have when its counted repeats are unrolled, which happens in
C: no other thread runs meanwhile."""
MAX_RANGES = 4 * 0x110000
"""Code points in all character ranges together: to ignore case, each one is visited."""
MAX_WAYS = 256**2
"""Ways to backtrack that are left to `re`: two `.*` on the longest subject."""
QUICK_WAYS = 256
"""Ways to backtrack with which a match takes at most some 20 µs, whatever the subject."""
MATCH_TIMEOUT = 0.005
"""Seconds of processor time for one match by `regex`."""

_LONGEST = 255
_NOT_IN_REGEX = re.compile(r"\{(?!\d*,?\d*\})|\[[:.=]")


class PatternTimeout(Exception):
    """A match was cut off; `pattern` is its text."""

    def __init__(self, pattern: str, subject: str) -> None:
        super().__init__(
            f"pattern {pattern!r} took more than {MATCH_TIMEOUT} s on subject {subject!r}"
        )
        self.pattern = pattern


class Pattern:
    """A compiled pattern; immutable, so any thread may match with it.

    `quick` says whether no subject can make it backtrack much. Raises ValueError for text that is
    empty, too long, not a regular expression, or too costly.
    """

    __slots__ = ("_match", "quick", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        tree = _parse(text)
        if _repeats(tree) > MAX_REPEAT:
            raise _bad(text, f"its repeats multiply to more than {MAX_REPEAT}")
        if _ranges(tree) > MAX_RANGES:
            raise _bad(text, "its character ranges are too wide")
        self._match: Callable[[str], bool]
        ways = _ways(tree)
        self.quick = ways <= QUICK_WAYS
        if ways <= MAX_WAYS:
            self._match = _by_re(text)
        elif _unrolled(tree) > MAX_UNROLLED:
            raise _bad(text, f"its repeats unroll to more than {MAX_UNROLLED} parts")
        else:
            self._match = _by_regex(text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def match(self, subject: str) -> bool:
        """Return whether the subject matches from its start, in any case; raises PatternTimeout."""
        return self._match(subject.lower())


def _parse(text: str) -> Any:
    if not text:
        raise ValueError("pattern is empty; '.*' matches every subject")
    if len(text) > MAX_PATTERN:
        raise _bad(text, f"it has {len(text)} characters; at most {MAX_PATTERN} are allowed")
    try:
        return parser.parse(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise _bad(text, str(error)) from None


def _bad(text: str, why: str) -> ValueError:
    shown = text if len(text) <= 80 else text[:80] + "…"  # noqa: PLR2004 - a line on a terminal
    return ValueError(f"pattern {shown!r} is refused: {why}")


def _by_re(text: str) -> Callable[[str], bool]:
    match = _compile(re.compile, text).match
    return lambda subject: match(subject) is not None


def _by_regex(text: str) -> Callable[[str], bool]:
    import regex  # noqa: PLC0415 - few patterns need it

    if _NOT_IN_REGEX.search(text):
        raise _bad(
            text, r"it may backtrack without end, and a literal { or [: must be written \{ or \[:"
        )
    match = _compile(regex.compile, text).match

    def timed(subject: str) -> bool:
        try:
            return match(subject, timeout=MATCH_TIMEOUT) is not None
        except TimeoutError:
            raise PatternTimeout(text, subject) from None

    return timed


def _compile(compiler: Callable[[str, int], Any], text: str) -> Any:
    try:
        return compiler(text, int(re.IGNORECASE))
    except Exception as error:  # noqa: BLE001 - each compiler has its own errors, all about the pattern
        raise _bad(text, str(error)) from None


# The parse tree is a list of (operator, argument); what the argument is depends on the operator.

_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


def _children(operator: Any, argument: Any) -> list[Any]:
    """Return the parts of an item that are patterns themselves."""
    if operator in _REPEATS or operator is op.SUBPATTERN:
        return [argument[-1]]
    if operator is op.ATOMIC_GROUP:
        return [argument]
    if operator in (op.ASSERT, op.ASSERT_NOT):
        return [argument[1]]
    if operator is op.BRANCH:
        return list(argument[1])
    if operator is op.GROUPREF_EXISTS:
        return [part for part in argument[1:] if part is not None]
    return []


def _repeats(tree: Any) -> int:
    """Return the largest product of nested counted repeats."""
    largest = 1
    for operator, argument in tree:
        inner = max(map(_repeats, _children(operator, argument)), default=1)
        if operator in _REPEATS:
            low, high = argument[0], argument[1]
            inner *= max(1, low if high is op.MAXREPEAT else high)
        largest = max(largest, inner)
    return largest


def _unrolled(tree: Any) -> int:
    """Return the number of parts when counted repeats are written out."""
    total = 0
    for operator, argument in tree:
        inner = 1 + sum(map(_unrolled, _children(operator, argument)))
        if operator in _REPEATS:
            low, high = argument[0], argument[1]
            inner *= max(1, low if high is op.MAXREPEAT else high)
        total += inner
    return total


def _ranges(tree: Any) -> int:
    """Return the number of code points in all character ranges."""
    total = 0
    for operator, argument in tree:
        if operator is op.IN:
            total += sum(item[1][1] - item[1][0] for item in argument if item[0] is op.RANGE)
        total += sum(map(_ranges, _children(operator, argument)))
    return total


def _ways(tree: Any) -> int:
    """Return an upper bound on the ways to match a subject; MAX_WAYS + 1 means too many."""
    ways = 1
    for operator, argument in tree:
        ways *= _item_ways(operator, argument)
        if ways > MAX_WAYS:
            return MAX_WAYS + 1
    return ways


def _item_ways(operator: Any, argument: Any) -> int:
    if operator in (op.GROUPREF, op.GROUPREF_EXISTS):
        return MAX_WAYS + 1
    inner = [_ways(child) for child in _children(operator, argument)]
    if operator is op.BRANCH:
        return sum(inner)
    if operator in _REPEATS:
        low, high = min(int(argument[0]), _LONGEST), min(int(argument[1]), _LONGEST)
        return _sum_of_powers(inner[0], low, high)
    return inner[0] if inner else 1


def _sum_of_powers(base: int, low: int, high: int) -> int:
    total = 0
    for exponent in range(low, high + 1):
        total += base**exponent
        if total > MAX_WAYS:
            return MAX_WAYS + 1
    return total
