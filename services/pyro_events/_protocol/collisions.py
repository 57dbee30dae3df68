"""Bounds the work of sets and dicts whose keys were chosen to collide.

Python's hashes of numbers are not secret, so a stranger can send a hundred thousand numbers with
the same hash, and to put them into a set takes hours. The hashes of text and bytes are secret, and
only few floats and ints of 64 bits share one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_COLLIDING: Final = 64
"""Keys that may share a hash: -1 and -2 do, and the powers of two, 34 at a time."""

MAX_COLLIDING_BITS: Final = 2048
"""To compare a longer int with a Decimal takes time that grows with its square."""


_harmless = frozenset({type(None), bool, float, str, bytes}).issuperset


def check_keys(keys: Collection[Any]) -> None:
    """Raise ValueError for keys that can't be put into a set or dict in reasonable time."""
    if _harmless(map(type, keys)) or len(set(map(hash, keys))) == len(keys):
        return
    alike = Counter(map(hash, keys))
    if max(alike.values()) > MAX_COLLIDING:
        raise ValueError(f"more than {MAX_COLLIDING} keys of a set or dict have the same hash")
    if any(alike[hash(key)] > 1 and _has_huge_int(key) for key in keys):
        raise ValueError(f"ints of more than {MAX_COLLIDING_BITS} bits as keys have the same hash")


def _has_huge_int(key: Any) -> bool:
    if type(key) is int:
        return key.bit_length() > MAX_COLLIDING_BITS
    return type(key) in (tuple, frozenset) and any(map(_has_huge_int, key))
