"""Which attributes of an object the next process needs, and how they get there.

A class that takes part in a handover lists each of its attributes: in SNAPSHOT if the attribute is
carried, else in TRANSIENT, with the reason as a comment. A test compares the lists with the
attributes that the class sets.

Every `writer` here is a SnapshotWriter, and every `reader` a SnapshotReader. Their module does I/O,
and is not imported because some of the classes are pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


Names = tuple[str, ...]


class FieldCodec(NamedTuple):
    """How the value of an attribute becomes a plain value, and the other way round."""

    save: Callable[[Any, Any], Any]
    load: Callable[[Any, Any], Any] = lambda value, _: value


EVENTS = FieldCodec(lambda items, writer: writer.share(items), lambda it, reader: reader.shared(it))
"""A list of events, of which each may be in many lists."""
SOCKET = FieldCodec(lambda sock, writer: writer.descriptor(sock.fileno()))
"""For `init`."""


def plain(kind: Callable[[Any], Any]) -> FieldCodec:
    """Return the codec of a collection of plain values, which `kind` makes of a sequence."""
    return FieldCodec(lambda values, _: list(values), lambda values, _: kind(values))


def many(kind: Callable[[Any], Any], make: Callable[[], Any]) -> FieldCodec:
    """Return the codec of a collection of objects with snapshots, which `make` makes."""

    def restored(values: Any, reader: Any) -> Any:
        made = make()
        made.restore(values, reader)
        return made

    return FieldCodec(
        lambda objects, writer: [each.snapshot(writer) for each in objects],
        lambda values, reader: kind(restored(each, reader) for each in values),
    )


class Fields:
    """The attributes of a class that are carried.

    Values travel as they are, unless they have a codec. `parts` are objects with snapshots of their
    own, and are restored in place. What is in `init`, of either kind, is not set by `load`: the
    code that makes the object uses it.
    """

    def __init__(
        self, *plain: str, parts: Names = (), init: Names = (), **codecs: FieldCodec
    ) -> None:
        self._plain = plain
        self._parts = parts
        self._init = init
        self._codecs = codecs
        self._made = [name for name in init if name not in codecs]
        self._loaded = [(name, codec.load) for name, codec in codecs.items() if name not in init]

    @property
    def names(self) -> frozenset[str]:
        """The names of all of them."""
        return frozenset((*self._plain, *self._parts, *self._init, *self._codecs))

    def __or__(self, more: Fields) -> Fields:
        """Return these and more, for a subclass."""
        parts, init = (*self._parts, *more._parts), (*self._init, *more._init)
        codecs = self._codecs | more._codecs
        return Fields(*self._plain, *more._plain, parts=parts, init=init, **codecs)

    def save(self, owner: object, writer: Any) -> dict[str, Any]:
        """Return the values of the owner's attributes."""
        values = {name: getattr(owner, name) for name in self._plain}
        for name in self._parts:
            values[name] = getattr(owner, name).snapshot(writer)
        for name in self._made:
            value = getattr(owner, name)
            values[name] = value.snapshot(writer) if isinstance(value, Snapshotted) else value
        for name, codec in self._codecs.items():
            values[name] = codec.save(getattr(owner, name), writer)
        return values

    def load(self, owner: object, values: dict[str, Any], reader: Any) -> None:
        """Set the owner's attributes."""
        for name in self._plain:
            setattr(owner, name, values[name])
        for name in self._parts:
            getattr(owner, name).restore(values[name], reader)
        for name, load in self._loaded:
            setattr(owner, name, load(values[name], reader))


class Snapshotted:
    """Base of the classes that take part in a handover."""

    __slots__ = ()

    SNAPSHOT: ClassVar[Fields]
    TRANSIENT: ClassVar[Names] = ()
    HANDOVER_ONLY: ClassVar[frozenset[str]] = frozenset()
    """What SNAPSHOT has, and a planned restart leaves behind."""

    def snapshot(self, writer: Any) -> Any:
        """Return what the next process has to know; this object is not changed."""
        return self.SNAPSHOT.save(self, writer)

    def restore(self, values: Any, reader: Any) -> None:
        """Continue, when the loop runs, where another process has stopped."""
        self.SNAPSHOT.load(self, values, reader)
