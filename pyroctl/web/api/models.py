"""The bodies of requests and the data of answers; `openapi.json` is made from them.

Every answer is the envelope of `--json`: `{"pyroctl": 1, "command", "status", "exit_code", "data",
"errors": [{"code", "message", "hint", "service", "file", "line", "column"?}]}`. Only `data` is
described here. Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic needs this one on Python < 3.12


@dataclass(frozen=True, slots=True)
class SignIn:
    """Body of `POST session`: one of the two."""

    code: str | None = None
    """A one-time code of `pyroctl web open`."""
    token: str | None = None


class SignedIn(TypedDict):
    """The new session; its cookie is in the header."""

    role: str
    name: str


class Status(TypedDict):
    """As `pyroctl status --json`, and what the page shows besides."""

    manager: dict[str, Any]
    """`pid` is None while the manager does not answer."""
    services: list[dict[str, Any]]
    """The rows of `status`, each with `history` and `last_line`."""
    enabled: list[str]
    deployment: str
    host: str
    role: str
    clock: float
    operations: list[dict[str, Any]]
    alive: bool
    """Whether the manager answers; if not, the rest is what was last known."""
    error: str
    """Why it doesn't."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Body of `POST stream/ID`: what the stream wants from now on, see `live.hub`."""

    topics: list[str] = field(default_factory=list)


class Chosen(TypedDict):
    """The topics of a stream."""

    topics: list[str]


@dataclass(frozen=True, slots=True)
class Foresee:
    """Body of `POST foresee`."""

    do: Literal["stop", "restart"]
    services: list[str]
    how: Literal["handover", "notify", "plain"] | None = None


class Cost(TypedDict):
    """What an action would cost."""

    costs: list[dict[str, Any]]
    """For each service who would lose what, as `foresee` of the control channel, and `lines`."""
    handover: bool
    """Whether a handover would avoid it."""
    seen: str
    """A hash of the losers, which an action needs if there are any."""


@dataclass(frozen=True, slots=True)
class Action:
    """Body of `POST services/NAME/start`, `…/stop` and `…/restart`."""

    how: Literal["handover", "notify", "plain"] | None = None
    """For a restart."""
    safe: bool = False
    """Refuse, if anybody would lose anything."""
    seen: str | None = None
    """The hash of the losers that were shown."""


class Begun(TypedDict):
    """An operation that was begun."""

    operation: str


class Operation(TypedDict):
    """An operation that the page was asked for."""

    id: str
    do: str
    services: list[str]
    who: str
    state: Literal["running", "done", "failed"]
    messages: list[str]
    """Its progress, in words."""
    result: dict[str, Any] | None
    errors: list[dict[str, Any]]
    time: float


@dataclass(frozen=True, slots=True)
class Reload:
    """Body of `POST reload`."""

    dry_run: bool = False
    """Only return what would be done."""


class Line(TypedDict):
    """A line of a log."""

    time: str
    """ISO 8601 with offset."""
    service: str
    stream: str
    """"output", or "stderr" if that is logged apart."""
    text: str
    """With escape codes; at most 16 k characters."""
    cursor: str
    """The place just before it."""


class Logs(TypedDict):
    """Lines in order of time."""

    lines: list[Line]
    older: str | None
    """Continues towards older lines with `before`; None: there are none."""
    newer: str
    """Continues towards newer lines with `after`."""
    truncated: bool
    """Whether there may be more lines in that direction."""
    complete: bool
    """Whether the search has ended by itself, and not after two seconds."""
    searched_until: float | None


Window = TypedDict(
    "Window",
    {
        "from": int,
        "step": int,
        "mean": list[float | None],
        "min": list[float | None],
        "max": list[float | None],
    },
)
"""A part of a series: the first point is at the time `from`, each for `step` seconds."""


class SeriesNames(TypedDict):
    """Which series there are."""

    names: list[str]
    """Each is SERVICE/NUMBER."""
    refused: int
    """How many found no room."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Body of `POST es/publish`."""

    subject: str
    msg: Any
    """Any value of JSON."""
    service: str | None = None
    """Needed if there are several event services."""


class Published(TypedDict):
    """What has accepted the message."""

    service: str
    published: int


class Text(TypedDict):
    """A text."""

    text: str


class TimelineEntry(TypedDict, total=False):
    """Something that has happened."""

    time: float
    service: str | None
    kind: Literal["state", "end", "action", "reload", "manager"]
    text: str
    state: str
    """The state that was entered, for `state`."""
    code: int | str | None
    """Exit code or signal, for `end`."""
    lines: list[str]
    """The last words of a service that has failed."""
    who: str
    role: str
    outcome: str


class ConfigFile(TypedDict):
    """A file of the configuration."""

    id: str
    path: str
    text: str
    """Values of `env` are masked for all who may not change it."""
    writable: bool
    etag: str


class Configuration(TypedDict):
    """The configuration in effect when it is read again."""

    files: list[ConfigFile]
    values: list[dict[str, Any]]
    """`{"service": NAME or null, "key", "value" (as TOML), "origin"}`."""
    faults: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    """What a reload would do, as `reload --dry-run`; only for clients that may do it."""


@dataclass(frozen=True, slots=True)
class Check:
    """Body of `POST config/check`: texts by the ids of files."""

    files: dict[str, str]


class Checked(TypedDict):
    """What a changed configuration would mean."""

    faults: list[dict[str, Any]]
    """As `errors`, with `column`."""
    warnings: list[dict[str, Any]]
    diff: str
    """Unified."""
    plan: list[str]
    """What would change, in words."""


@dataclass(frozen=True, slots=True)
class Write:
    """Body of `PUT config/files/ID`."""

    text: str


class Written(Checked):
    """A file that was written."""

    etag: str
    undo: str
    """The number of the version before."""


class Topology(TypedDict):
    """See `view.topology`."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
