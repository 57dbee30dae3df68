"""The model of clients.toml: which keys may connect, and which were thrown out. Pure."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pyroctl.certs.names import checked_name
from pyroctl.errors import UsageError

HEAD = """\
# Written by pyroctl certs. A client or server is let in only if its name is below, with the SHA-256
# of its public key.

"""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Removal(NamedTuple):
    """Whose key was removed, and when."""

    name: str
    time: datetime


class Clients(NamedTuple):
    """The content of clients.toml; fingerprints are the SHA-256 of public keys, in hex."""

    site: str
    keys: dict[str, str]
    """The fingerprint for each name."""
    removed: dict[str, Removal]
    """By fingerprint, so that whoever still presents the key can be told."""

    def allow(self, name: str, fingerprint: str, now: datetime) -> Clients:
        """Allow a key under a name; an earlier key of that name is removed."""
        rest = self if self.keys.get(name) in {None, fingerprint} else self.remove(name, now)
        removed = {key: why for key, why in rest.removed.items() if key != fingerprint}
        return rest._replace(keys={**rest.keys, name: fingerprint}, removed=removed)

    def remove(self, name: str, now: datetime) -> Clients:
        """Remove the key of a name; raises KeyError."""
        removal = Removal(name, now.replace(microsecond=0))
        return self._replace(
            keys={other: key for other, key in self.keys.items() if other != name},
            removed={**self.removed, self.keys[name]: removal},
        )

    def to_toml(self) -> str:
        """Return the text of the file."""
        import tomli_w

        tables = {
            "site": self.site,
            "clients": dict(sorted(self.keys.items())),
            "removed": {key: why._asdict() for key, why in self.removed.items()},
        }
        return HEAD + tomli_w.dumps(tables)


def parse_clients(source: str) -> Clients:
    """Return the content of a file; raise ValueError with a sentence about what is wrong."""
    data = tomllib.loads(source)
    unknown = set(data) - {"site", "clients", "removed"}
    if unknown:
        raise ValueError(f"there is no key {min(unknown)!r}")
    keys = _table(data, "clients")
    removed = {key: _removal(key, value) for key, value in _table(data, "removed").items()}
    for name, key in keys.items():
        _check_name(name)
        _check_fingerprint(f"clients.{name}", key)
    return Clients(_check_name(data.get("site")), keys, removed)


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{name} must be a table")  # noqa: TRY004 - one error for all of it
    return table


def _removal(key: str, value: Any) -> Removal:
    _check_fingerprint("removed", key)
    match value:
        case {"name": str(name), "time": datetime() as time}:
            return Removal(name, time if time.tzinfo else time.replace(tzinfo=UTC))
    raise ValueError(f"removed.{key} must have a name and a time")


def _check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError("site must be a name")  # noqa: TRY004 - as above
    try:
        return checked_name(name)
    except UsageError as error:
        raise ValueError(error.message) from None


def _check_fingerprint(key: str, value: Any) -> None:
    if not (isinstance(value, str) and _FINGERPRINT.fullmatch(value)):
        raise ValueError(f"{key}: a fingerprint has 64 hexadecimal digits")
