"""The types of single values in the configuration, each with the words that describe it.

Strict: `"9090"` is no port and `1` no truth value. The one exception is a string that is nothing
but one `${…}`: the environment knows only text, so it is read as what is wanted there.
"""

from __future__ import annotations

import re
import resource
import shlex
import signal
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pyroctl.config.source.interpolation import Expanded
from pyroctl.core.spec import (
    LogStreams,
    OnFailure,
    OnNeeds,
    OnRestart,
    Orphans,
    RestartPolicy,
    Serializer,
    ServerType,
    WhenFull,
)
from pyroctl.suggestions import nearest_name

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

LARGEST = 2**63 - 1
LAST_PORT = 65535
SHORTEST_AUTOCLEAN = 3
"""Seconds; what Pyro5's name server accepts (`AutoCleaner.min_autoclean_value`)."""
UNIX = "./u:"
"""What a host begins with that is the path of a Unix socket; Pyro5's notation."""
SMALLEST_MESSAGE = 1024
"""Bytes; what the event service accepts as a limit."""
MOST_INSTANCES = 1000
NAME_HINT = "letters, digits, '.', '_' and '-', the first a letter or digit, at most 64 in all"

_SHOWN = 40
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_OBJECT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?")
_SIGNALS = tuple(s.name.removeprefix("SIG") for s in signal.Signals)
_LIMITS = tuple(
    name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")
)


@dataclass(frozen=True, slots=True)
class Words:
    """What a type is called in the manual, in messages and in the JSON schema."""

    text: str

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core_schema), "description": self.text}


def refuse(message: str, hint: str | None = None) -> PydanticCustomError:
    """Make the error by which a validator says what is wrong and what to do about it."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def show(value: Any) -> str:
    """Describe a wrong value to the one who wrote it."""
    match value:
        case str():
            return f'the string "{value if len(value) <= _SHOWN else value[:_SHOWN] + "…"}"'
        case bool() | int() | float():
            return show_number(value)
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def show_number(value: float) -> str:
    """Write a number, even one that Python refuses to print."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return (
            str(value)
            if abs(value) <= LARGEST
            else f"about {'-' * (value < 0)}2**{value.bit_length()}"
        )
    return f"{value:g}"


def is_name(text: str) -> bool:
    """Tell whether a service or a deployment may have that name."""
    return _NAME.fullmatch(text) is not None


def _integer(value: Any) -> Any:
    if not isinstance(value, Expanded):
        return value
    if re.fullmatch(r"[+-]?[0-9]{1,19}", value, re.ASCII):
        return int(value)
    raise refuse(f'expected an integer, got "{value}" from {value.source}')


def _number(value: Any) -> Any:
    if not isinstance(value, Expanded):
        return value
    try:
        return float(value)
    except ValueError:
        raise refuse(f'expected a number, got "{value}" from {value.source}') from None


def _truth(value: Any) -> Any:
    if not isinstance(value, Expanded):
        return value
    if value in {"true", "false"}:
        return value == "true"
    raise refuse(f'expected true or false, got "{value}" from {value.source}')


def _name(value: str) -> str:
    if not is_name(value):
        raise refuse(f'"{value}" can\'t be a name', NAME_HINT)
    return value


def _host(value: str) -> str:
    if not value or re.search(r"[\s/]", value):
        raise refuse(f'"{value}" is no host name or address')
    return value


def _host_or_path(value: str) -> str:
    if not value.startswith(UNIX):
        return _host(value)
    path = value.removeprefix(UNIX)
    if not path or ":" in path:
        raise refuse(f'"{value}" is no Unix socket', 'such as "./u:es.sock"; no colon in the path')
    return value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port[:6]) <= LAST_PORT:
        raise refuse(f'"{value}" is no HOST:PORT', 'such as "localhost:9090" or "[::1]:9090"')
    return f"{_host(host)}:{int(port)}"


def _object(value: str) -> str:
    if not _OBJECT.fullmatch(value):
        raise refuse(
            f'"{value}" is no object', 'such as "module:Class", or "module:factory()" to call it'
        )
    return value


def _storage(value: str) -> str:
    if value != "memory" and not (value.startswith("sql:") and value != "sql:"):
        raise refuse(f'expected "memory" or "sql:FILE", got "{value}"')
    return value


def _autoclean(value: float) -> float:
    if 0 < value < SHORTEST_AUTOCLEAN:
        raise refuse(
            f"must be at least {SHORTEST_AUTOCLEAN} seconds, or 0 for never, got {value:g}"
        )
    return value


def _signal(value: str) -> str:
    name = value.upper().removeprefix("SIG")
    if name not in _SIGNALS:
        nearest = nearest_name(name, _SIGNALS)
        raise refuse(
            f'no signal is called "{value}"', f'did you mean "{nearest}"?' if nearest else None
        )
    return name


def _umask(value: str) -> str:
    if not re.fullmatch(r"0?[0-7]{3}", value, re.ASCII):
        raise refuse(f'"{value}" is no umask', 'three or four octal digits: "0027"')
    return value


def _mode(value: str) -> str:
    if not re.fullmatch(r"0?[0-7]{3}", value, re.ASCII):
        raise refuse(f'"{value}" are no permissions', 'three or four octal digits: "0660"')
    return value


def _limit(name: str) -> str:
    if name not in _LIMITS:
        nearest = nearest_name(name, _LIMITS)
        hint = f"did you mean {nearest}?" if nearest else f"known: {', '.join(sorted(_LIMITS))}"
        raise refuse(f'no limit is called "{name}"', hint)
    return name


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise refuse(
            "can't be the name of an environment variable",
            "letters, digits and '_', not a digit first",
        )
    return name


def _regex(pattern: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise refuse(f"is no regular expression: {error}") from None
    return pattern


def _command(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        reason = str(error)
        raise refuse(f"can't be split into words: {reason[:1].lower()}{reason[1:]}") from None


def _program(value: list[str]) -> list[str]:
    if not value or not value[0]:
        raise refuse("must not be empty: the first word is the program to run")
    return value


def _choice(value: Any) -> Any:
    return str(value) if isinstance(value, Expanded) else value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _choices(literal: Any) -> str:
    *most, last = (f'"{choice}"' for choice in get_args(literal))
    return f"{', '.join(most)} or {last}"


Text = Annotated[str, Words("string")]
Filled = Annotated[str, Field(min_length=1), Words("string")]
Truth = Annotated[bool, BeforeValidator(_truth), Words("boolean")]

_Integer = Annotated[int, BeforeValidator(_integer), Words("integer")]
Positive = Annotated[_Integer, Field(ge=1, le=LARGEST)]
MessageSize = Annotated[_Integer, Field(ge=SMALLEST_MESSAGE, le=LARGEST)]
NotNegative = Annotated[_Integer, Field(ge=0, le=LARGEST)]
Port = Annotated[_Integer, Field(ge=0, le=LAST_PORT)]
Instances = Annotated[_Integer, Field(ge=1, le=MOST_INSTANCES)]
FixedPort = Annotated[_Integer, Field(ge=1, le=LAST_PORT)]
Niceness = Annotated[_Integer, Field(ge=-20, le=19)]
ExitCode = Annotated[_Integer, Field(ge=0, le=255)]

Seconds = Annotated[
    float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False), Words("seconds")
]
Span = Annotated[
    float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False), Words("seconds")
]
Percent = Annotated[
    float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False), Words("percent")
]
Autoclean = Annotated[Seconds, AfterValidator(_autoclean)]

Name = Annotated[str, AfterValidator(_name), Words("string")]
Host = Annotated[str, AfterValidator(_host), Words("string")]
HostOrPath = Annotated[str, AfterValidator(_host_or_path), Words("string")]
Address = Annotated[str, AfterValidator(_address), Words("string")]
Object = Annotated[str, AfterValidator(_object), Words("string")]
Storage = Annotated[str, AfterValidator(_storage), Words("string")]
SignalName = Annotated[str, AfterValidator(_signal), Words("string")]
Mode = Annotated[str, AfterValidator(_mode), Words("string")]
Umask = Annotated[str, AfterValidator(_umask), Words("string")]
Regex = Annotated[str, AfterValidator(_regex), Words("string")]

Names = Annotated[list[Text], Words("list of strings")]
ExitCodes = Annotated[list[ExitCode], Words("list of integers")]
Files = Annotated[list[Filled], BeforeValidator(_one_or_more), Words("string or list of strings")]
Command = Annotated[
    list[Text],
    BeforeValidator(_command),
    AfterValidator(_program),
    Words("string or list of strings"),
]
Environment = Annotated[
    dict[Annotated[str, AfterValidator(_variable)], Text], Words("table of strings")
]
Limits = Annotated[
    dict[Annotated[str, AfterValidator(_limit)], Annotated[_Integer, Field(ge=-1, le=LARGEST)]],
    Words("table of integers"),
]
Restart = Annotated[RestartPolicy, BeforeValidator(_choice), Words(_choices(RestartPolicy))]
NeedsPolicy = Annotated[OnNeeds, BeforeValidator(_choice), Words(_choices(OnNeeds))]
FailurePolicy = Annotated[OnFailure, BeforeValidator(_choice), Words(_choices(OnFailure))]
Restarting = Annotated[OnRestart, BeforeValidator(_choice), Words(_choices(OnRestart))]
Full = Annotated[WhenFull, BeforeValidator(_choice), Words(_choices(WhenFull))]
Streams = Annotated[LogStreams, BeforeValidator(_choice), Words(_choices(LogStreams))]
ServerKind = Annotated[ServerType, BeforeValidator(_choice), Words(_choices(ServerType))]
SerializerName = Annotated[Serializer, BeforeValidator(_choice), Words(_choices(Serializer))]
OrphansPolicy = Annotated[Orphans, BeforeValidator(_choice), Words(_choices(Orphans))]
