"""ormsgpack, where it is installed, for messages that it and msgpack treat alike.

It takes half the time. Whatever it doesn't take, or might take for something else, is left to
msgpack, so that the bytes, the messages and the errors are the same with it and without. Reading,
it refuses extension types and all keys but text, whose hashes are secret; but it overlooks what
comes after a value, so that callers have to put a fence there.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgpack

from pyro_events._protocol.collisions import check_keys
from pyro_events._protocol.tags import FROZENSET, MARK, SCALARS, SET, TUPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

_BIN8, _BIN16, _BIN32 = 0xC4, 0xC5, 0xC6
_BIN8_MOST: Final = 255


class Quick:
    """Packs and reads by the module ormsgpack.

    Of objects that msgpack would refuse it takes only buffers, which `may_differ` finds, and its
    own `Ext`: it packs one as an extension type, and receivers refuse that.
    """

    def __init__(self, module: ModuleType) -> None:
        self.read: Callable[[bytes], Any] = module.unpackb
        """Raises ValueError for what it doesn't read."""
        self._pack = module.packb
        self._options = (
            module.OPT_PASSTHROUGH_BIG_INT
            | module.OPT_PASSTHROUGH_DATACLASS
            | module.OPT_PASSTHROUGH_DATETIME
            | module.OPT_PASSTHROUGH_ENUM
            | module.OPT_PASSTHROUGH_SUBCLASS
            | module.OPT_PASSTHROUGH_TUPLE
            | module.OPT_PASSTHROUGH_UUID
        )
        marks = {code: module.Ext(code, b"") for code in MARK}
        by_id = {id(mark): marks[code] for code, mark in MARK.items()}
        self._encoders: dict[type, Callable[[Any], Any]] = {
            **SCALARS,
            tuple: lambda value: [marks[TUPLE], *value],
            set: lambda value: [marks[SET], *_checked(value)],
            frozenset: lambda value: [marks[FROZENSET], *_checked(value)],
            msgpack.ExtType: lambda mark: by_id[id(mark)],  # ours, from SCALARS, and no other
        }

    def pack(self, message: Any) -> bytes:
        """Return the message as bytes; raises an exception for what is left to msgpack."""
        packed: bytes = self._pack(message, self._default, self._options)
        return packed

    def _default(self, value: Any) -> Any:
        return self._encoders[type(value)](value)


def may_differ(packed: bytes) -> bool:
    """Return whether there may be bytes in it, which may have been a buffer of another type."""
    return _BIN8 in packed or (len(packed) > _BIN8_MOST and (_BIN16 in packed or _BIN32 in packed))


def load() -> Quick | None:
    """Return ormsgpack if it is installed, in a version that has all that is needed."""
    with contextlib.suppress(ImportError, AttributeError):
        import ormsgpack  # noqa: PLC0415 - if it is installed

        return Quick(ormsgpack)
    return None


def _checked(values: Any) -> Iterable[Any]:
    check_keys(values)
    found: Iterable[Any] = values
    return found
