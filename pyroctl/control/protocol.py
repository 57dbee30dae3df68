"""The control protocol, without any I/O: JSON lines, one request per connection.

The client sends one request, `{"pyroctl": 1, "do": "start", "args": {…}}`. The manager answers
with any number of `{"event": …}` lines (progress, and "alive" once a second during an operation,
so that a client can distinguish slow from frozen) and then one `{"reply": {…}}` with `data`,
`errors` and `exit_code` as in the JSON envelope.

`watch` has no reply: its events are `{"kind": "snapshot", "seq": N, "missed": M, "clock": S,
"data": …}`, then `{"kind": "delta", "seq": N + 1, "clock": S, …}` (`pyroctl.core.changes`) and, if
the request has an `interval` in seconds, `{"kind": "sample", "data": …}` with what `measure`
returns. `pyroctl.view.picture` follows them.
"""

from __future__ import annotations

import json
from typing import Any

from pyroctl.errors import PyroctlError

VERSION = 1
MAX_LINE = 1 << 20
"""Maximum bytes in a line; longer ones are rejected before they are parsed."""
ALIVE_INTERVAL = 1.0
"""Seconds between signs of life during an operation."""

Message = dict[str, Any]


class MalformedMessage(PyroctlError):
    """The other end does not follow the protocol."""

    code = "protocol"


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise MalformedMessage(
            f"a message of {len(line)} bytes is too long for the control channel"
        )
    return line


class Decoder:
    """Splits a byte stream into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Message]:
        """Add bytes and return the messages that are complete; raises ProtocolError."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if max(map(len, (*lines, self._buffer))) > MAX_LINE:
            raise MalformedMessage(f"a line longer than {MAX_LINE} bytes")
        return [parse_line(line) for line in lines]


def parse_line(line: bytes) -> Message:
    """Return the message in a line; raises MalformedMessage."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedMessage("a line is not JSON") from None
    if not isinstance(message, dict):
        raise MalformedMessage("a line is not a JSON object")
    return message


def request(do: str, args: Message) -> Message:
    """Return a request."""
    return {"pyroctl": VERSION, "do": do, "args": args}


def check_request(message: Message) -> tuple[str, Message]:
    """Return the verb and the arguments of a request; raises ProtocolError if it is invalid."""
    version, do, args = message.get("pyroctl"), message.get("do"), message.get("args", {})
    if version != VERSION:
        raise MalformedMessage(
            f"the manager has control protocol version {VERSION}, the command {version}",
            hint="restart the manager: pyroctl shutdown, then pyroctl start",
        )
    if not isinstance(do, str) or not isinstance(args, dict):
        raise MalformedMessage("a request without 'do' or with bad 'args'")
    return do, args
