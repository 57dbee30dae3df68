"""Arrays and scalars of numpy as messages, for programs that register them at both ends.

An array travels as its dtype, shape, order and bytes. Arrays of Python objects are refused when
published, and no message makes numpy read a pointer or allocate more than it has received.
Subclasses (matrix, recarray, masked arrays) are refused, and metadata of a dtype is not sent.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any, Final

import serpent

try:
    import numpy as np
except ImportError as error:
    raise ImportError(
        "pyro_events.numpy_codec needs numpy: pip install 'pyroctl[numpy]'"
    ) from error

from pyro_events import codec

__all__ = ["register", "unregister"]

_PLAIN_DTYPE: Final = re.compile(r"[<>|][biufcSUV]\d{1,9}|[<>][mM]8(\[\d{0,9}\w{1,7}\])?")

_MAX_DIMENSIONS: Final = 64
_MAX_EMPTY: Final = 1 << 16
"""Elements of size 0, such as those of a structure without fields, come without any bytes."""


def register() -> None:
    """Register numpy's arrays and scalars, in publishers and in subscribers; twice does no harm.

    The event service need not have numpy. Any thread may call it.
    """
    codec.register(np.ndarray, "numpy.ndarray", _from_array, _to_array)
    codec.register(np.str_, "numpy.str", _from_str, _to_str)
    codec.register(np.bytes_, "numpy.bytes", _from_bytes, _to_bytes)
    for char, kind in _scalars().items():
        codec.register(kind, f"numpy.scalar.{char}", _from_array, partial(_to_scalar, char))


def unregister() -> None:
    """Remove the registrations of `register`; ValueError if that wasn't called."""
    kinds: list[type] = [np.ndarray, np.str_, np.bytes_, *_scalars().values()]
    for kind in kinds:
        codec.unregister(kind)


def _scalars() -> dict[str, type[np.generic]]:
    """Return the types of scalars, except for texts, by numpy's letters for them."""
    return {char: np.dtype(char).type for char in "?bhilqBHILQefdgFDGVMm"}


def _from_array(value: np.ndarray[Any, Any] | np.generic) -> dict[str, Any]:
    array = np.asarray(value)
    columns = array.flags.f_contiguous and not array.flags.c_contiguous
    return {
        "dtype": _describe(array.dtype),
        "shape": list(array.shape),
        "order": "F" if columns else "C",
        "data": array.tobytes("F" if columns else "C"),
    }


def _to_array(state: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype, shape, data = _dtype(state["dtype"]), _shape(state["shape"]), _plain(state["data"])
    elements = math.prod(shape)
    if elements * dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes are not an array of that shape and dtype")
    if not dtype.itemsize and elements > _MAX_EMPTY:
        raise ValueError("an array has too many elements of size 0")
    return np.ndarray(shape, dtype, bytearray(data), order="F" if state["order"] == "F" else "C")


def _shape(given: Any) -> tuple[int, ...]:
    if len(given) > _MAX_DIMENSIONS or not all(
        type(length) is int and 0 <= length < 1 << 63 for length in given
    ):
        raise ValueError("invalid shape of an array")
    return tuple(given)


def _to_scalar(char: str, state: dict[str, Any]) -> Any:
    array = _to_array(state)
    if array.dtype == np.dtype(char):  # long and long long may be two types of the same size
        array = array.view(char)
    return array[()]


def _from_str(value: np.str_) -> dict[str, Any]:
    # str(value) would lose zeros at the end; half a surrogate pair is a character to numpy.
    return {"data": str.__str__(value).encode("utf-8", "surrogatepass")}


def _to_str(state: dict[str, Any]) -> np.str_:
    return np.str_(_plain(state["data"]).decode("utf-8", "surrogatepass"))


def _from_bytes(value: np.bytes_) -> dict[str, Any]:
    return {"data": bytes(value)}


def _to_bytes(state: dict[str, Any]) -> np.bytes_:
    return np.bytes_(_plain(state["data"]))


def _plain(data: Any) -> bytes:
    """Return the bytes; serpent, with which some subscribers are called, makes a dict of them."""
    return bytes(serpent.tobytes(data)) if isinstance(data, dict) else memoryview(data).tobytes()


def _describe(dtype: np.dtype[Any]) -> Any:
    """Return a dtype as text or, if it has fields or a shape, as a dict; raises TypeError."""
    if dtype.hasobject:
        raise TypeError(f"the dtype {dtype} holds Python objects")
    description = _parts(dtype)
    try:
        same = _dtype(description) == dtype
    except ValueError:
        same = False
    if not same:
        raise TypeError(f"the dtype {dtype} is not one of numpy's own")
    return description


def _parts(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": _parts(base), "shape": list(shape)}
    if dtype.fields is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names or ()]
    return {
        "names": list(dtype.names or ()),
        "formats": [_parts(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "titles": [field[2] if len(field) > 2 else None for field in fields],  # noqa: PLR2004 - a title is optional
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _dtype(parts: Any) -> np.dtype[Any]:
    """Return the dtype that `_parts` described; ValueError for any other description."""
    if isinstance(parts, str):
        if not _PLAIN_DTYPE.fullmatch(parts):
            raise ValueError(f"{parts!r:.50} is not a dtype that can be sent")
        return np.dtype(parts)
    if "base" in parts:
        return np.dtype((_dtype(parts["base"]), _shape(parts["shape"])))
    fields = {key: list(parts[key]) for key in ("names", "offsets", "titles")}
    fields["formats"] = [_dtype(field) for field in parts["formats"]]
    return np.dtype({**fields, "itemsize": parts["itemsize"]}, align=bool(parts["aligned"]))  # type: ignore[call-overload,no-any-return] # numpy's types know no titles
