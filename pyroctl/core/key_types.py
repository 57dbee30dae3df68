"""The types of the configuration's keys, by the names that `config.check.types` knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar


class TypeName(str):
    """The name of a key's type; `config.check.types` and `.models` have its checks."""

    __slots__ = ()


class Flag(str):
    """A key's option on the command line of the service, if it isn't the key itself; "": none."""

    __slots__ = ()


LIVE = "live"
NO_FLAG = Flag()
UNIX = "./u:"
"""What a host begins with that is the path of a Unix socket; Pyro5's notation."""
PYTHON_NAMES = frozenset({"python", "python3"})
"""Commands that mean the interpreter that runs the manager."""
_T = TypeVar("_T")

Live = Annotated[_T, LIVE]
"""A key that takes effect in a running service, because only the manager acts on it."""

Truth = Annotated[bool, TypeName("Truth")]
Positive = Annotated[int, TypeName("Positive")]
NotNegative = Annotated[int, TypeName("NotNegative")]
MessageSize = Annotated[int, TypeName("MessageSize")]
RingSize = Annotated[int, TypeName("RingSize")]
Port = Annotated[int, TypeName("Port")]
FixedPort = Annotated[int, TypeName("FixedPort")]
Niceness = Annotated[int, TypeName("Niceness")]
Value = Annotated[Any, TypeName("Value")]
Umask = Annotated[int, TypeName("Umask")]
Seconds = Annotated[float, TypeName("Seconds")]
Span = Annotated[float, TypeName("Span")]
Autoclean = Annotated[float, TypeName("Autoclean")]
Interval = Annotated[float, TypeName("Interval")]
Percent = Annotated[float, TypeName("Percent")]
Filled = Annotated[str, TypeName("Filled")]
WebUrl = Annotated[str, TypeName("WebUrl")]
File = Annotated[str, TypeName("File")]
Host = Annotated[str, TypeName("Host")]
HostOrPath = Annotated[str, TypeName("HostOrPath")]
Address = Annotated[str, TypeName("Address")]
Listen = Annotated[str, TypeName("Listen")]
Object = Annotated[str, TypeName("Object")]
Zone = Annotated[str, TypeName("Zone")]
Storage = Annotated[str, TypeName("Storage")]
SignalName = Annotated[str, TypeName("SignalName")]
Mode = Annotated[str, TypeName("Mode")]
Regex = Annotated[str, TypeName("Regex")]
Names = Annotated[tuple[str, ...], TypeName("Names")]
Times = Annotated[tuple[str, ...], TypeName("Times")]
WebHosts = Annotated[tuple[str, ...], TypeName("WebHosts")]
SubjectTemplates = Annotated[tuple[str, ...], TypeName("SubjectTemplates")]
Roles = Annotated[Mapping[str, str], TypeName("Roles")]
Networks = Annotated[tuple[str, ...], TypeName("Networks")]
Clients = Annotated[tuple[str, ...], TypeName("Clients")]
SubjectPatterns = Annotated[tuple[str, ...], TypeName("SubjectPatterns")]
Rights = Annotated[tuple[str, ...], TypeName("Rights")]
Files = Annotated[tuple[str, ...], TypeName("Files")]
AlertStates = Annotated[tuple[str, ...], TypeName("AlertStates")]
ExitCodes = Annotated[tuple[int, ...], TypeName("ExitCodes")]
Command = Annotated[tuple[str, ...], TypeName("Command")]
Environment = Annotated[Mapping[str, str], TypeName("Environment")]
Values = Annotated[tuple[Any, ...], TypeName("Values")]
Objects = Annotated[Mapping[str, str], TypeName("Objects")]
Keywords = Annotated[Mapping[str, Any], TypeName("Keywords")]
Limits = Annotated[Mapping[str, int], TypeName("Limits")]

_CHOICE = TypeName("Choice")
RestartPolicy = Annotated[Literal["always", "on-failure", "never"], _CHOICE]
LogStreams = Annotated[Literal["together", "apart"], _CHOICE]
WhenFull = Annotated[Literal["drop-oldest", "drop-newest", "disconnect"], _CHOICE]
ServerType = Annotated[Literal["thread", "multiplex"], _CHOICE]
Serializer = Annotated[Literal["serpent", "json", "msgpack", "marshal"], _CHOICE]
InstanceMode = Annotated[Literal["session", "single", "percall"], _CHOICE]
Crash = Annotated[Literal["lose", "keep"], _CHOICE]
OnRestart = Annotated[Literal["notify", "handover"], _CHOICE]
TlsMode = Annotated[Literal["off", "both", "required"], _CHOICE]
OnNeeds = Annotated[Literal["keep", "restart", "stop"], _CHOICE]
OnUnhealthy = Annotated[Literal["restart", "warn"], _CHOICE]
OnFailure = Annotated[Literal["keep", "shutdown"], _CHOICE]
Orphans = Annotated[Literal["stop", "adopt"], _CHOICE]
KillMode = Annotated[Literal["mixed", "session"], _CHOICE]
Role = Annotated[Literal["view", "operate", "configure"], _CHOICE]
Metrics = Annotated[Literal["off", "loopback", "token"], _CHOICE]
History = Annotated[Literal["7d", "off"], _CHOICE]
