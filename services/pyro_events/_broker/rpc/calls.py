"""Requests and answers of stock Pyro5 clients, in all of its serializers.

Pyro5's own serializers are used, so that a stock proxy gets the objects and the exceptions that it
would get from a stock daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from Pyro5 import core, errors
from Pyro5.serializers import all_exceptions, serializers_by_id

from pyro_events._protocol.decode_limits import LimitReached, check_handshake, check_request
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyro_wire.framing import Frame


Call = tuple[str, "Sequence[Any]", dict[str, Any]]
"""A method, its arguments, its keyword arguments."""


def serializer_of(number: int, *, trusted: bool) -> Any:
    """Return Pyro5's serializer of that number; raises an error for the client otherwise."""
    if number == framing.MARSHAL and not trusted:
        raise LimitReached(
            "trusted",
            "marshal is not accepted from clients; use the serializer serpent, json or msgpack",
        )
    serializer = serializers_by_id.get(number)
    if serializer is None:
        raise errors.ProtocolError(f"there is no serializer number {number}")
    return serializer


def decode_connect(frame: Frame, *, trusted: bool) -> tuple[object, str]:
    """Return the handshake data and the wanted object of a CONNECT frame; may raise anything."""
    serializer = serializer_of(frame.serializer, trusted=trusted)
    check_handshake(frame.serializer, frame.data)
    data = serializer.loads(frame.data)
    if not isinstance(data, dict) or not isinstance(data.get("object"), str):
        raise errors.ProtocolError("the handshake names no object")
    return data.get("handshake"), data["object"]


def decode_request(frame: Frame, *, trusted: bool, max_message_size: int) -> tuple[str, list[Call]]:
    """Return the object id and the calls of an INVOKE frame: one call, or any number in a batch.

    Raises any exception for an invalid request; it is sent to the client.
    """
    if frame.flags & framing.KEEPSERIALIZED:
        raise errors.SerializeError("a SerializedBlob can't be published; pass the message itself")
    serializer = serializer_of(frame.serializer, trusted=trusted)
    check_request(frame.serializer, frame.data, max_message_size)
    object_id, method, args, kwargs = serializer.loadsCall(frame.data)
    if frame.flags & framing.BATCH:
        return object_id, [_checked(*call) for call in args]
    return object_id, [_checked(method, args, kwargs)]


def _checked(method: Any, args: Any, kwargs: Any) -> Call:
    if not isinstance(method, str) or not isinstance(args, (list, tuple)):
        raise errors.ProtocolError("the request is not a method call")
    if not isinstance(kwargs or {}, dict):
        raise errors.ProtocolError("the keyword arguments are not a dict")
    return method, args, kwargs or {}


def encode_result(request: Frame, value: object) -> bytes:
    """Encode the answer to a request; a value that can't be encoded becomes an exception."""
    try:
        data = serializers_by_id[request.serializer].dumps(value)
    except Exception as error:  # noqa: BLE001 - it is sent to the client, whatever it is
        return encode_exception(request, error)
    return framing.encode_frame(
        framing.RESULT, request.serializer, request.flags & framing.BATCH, request.seq, data
    )


def encode_exception(request: Frame, error: Exception) -> bytes:
    """Encode the exception that a request ended with, so that a stock proxy raises it."""
    serializer = serializers_by_id.get(request.serializer, serializers_by_id[framing.SERPENT])
    try:
        data = serializer.dumps(portable(error))
    except Exception:  # noqa: BLE001 - this serializer may not take its arguments; it takes its text
        data = serializer.dumps(errors.PyroError(describe(error)))
    return framing.encode_frame(
        framing.RESULT, serializer.serializer_id, framing.EXCEPTION, request.seq, data
    )


def wrap_exception(error: Exception) -> object:
    """Return what stands for an exception in the results of a batch."""
    return core._ExceptionWrapper(portable(error))  # noqa: SLF001 - it is part of the protocol


def encode_connect(request: Frame, kind: int, value: object) -> bytes:
    """Encode the answer to a CONNECT: CONNECTOK with its dict, or CONNECTFAIL with a text."""
    serializer = serializers_by_id.get(request.serializer, serializers_by_id[framing.SERPENT])
    data = serializer.dumps(value)
    return framing.encode_frame(kind, serializer.serializer_id, 0, request.seq, data)


def portable(error: Exception) -> Exception:
    """Return the error itself if every Pyro5 client knows its class, else one with its text."""
    if type(error) in all_exceptions.values():
        return error
    if isinstance(error, ValueError):
        return ValueError(str(error))
    if isinstance(error, PermissionError):
        return PermissionError(str(error))
    substitute: Exception = errors.PyroError(describe(error))
    return substitute


def describe(error: BaseException) -> str:
    """Return the class and the text of an exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
