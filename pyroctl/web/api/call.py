"""What a function of the API gets, and what it returns."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pyroctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.datastructures import QueryParams
    from starlette.types import Receive

    from pyroctl.web.security.policy import Principal
    from pyroctl.web.site import Site

MOST_VALUES = 200
"""Of one list in a request."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in."""

    site: Site
    principal: Principal
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    body: Any
    """An object of the endpoint's body type; None without one."""
    receive: Receive

    def number(self, name: str, default: float, *, lowest: float, highest: float) -> float:
        """Return a number of the query; raises UsageError."""
        text = self.query.get(name, "")
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not lowest <= value <= highest:
            raise UsageError(
                f"{name} must be a number from {lowest:g} to {highest:g}, not {text!r}"
            )
        return value


class Reply(NamedTuple):
    """An answer in the envelope of `--json`."""

    data: Any
    status: int = 200
    errors: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = {}


class Endpoint(NamedTuple):
    """A request that can be made. The handler's docstring describes it."""

    method: str
    path: str
    role: str
    handler: Callable[[Call], Awaitable[Any]]
    """Returns a Reply, or a Response of starlette."""
    answer: Any = None
    """The type of the answer's data."""
    body: Any = None
    """The dataclass of the request's body; None: it has none."""
    query: tuple[str, ...] = ()
    endless: bool = False

    @property
    def name(self) -> str:
        """A name that no other endpoint has."""
        return f"{self.method} {self.path}"


def read_body(kind: Any, text: bytes) -> Any:
    """Return the object of a dataclass that JSON describes; raises UsageError."""
    try:
        data = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        raise UsageError("the body is not JSON") from None
    if not isinstance(data, dict):
        raise UsageError("expected an object of JSON")
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}
    unknown = data.keys() - known.keys()
    if unknown:
        raise UsageError(
            f"unknown: {', '.join(sorted(unknown))}", hint=f"known: {', '.join(known)}"
        )
    for name, each in known.items():
        if name in data:
            if not _fits(hints[name], data[name]):
                raise UsageError(f"{name} has a wrong type or is too long")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise UsageError(f"{name} is missing")
    return kind(**data)


def _fits(hint: Any, value: Any) -> bool:
    if hint is Any:
        return True
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in args
    if origin is list:
        return (
            isinstance(value, list)
            and len(value) <= MOST_VALUES
            and all(_fits(args[0], each) for each in value)
        )
    if origin is dict:
        return isinstance(value, dict) and all(_fits(args[1], each) for each in value.values())
    if args:  # a union
        return any(_fits(each, value) for each in args)
    if hint is NoneType:
        return value is None
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
