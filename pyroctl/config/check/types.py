"""The types of single values, by the names that `core.spec` uses: what pydantic checks, strictly.

The description of each type is its name in the manual and in the JSON schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from pyroctl.config.check import validators
from pyroctl.config.source.diagnostics import LARGEST

if TYPE_CHECKING:
    from pyroctl.core.keys import Key

SMALLEST_MESSAGE = 1024
"""Bytes; the smallest limit that the event service accepts."""
LARGEST_RING = 1 << 30
"""Bytes; all of them are allocated."""
MOST_INSTANCES = 1000
SHORTEST_INTERVAL = 1
"""Seconds between runs of a task."""


def _described(text: str, **bounds: Any) -> Any:
    return Field(description=text, **bounds)


Text = Annotated[str, _described("string")]
Filled = Annotated[str, _described("string", min_length=1)]
File = Filled
Truth = Annotated[bool, BeforeValidator(validators.truth), _described("boolean")]

_Integer = Annotated[int, BeforeValidator(validators.integer), _described("integer")]
Positive = Annotated[_Integer, Field(ge=1, le=LARGEST)]
MessageSize = Annotated[_Integer, Field(ge=SMALLEST_MESSAGE, le=LARGEST)]
RingSize = Annotated[_Integer, Field(ge=SMALLEST_MESSAGE, le=LARGEST_RING)]
NotNegative = Annotated[_Integer, Field(ge=0, le=LARGEST)]
Port = Annotated[_Integer, Field(ge=0, le=validators.LAST_PORT)]
FixedPort = Annotated[_Integer, Field(ge=1, le=validators.LAST_PORT)]
Instances = Annotated[_Integer, Field(ge=1, le=MOST_INSTANCES)]
Niceness = Annotated[_Integer, Field(ge=-20, le=19)]
_ExitCode = Annotated[_Integer, Field(ge=0, le=255)]
_Limit = Annotated[_Integer, Field(ge=-1, le=LARGEST)]

_Number = Annotated[float, BeforeValidator(validators.number), Field(allow_inf_nan=False)]
Seconds = Annotated[_Number, _described("seconds", ge=0)]
Span = Annotated[_Number, _described("seconds", gt=0)]
Interval = Annotated[
    _Number,
    BeforeValidator(validators.interval),
    _described('seconds or string such as "1h"', ge=SHORTEST_INTERVAL),
]
Percent = Annotated[_Number, _described("percent", gt=0)]
Autoclean = Annotated[Seconds, AfterValidator(validators.autoclean)]

Name = Annotated[Text, AfterValidator(validators.name)]
Host = Annotated[Text, AfterValidator(validators.host)]
HostOrPath = Annotated[Text, AfterValidator(validators.host_or_path)]
Address = Annotated[Text, AfterValidator(validators.address)]
Listen = Annotated[Text, AfterValidator(validators.listen_address)]
Object = Annotated[Text, AfterValidator(validators.python_object)]
Storage = Annotated[Text, AfterValidator(validators.storage)]
SignalName = Annotated[Text, AfterValidator(validators.signal_name)]
Mode = Annotated[Text, AfterValidator(validators.mode)]
Umask = Annotated[Text, AfterValidator(validators.umask)]
Zone = Annotated[Text, AfterValidator(validators.time_zone)]
Regex = Annotated[Text, AfterValidator(validators.regex)]

WebUrl = Annotated[Text, AfterValidator(validators.web_url)]

Names = Annotated[list[Text], _described("list of strings")]
WebHosts = Annotated[
    list[Annotated[Text, AfterValidator(validators.host)]], _described("list of strings")
]
SubjectTemplates = Annotated[
    list[Annotated[Text, AfterValidator(validators.regex)]], _described("list of strings")
]
Roles = Annotated[
    dict[Filled, Literal["view", "operate", "configure"]], _described("table of roles")
]
Networks = Annotated[
    list[Annotated[Text, AfterValidator(validators.network)]],
    BeforeValidator(validators.one_or_more),
    _described("string or list of strings"),
]
Clients = Annotated[list[Filled], _described("list of strings", min_length=1)]
SubjectPatterns = Annotated[
    list[Annotated[Filled, AfterValidator(validators.subject_pattern)]],
    _described("list of strings"),
]
Rights = Annotated[list[Literal["callback", "subscriptions"]], _described("list of strings")]
AlertStates = Annotated[
    list[Annotated[Text, AfterValidator(validators.alert_state)]],
    _described("list of strings", min_length=1),
]
_Plain = Annotated[Any, AfterValidator(validators.plain)]
Values = Annotated[list[_Plain], _described("list of values")]
Keywords = Annotated[dict[str, _Plain], _described("table of values")]
Objects = Annotated[
    dict[Filled, Annotated[Text, AfterValidator(validators.class_or_factory)]],
    _described("table of strings"),
]
Value = Annotated[Any, AfterValidator(validators.plain), _described("any value")]
ExitCodes = Annotated[list[_ExitCode], _described("list of integers")]
Times = Annotated[
    list[Annotated[Text, AfterValidator(validators.time_of_day)]],
    BeforeValidator(validators.one_or_more),
    _described("string or list of strings"),
]
Files = Annotated[
    list[Filled],
    BeforeValidator(validators.one_or_more),
    _described("string or list of strings"),
]
Command = Annotated[
    list[Text],
    BeforeValidator(validators.words),
    AfterValidator(validators.program),
    _described("string or list of strings"),
]
Environment = Annotated[
    dict[Annotated[str, AfterValidator(validators.variable)], Text],
    _described("table of strings"),
]
Limits = Annotated[
    dict[Annotated[str, AfterValidator(validators.limit)], _Limit],
    _described("table of integers"),
]


def choice(literal: Any) -> Any:
    """Return the type of a value that is one of a few words."""
    *most, last = (f'"{word}"' for word in get_args(literal))
    described = _described(f"{', '.join(most)} or {last}")
    return Annotated[literal, BeforeValidator(validators.choice), described]


def type_of(key: Key) -> Any:
    """Return the type of the values of a declared key."""
    return choice(key.value) if key.type == "Choice" else globals()[key.type]
