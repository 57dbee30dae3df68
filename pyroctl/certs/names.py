"""The names in certificates: those of clients and of a site, and the hosts of servers. Pure."""

from __future__ import annotations

import ipaddress
import re

from pyroctl.errors import UsageError
from pyroctl.printable import printable

Host = str | ipaddress.IPv4Address | ipaddress.IPv6Address
"""A DNS name in lower case, or an address."""

LONGEST_NAME = 60
"""Characters; a common name has 64 (RFC 5280, ub-common-name), that of a CA ends with ` CA`."""
LONGEST_HOST = 253
_MOST_SHOWN = 70
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
_DNS = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")


def checked_name(text: str) -> str:
    """Return the name of a client, a server or a site; raise UsageError if it can't be one.

    It is the common name of a certificate, the name of a directory, and a part of a URI.
    """
    if len(text) > LONGEST_NAME:
        raise UsageError(
            f"the name '{_shown(text)}' has {len(text)} characters, at most"
            f" {LONGEST_NAME} are allowed"
        )
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"'{_shown(text)}' can't be a name",
            hint="a name begins with a letter or digit, and has letters, digits and . _ @ -",
        )
    return text


def checked_host(text: str) -> Host:
    """Return the address or the DNS name of a host; raise UsageError if it is neither."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _dns_name(text)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise UsageError(
            f"'{_shown(text)}' has a scope, which a certificate can't have",
            hint="leave out the part from % on",
        )
    return address


def _dns_name(text: str) -> str:
    if len(text) > LONGEST_HOST or not _DNS.fullmatch(text):
        raise UsageError(
            f"'{_shown(text)}' is neither a host name nor an address",
            hint="write it without a port, a scheme or a wildcard; other alphabets as xn--…",
        )
    if text.rpartition(".")[2].isdigit():
        raise UsageError(f"'{text}' is not a valid address")
    return text.lower()


def checked_address(text: str) -> str:
    """Return `HOST:PORT` or `[IPv6]:PORT` as it is; raise UsageError if it is neither."""
    host, _, port = text.rpartition(":")
    is_v6 = host.startswith("[") and host.endswith("]")
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 1 << 16):
        raise UsageError(f"'{_shown(text)}' is not an address such as lab-server:9100")
    found = checked_host(host[1:-1] if is_v6 else host)
    if isinstance(found, ipaddress.IPv6Address) != is_v6:
        raise UsageError(f"'{_shown(text)}' is not an address such as [fd00::1]:9100")
    return text


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPv6]:PORT`."""
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: Host, port: int) -> str:
    """Return `HOST:PORT`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if isinstance(host, ipaddress.IPv6Address) else f"{host}:{port}"


def _shown(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[: _MOST_SHOWN - 1]}…"
