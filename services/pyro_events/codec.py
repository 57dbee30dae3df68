"""Messages as bytes: msgpack, with a tag before each type that msgpack doesn't have.

A message is None, bool, int, float, str, bytes, list and dict of these, and with tags: tuple, set,
frozenset, complex, date, time, datetime, timedelta, Decimal, UUID, an int of any size, a dict with
any keys, and registered classes. It arrives with the same types and values. Types are compared
exactly: a subclass (an IntEnum, a namedtuple, a numpy scalar) would arrive as another type, so it
is refused, unless it is registered.

Unpacking trusts no bytes: whatever a stranger sends, it doesn't crash, and takes time and memory
in proportion to their number.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import msgpack

from pyro_events._protocol import quick, runs, tags, untagged
from pyro_events._protocol.byte_checks import check_lengths, check_timestamps
from pyro_events._protocol.collisions import check_keys
from pyro_events._protocol.tags import MARK, UnsendableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["register", "unregister"]

T = TypeVar("T")

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_all_plain = _PLAIN.issuperset

_LARGE = 1 << 20

_RESERVED = ("pyro_events.", "Pyro5.")


class Codec:
    """The tagged codec with the classes that were registered with it.

    `unknown(name, state)` returns the object for a class that isn't registered here, which is an
    error by default. Any number of threads may pack and unpack at once.
    """

    def __init__(self, unknown: Callable[[str, dict[str, Any]], Any] | None = None) -> None:
        self._unknown = unknown
        self._quick = quick.load()
        self._packers: list[Any] = []
        self._names: dict[type, str] = {}
        self._from_dict: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self._encoders: dict[type, Callable[[Any], Any]] = {
            **tags.SCALARS,
            list: self._items,
            dict: self._dict,
            tuple: lambda value: [MARK[tags.TUPLE], *self._items(value)],
            set: lambda value: [MARK[tags.SET], *self._members(value)],
            frozenset: lambda value: [MARK[tags.FROZENSET], *self._members(value)],
        }
        self._decoders: dict[int, Callable[[list[Any]], Any]] = {
            **tags.DECODERS,
            tags.CLASS: self._object,
        }

    def register(
        self,
        cls: type[T],
        name: str,
        to_dict: Callable[[T], dict[str, Any]],
        from_dict: Callable[[dict[str, Any]], T],
    ) -> None:
        """Register exactly this class under `name`; its objects travel as the dict of `to_dict`.

        `to_dict` may raise a TypeError that says why an object can't be sent. `from_dict` should
        check its argument, which anyone may have sent. Registering a class again replaces its
        registration. Raises ValueError if the class needs no registration or the name is taken,
        TypeError for anything but a class and a str.
        """
        if not isinstance(cls, type) or not isinstance(name, str) or not name:
            raise TypeError(f"register a class under a name, not {cls!r} under {name!r}")
        if cls in _PLAIN or (cls in self._encoders and cls not in self._names):
            raise ValueError(f"{cls.__qualname__} can be sent as it is; it can't be registered")
        if name in self._from_dict and self._names.get(cls) != name:
            raise ValueError(f"the name {name!r} is registered for another class")
        self._from_dict.pop(self._names.get(cls, ""), None)
        self._names[cls] = name
        self._from_dict[name] = from_dict
        self._encoders[cls] = lambda value: self._class(value, name, to_dict)

    def unregister(self, cls: type) -> str:
        """Remove a registration, and return its name; ValueError if there is none."""
        if cls not in self._names:
            raise ValueError(f"{cls.__qualname__} isn't registered")
        name = self._names.pop(cls)
        del self._encoders[cls], self._from_dict[name]
        return name

    @property
    def name(self) -> str:
        """The library that packs and reads plain messages, `ormsgpack` or `msgpack`."""
        return "msgpack" if self._quick is None else "ormsgpack"

    def name_of(self, cls: type) -> str | None:
        """Return the name under which a class is registered, or None."""
        return self._names.get(cls)

    def pack(self, message: Any) -> bytes:
        """Return the message as bytes.

        Raises TypeError for a value of any other type and ValueError for text that is not valid
        Unicode, both with the place in the message, and ValueError for too deep nesting.
        """
        if self._quick is not None:
            try:
                packed = self._quick.pack(message)
                if not quick.may_differ(packed) or _is_plain(message):
                    return packed
            except Exception:  # noqa: BLE001, S110 - below it is found out what and where
                pass
        # Making a packer takes as long as packing does, and two threads must not share one.
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = msgpack.Packer(strict_types=True, default=_big_int)
        try:
            encoded = message if _is_plain(message) else self._encode(message)
            packed = bytes(packer.pack(encoded))
        except UnsendableError as error:
            raise error.named("message") from None
        except RecursionError:
            raise ValueError("message is nested too deeply") from None
        except UnicodeEncodeError as error:
            place = "message" + (self._find_unencodable(message) or "")
            raise ValueError(
                f"{place}: {error.object!r:.60} can't be sent: {error.reason}"
            ) from None
        if len(packed) < _LARGE:  # a packer keeps the room that it needed
            self._packers.append(packer)
        return packed

    def unpack(self, data: bytes | memoryview) -> Any:
        """Return the message of bytes that `pack` returned.

        Raises ValueError for any other bytes, and for an object of a class that isn't registered
        here.
        """
        if type(data) is not bytes:
            data = bytes(data)
        try:
            if tags.MARK_START not in data:
                return untagged.read(self._quick, data)
            check_lengths(data)
            check_timestamps(data)
            return _Tagged(self._decoders).read(data)
        except Exception as error:
            if isinstance(error, ValueError) and str(error):
                raise
            raise ValueError(f"not a message: {type(error).__name__}: {error!s:.200}") from error

    def unpack_all(self, bodies: Sequence[bytes]) -> list[Any]:
        """Return the messages of many bodies; faster than `unpack` when none of them has a tag."""
        try:
            return untagged.read_all(self._quick, bodies)
        except Exception:  # noqa: BLE001 - a tag or an error: `unpack` finds out which
            return [self.unpack(body) for body in bodies]

    def unpack_run(self, body: bytes, count: int) -> list[Any]:
        """Return the messages of a run; raises ValueError if there are not exactly as many."""
        try:
            return untagged.read_run(self._quick, body, count)
        except Exception:  # noqa: BLE001 - as above
            return [self.unpack(each) for each in runs.messages(body, count)]

    def _encode(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        encoder = self._encoders.get(kind)
        if encoder is None:
            raise UnsendableError(value)
        return encoder(value)

    def _items(self, values: Any) -> Any:
        if _all_plain(map(type, values)):
            return values
        encoded = []
        for index, value in enumerate(values):
            try:
                encoded.append(self._encode(value))
            except UnsendableError as error:
                raise error.within(
                    f"[{index}]" if type(values) in (list, tuple) else "{…}"
                ) from None
        return encoded

    def _members(self, values: Any) -> Any:
        check_keys(values)
        return self._items(values)

    def _dict(self, value: dict[Any, Any]) -> Any:
        plain_keys = _all_plain(map(type, value))
        if plain_keys and _all_plain(map(type, value.values())):
            return value
        encoded = {}
        for key, item in value.items():
            try:
                encoded[key] = self._encode(item)
            except UnsendableError as error:
                raise error.within(f"[{key!r}]") from None
        if plain_keys:
            return encoded
        check_keys(value)
        flat: list[Any] = [MARK[tags.DICT]]
        for key, item in encoded.items():
            try:
                flat.append(self._encode(key))
            except UnsendableError as error:
                raise error.within(f" (key {key!r:.40})") from None
            flat.append(item)
        return flat

    def _find_unencodable(self, value: Any) -> str | None:
        """Return the path to the first text that is not valid Unicode, None if there is none."""
        kind = type(value)
        if kind is str:
            return None if value.isascii() or _is_encodable(value) else ""
        steps: Iterable[tuple[str, Any]] = ()
        if kind is dict:
            keys = ((f" (key {key!r:.40})", key) for key in value)
            steps = chain(keys, ((f"[{key!r:.40}]", item) for key, item in value.items()))
        elif kind in (list, tuple):
            steps = ((f"[{index}]", item) for index, item in enumerate(value))
        elif kind in (set, frozenset):
            steps = (("{…}", item) for item in value)
        elif kind in self._names:
            steps = [("", self._encoders[kind](value)[2])]
        for step, item in steps:
            if (path := self._find_unencodable(item)) is not None:
                return step + path
        return None

    def _class(self, value: Any, name: str, to_dict: Callable[[Any], dict[str, Any]]) -> Any:
        try:
            state = to_dict(value)
        except TypeError as error:
            raise UnsendableError(value, str(error)) from error
        if type(state) is not dict or "__class__" in state:
            raise UnsendableError(
                value, "its to_dict must return a dict without the key '__class__'"
            )
        return [MARK[tags.CLASS], name, self._encode(state)]

    def _object(self, items: list[Any]) -> Any:
        _, name, state = items
        if name in self._from_dict:
            return self._from_dict[name](state)
        if self._unknown is not None:
            return self._unknown(name, state)
        module = "numpy_codec" if str(name).startswith("numpy.") else "codec"
        raise ValueError(
            f"the class {name!r:.100} of an object in the message isn't registered here; call"
            f" pyro_events.{module}.register first"
        )


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(value: Any) -> bool:
    """Return whether msgpack carries the value, and all within it, unchanged."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str and type(key) not in _PLAIN:
                return False
            if type(item) not in _PLAIN and not _is_plain(item):
                return False
        return True
    if kind is list:
        return _all_plain(map(type, value)) or all(map(_is_plain, value))
    return kind in _PLAIN


def _big_int(value: Any) -> Any:
    """Encode the only value that msgpack itself refuses here: an int of more than 64 bits."""
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} was not encoded")
    size = value.bit_length() // 8 + 1
    return [MARK[tags.INT], value.to_bytes(size, "big", signed=True)]


def _checked_dict(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    check_keys([key for key, _ in pairs])
    return dict(pairs)


class _Tagged:
    """Reads one message with tags."""

    __slots__ = ("_decoders", "_open")

    def __init__(self, decoders: dict[int, Callable[[list[Any]], Any]]) -> None:
        self._decoders = decoders
        self._open = 0

    def read(self, data: bytes) -> Any:
        message = msgpack.unpackb(
            data,
            strict_map_key=False,
            ext_hook=self._tag,
            list_hook=self._list,
            object_pairs_hook=_checked_dict,
        )
        if self._open:
            raise ValueError("not a message: a tag without a value")
        return message

    def _tag(self, code: int, data: bytes) -> tags.Tag:
        if data or code not in tags.TAG:
            raise ValueError(f"not a message: extension type {code}")
        self._open += 1
        return tags.TAG[code]

    def _list(self, items: list[Any]) -> Any:
        if items and type(items[0]) is tags.Tag:
            self._open -= 1
            return self._decoders[items[0].code](items)
        return items


_default = Codec()

pack = _default.pack
unpack = _default.unpack
unpack_all = _default.unpack_all
unpack_run = _default.unpack_run
library = _default.name


def register(
    cls: type[T],
    name: str,
    to_dict: Callable[[T], dict[str, Any]],
    from_dict: Callable[[dict[str, Any]], T],
) -> None:
    """Register a class with the codec of this process; see `Codec.register`.

    Publishers and subscribers both have to register it; the event service need not know the class.
    It is registered with Pyro5's serializers, too, for callback subscribers and for bare proxies.
    Any thread may call it. Raises ValueError for a class that needs no registration and for a name
    that is taken or begins with `pyro_events.` or `Pyro5.`.
    """
    from Pyro5.serializers import SerializerBase, serializers  # noqa: PLC0415 - the codec itself needs no Pyro5

    if name.startswith(_RESERVED):
        raise ValueError(f"names like {name!r} are reserved")
    known_as = _default.name_of(cls)
    _default.register(cls, name, to_dict, from_dict)
    if known_as not in (None, name):
        SerializerBase.unregister_dict_to_class(known_as)
    # Some serializers have recreated nested objects before they call us, others leave it to us.
    recreate = serializers["serpent"].recreate_classes
    SerializerBase.register_class_to_dict(cls, lambda obj: {**to_dict(obj), "__class__": name})
    SerializerBase.register_dict_to_class(
        name,
        lambda _, state: from_dict(
            {key: recreate(value) for key, value in state.items() if key != "__class__"}
        ),
    )


def unregister(cls: type) -> None:
    """Remove the registration of a class; ValueError if there is none."""
    from Pyro5.serializers import SerializerBase  # noqa: PLC0415 - the same

    SerializerBase.unregister_dict_to_class(_default.unregister(cls))
    SerializerBase.unregister_class_to_dict(cls)
