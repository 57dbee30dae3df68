"""How the services of a scene and its clients know each other: not at all, by a secret, by TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmarks.events.certificates import make_certificates
from pyro_events import identified

if TYPE_CHECKING:
    from pathlib import Path

    import Pyro5.api

Mode = Literal["plain", "ident", "tls+ident"]
IDENT = "load 5f1c2b8e9d404d7fa3f2c6e0b7a9d815"


class Security(NamedTuple):
    """What clients need, and what the configuration says.

    With TLS the helpers use it, and stock proxies don't: services accept both.
    """

    ident: str | None = None
    tls: str | None = None
    es: str = ""
    """Lines of the configuration, for the event service."""
    others: str = ""
    """And for name server and object."""

    def helper(self) -> dict[str, Any]:
        """Return the arguments of a helper."""
        return {"ident": self.ident, "tls": self.tls}

    def proxy(self, proxy: Pyro5.api.Proxy) -> Pyro5.api.Proxy:
        """Make a stock proxy identify itself, where that is asked for."""
        return proxy if self.ident is None else identified(proxy, ident=self.ident)


def secured(mode: Mode, root: Path) -> Security:
    """Make the files for a deployment, and return what refers to them."""
    if mode == "plain":
        return Security()
    file = root / "ident"
    file.touch(0o600)
    file.write_text(IDENT)
    es = f'ident_file = "{file}"'
    if mode == "ident":
        return Security(IDENT, None, es)
    folder = make_certificates(root)
    tls = f'tls = "both"\ntls_certificate = "{folder}/cert.pem"'
    return Security(IDENT, folder, f"{es}\n{tls}", tls)
