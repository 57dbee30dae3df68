"""What a type checker accepts of the codecs; run by `make check`."""

from __future__ import annotations

from typing import Any, NamedTuple, assert_type

from pyro_events import codec, numpy_codec
from pyro_events.signed_pickle import BadSignature, SignedPickle


class Point(NamedTuple):
    """A class of a program."""

    x: int


def to_dict(point: Point) -> dict[str, Any]:
    """Return what travels."""
    return {"x": point.x}


def from_dict(state: dict[str, Any]) -> Point:
    """Return what has travelled."""
    return Point(state["x"])


def register() -> None:
    """Both functions are for the class that is registered."""
    codec.register(Point, "Point", to_dict, from_dict)
    codec.register(int, "Point", to_dict, from_dict)  # type: ignore[arg-type]
    codec.unregister(Point)
    numpy_codec.register()


def sign(key: bytes) -> None:
    """Bytes for a message, and any object back."""
    box = SignedPickle(key)
    assert_type(box.dumps(object()), bytes)
    try:
        assert_type(box.loads(b""), Any)
    except BadSignature as error:
        assert_type(error.args, tuple[Any, ...])
