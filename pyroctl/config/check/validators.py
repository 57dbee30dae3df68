"""What single values must look like: each function returns a value in order, or refuses it.

A string that is nothing but one `${…}` is an exception to strict types: the environment knows only
text, so it is converted to the type that is expected.
"""

from __future__ import annotations

import re
import resource
import shlex
import signal
import warnings
from ipaddress import ip_network
from typing import Any

from pydantic_core import PydanticCustomError

from pyroctl.config.check.foreign import duration_hint, size_hint
from pyroctl.config.source.interpolation import Expanded
from pyroctl.core.key_types import UNIX
from pyroctl.suggestions import nearest_name

LAST_PORT = 65535
SHORTEST_AUTOCLEAN = 3
"""Seconds; the minimum of Pyro5's name server (`AutoCleaner.min_autoclean_value`)."""
NAME_HINT = "letters, digits, '.', '_' and '-', the first a letter or digit, at most 64 in all"
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
OCTAL_HINT = 'three or four octal digits, such as "{}"'
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_OCTAL = re.compile(r"0?[0-7]{3}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OBJECT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?")
_SIGNALS = tuple(s.name.removeprefix("SIG") for s in signal.Signals)
_LIMITS = tuple(
    name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")
)


def refuse(message: str, hint: str | None = None) -> PydanticCustomError:
    """Return the error with which a validator refuses a value."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def is_name(text: str) -> bool:
    """Return whether a service or a deployment may have this name."""
    return _NAME.fullmatch(text) is not None


def integer(value: Any) -> Any:
    """Convert an expanded reference."""
    if not isinstance(value, Expanded):
        return value
    if re.fullmatch(r"[+-]?[0-9]{1,19}", value, re.ASCII):
        return int(value)
    raise refuse(f'expected an integer, got "{value}" from {value.source}', size_hint(value))


def number(value: Any) -> Any:
    """Convert an expanded reference."""
    if not isinstance(value, Expanded):
        return value
    try:
        return float(value)
    except ValueError:
        message = f'expected a number, got "{value}" from {value.source}'
        raise refuse(message, duration_hint(value)) from None


def truth(value: Any) -> Any:
    """Convert an expanded reference."""
    if not isinstance(value, Expanded):
        return value
    if value in {"true", "false"}:
        return value == "true"
    raise refuse(f'expected true or false, got "{value}" from {value.source}')


def choice(value: Any) -> Any:
    """Convert an expanded reference to plain text, which is all that a Literal matches."""
    return str(value) if isinstance(value, Expanded) else value


def name(value: str) -> str:
    """Check the name of a deployment."""
    if not is_name(value):
        raise refuse(f'"{value}" is not a valid name', NAME_HINT)
    return value


def host(value: str) -> str:
    """Check a host name or address."""
    if not value or re.search(r"[\s/]", value):
        raise refuse(f'"{value}" is not a host name or address')
    return value


def web_url(value: str) -> str:
    """Check the address of a page."""
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise refuse(
            f'"{value}" is not the address of a page', 'such as "https://lab.example/pyro/"'
        )
    return value


def host_or_path(value: str) -> str:
    """Check a host, or `./u:` and the path of a Unix socket."""
    if not value.startswith(UNIX):
        return host(value)
    path = value.removeprefix(UNIX)
    if not path or ":" in path:
        hint = 'such as "./u:es.sock"; the path can\'t contain a colon'
        raise refuse(f'"{value}" is not a Unix socket', hint)
    return value


def listen_address(value: str) -> str:
    """Check HOST:PORT, where the port may be 0."""
    return address(value, lowest=0)


def address(value: str, *, lowest: int = 1) -> str:
    """Check HOST:PORT."""
    before, _, port = value.rpartition(":")
    if not before or not port.isdecimal() or not lowest <= int(port[:6]) <= LAST_PORT:
        hint = 'such as "localhost:9090" or "[::1]:9090"'
        raise refuse(f'"{value}" is not a HOST:PORT address', hint)
    return f"{host(before)}:{int(port)}"


def network(value: str) -> str:
    """Check an address or a network."""
    try:
        ip_network(value)
    except ValueError:
        hint = 'such as "10.0.0.7" or "10.0.0.0/24"'
        raise refuse(f'"{value}" is neither an address nor a network', hint) from None
    return value


def python_object(value: str) -> str:
    """Check what an object is loaded from."""
    if not _OBJECT.fullmatch(value):
        hint = 'such as "module:Class", or "module:factory()" to call it'
        raise refuse(f'"{value}" is not a MODULE:OBJECT reference', hint)
    return value


def storage(value: str) -> str:
    """Check where a name server stores its names."""
    if value != "memory" and not (value.startswith("sql:") and value != "sql:"):
        raise refuse(f'expected "memory" or "sql:FILE", got "{value}"')
    return value


def autoclean(value: float) -> float:
    """Check the interval of a name server's cleaner."""
    if 0 < value < SHORTEST_AUTOCLEAN:
        bounds = f"at least {SHORTEST_AUTOCLEAN} seconds, or 0 for never"
        raise refuse(f"must be {bounds}, got {value:g}")
    return value


def signal_name(value: str) -> str:
    """Return the name of a signal without SIG."""
    found = value.upper().removeprefix("SIG")
    if found not in _SIGNALS:
        nearest = nearest_name(found, _SIGNALS)
        hint = f'did you mean "{nearest}"?' if nearest else None
        raise refuse(f'there is no signal "{value}"', hint)
    return found


def umask(value: str) -> str:
    """Check a file mode creation mask."""
    if not _OCTAL.fullmatch(value):
        raise refuse(f'"{value}" is not a umask', OCTAL_HINT.format("0027"))
    return value


def mode(value: str) -> str:
    """Check the permissions of a file."""
    if not _OCTAL.fullmatch(value):
        raise refuse(f'"{value}" is not a file mode', OCTAL_HINT.format("0660"))
    return value


def limit(value: str) -> str:
    """Check the name of a resource limit."""
    if value not in _LIMITS:
        nearest = nearest_name(value, _LIMITS)
        hint = f"did you mean {nearest}?" if nearest else f"known: {', '.join(sorted(_LIMITS))}"
        raise refuse(f'there is no limit "{value}"', hint)
    return value


def variable(value: str) -> str:
    """Check the name of an environment variable."""
    if not _VARIABLE.fullmatch(value):
        hint = "letters, digits and '_', not a digit first"
        raise refuse("is not a valid name for an environment variable", hint)
    return value


def regex(value: str) -> str:
    """Check a regular expression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(value)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise refuse(f"is not a regular expression: {error}") from None
    return value


def subject_pattern(value: str) -> str:
    """Check a pattern of subjects, in which {client} stands for the client's name."""
    regex(value.replace("{client}", "x"))
    return value


def words(value: Any) -> Any:
    """Split a string into words as a shell does."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        reason = str(error)
        raise refuse(f"can't be split into words: {reason[:1].lower()}{reason[1:]}") from None


def program(value: list[str]) -> list[str]:
    """Check that a command names a program."""
    if not value or not value[0]:
        raise refuse("must not be empty: the first word is the program to run")
    return value


def one_or_more(value: Any) -> Any:
    """Return a list, also for a single string."""
    return [value] if isinstance(value, str) else value
