"""Whether a request is let in, from its head alone. Pure.

A server on loopback is reached by any page in the user's browser, so nothing here trusts an
address: `Host` is checked against rebound names, the cookie against strangers, and `Origin` against
other pages that make the browser send that cookie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyroctl.core.access import ROLES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pyroctl.core.options.page import ProxySpec, WebOptions
    from pyroctl.web.security.sessions import Sessions

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD"})
"""All others are checked as changes; a request with one of these changes nothing."""
LONGEST_BODY = 1 << 20
"""Bytes."""


class Refusal(Exception):
    """A request that isn't let in: `reason` is what it is counted under."""

    def __init__(self, status: int, reason: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Head:
    """What a request says before its body; names of headers are in lower case."""

    method: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    peer: str
    """Where it came from, for people."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The author of a request."""

    name: str
    role: str
    peer: str
    by_token: bool = False
    """Whether it is a script with the token, which no browser sends by itself."""
    secret: str = ""
    """Of its session's cookie."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a page's configuration says about its clients."""

    access: str
    hosts: frozenset[str]
    cookie: str
    """The name of the cookie; pages at other ports of one host must not overwrite it."""
    proxy: ProxySpec | None = None

    @classmethod
    def of(cls, options: WebOptions, cookie: str) -> Policy:
        """Return the policy of a page."""
        public = urlsplit(options.public_url).hostname if options.public_url else None
        own = {options.host, *options.hosts, *([public] if public else [])}
        names = frozenset(_bracketed(each.lower()) for each in own) - {"0.0.0.0", "[::]"}  # noqa: S104
        return cls(options.access, LOOPBACK_NAMES | names, cookie, options.proxy)


def check_host(policy: Policy, head: Head) -> None:
    """Raise Refusal unless the request is for a name of ours: others may be rebound to us."""
    host = head.headers.get("host", "").lower()
    if _without_port(host) not in policy.hosts:
        raise Refusal(
            421, "host", f"this page is not known as {host or 'nothing'}", "see hosts of the page"
        )


def identify(policy: Policy, head: Head, sessions: Sessions, now: float) -> Principal:
    """Return who makes a request; raise Refusal if that isn't shown. `now`: since the epoch."""
    if policy.proxy is not None:
        user = head.headers.get(policy.proxy.user_header.lower())
        if user is not None:
            return _user(policy, policy.proxy.roles, user, head)
    scheme, _, token = head.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        if not sessions.is_token(token.strip()):
            raise Refusal(401, "token", "that is not the token", "pyroctl web token prints it")
        return Principal("token", policy.access, head.peer, by_token=True)
    secret = head.cookies.get(policy.cookie, "")
    if not secret:
        raise Refusal(401, "cookie", "nobody is signed in", "pyroctl web open")
    if not sessions.is_open(secret, now):
        raise Refusal(401, "session", "the session has ended", "pyroctl web open")
    return Principal("page", policy.access, head.peer, secret=secret)


def check_role(principal: Principal, needed: str) -> None:
    """Raise Refusal unless a role includes what a request needs."""
    if ROLES.index(principal.role) < ROLES.index(needed):
        raise Refusal(
            403,
            "role",
            f"{principal.name} has the role {principal.role}, and this needs {needed}",
            "access of the page, or roles of its proxy, in the configuration",
        )


def check_change(head: Head, *, by_token: bool) -> None:
    """Raise Refusal for a change that another page may have made a browser ask for."""
    if head.method in SAFE_METHODS:
        return
    site, origin = head.headers.get("sec-fetch-site"), head.headers.get("origin")
    if site is not None and site != "same-origin":
        raise Refusal(403, "site", f"a {site} page may not change anything here")
    if origin is not None:
        if origin.partition("://")[2].lower() != head.headers.get("host", "").lower():
            raise Refusal(403, "origin", f"a page of {origin} may not change anything here")
    elif site is None and not by_token:
        raise Refusal(403, "origin", "a browser has to say which page asks", "use the token")
    if head.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "type", "expected Content-Type: application/json")


def check_length(head: Head, longest: int = LONGEST_BODY) -> None:
    """Raise Refusal for a body that is too long, as far as its head tells."""
    length = head.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > longest:
        raise Refusal(413, "size", f"the body is longer than {longest} bytes")


def _user(policy: Policy, roles: Mapping[str, str], user: str, head: Head) -> Principal:
    role = roles.get(user)
    if role is None:
        raise Refusal(403, "user", f"{user} has no role here", "roles of the page's proxy")
    return Principal(user, _lower(role, policy.access), head.peer)


def _lower(one: str, other: str) -> str:
    return min(one, other, key=ROLES.index)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def cookies_of(header: str, names: Collection[str]) -> dict[str, str]:
    """Return the cookies of these names; of several of one name, the first."""
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name in names:
            found.setdefault(name, value)
    return found
