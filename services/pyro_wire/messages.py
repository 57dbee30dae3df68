"""The client's half of Pyro5's protocol: handshake and calls as frames. No I/O.

CONNECT carries `{"handshake": …, "object": ID}`; the daemon answers CONNECTOK with a dict that has
its own `"handshake"`, or CONNECTFAIL with a text (Pyro5/server.py, Daemon._handshake). INVOKE
carries object, method and arguments; RESULT the value or, flagged, the exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from Pyro5.errors import PyroError
from Pyro5.serializers import serializers_by_id

from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ConnectRefused(PyroError):  # type: ignore[misc] # Pyro5 ships no types
    """The daemon refused the handshake; the text is its reason."""

    @property
    def object_unknown(self) -> bool:
        """Whether the daemon does not have the object, as Pyro5's daemons word it."""
        return "unknown object" in str(self)


class UnexpectedAnswer(PyroError):  # type: ignore[misc] # Pyro5 ships no types
    """A Pyro frame that is not an answer to the request."""


def encode_connect(object_id: str, handshake: object, serializer: int = framing.SERPENT) -> bytes:
    """Encode the handshake with the daemon of an object."""
    data = serializers_by_id[serializer].dumps({"handshake": handshake, "object": object_id})
    return framing.encode_frame(framing.CONNECT, serializer, 0, 0, data)


def decode_connect(frame: framing.Frame) -> Any:
    """Return the daemon's side of the handshake. Raises ConnectRefused or UnexpectedAnswer."""
    return decode_welcome(frame).get("handshake")


def decode_welcome(frame: framing.Frame) -> dict[str, Any]:
    """Return the whole answer, with `meta` about the object; raises as `decode_connect`."""
    if frame.type == framing.CONNECTFAIL:
        raise ConnectRefused(_reason(frame))
    answer = _loads(frame)
    if frame.type != framing.CONNECTOK or not isinstance(answer, dict):
        raise UnexpectedAnswer("answered the handshake with something else")
    return answer


def encode_call(
    object_id: str, method: str, args: Sequence[object], kwargs: Mapping[str, object]
) -> bytes:
    """Encode a call in serpent, the serializer that every Pyro5 daemon has."""
    data = serializers_by_id[framing.SERPENT].dumpsCall(object_id, method, args, kwargs)
    return framing.encode_frame(framing.INVOKE, framing.SERPENT, 0, 0, data)


def decode_result(frame: framing.Frame) -> Any:
    """Return what a call returned. Raises what it raised, as a PyroError, or UnexpectedAnswer."""
    if frame.type != framing.RESULT:
        raise UnexpectedAnswer("answered a call with something else")
    result = _loads(frame)
    if frame.flags & framing.EXCEPTION:
        raise result if isinstance(result, PyroError) else PyroError(str(result))
    return result


def _reason(frame: framing.Frame) -> str:
    """Return why the daemon refuses.

    Before it knows the client's serializer, it answers in marshal (Daemon._handshake): a string is
    a byte of type, a length of one byte or four, and the text (CPython, Python/marshal.c).
    """
    if frame.serializer != framing.MARSHAL:
        return str(_loads(frame))
    short = frame.data[:1] in {b"z", b"Z", b"\xfa", b"\xda"}
    return frame.data[2 if short else 5 :].decode(errors="replace")


def _loads(frame: framing.Frame) -> Any:
    if frame.serializer == framing.MARSHAL:  # a stranger could crash the interpreter
        raise UnexpectedAnswer("answered in marshal")
    try:
        return serializers_by_id[frame.serializer].loads(frame.data)
    except Exception as error:
        raise UnexpectedAnswer(f"answered with garbage: {error}") from error
