"""A site with certificates, made once for all tests of a process."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pyro_wire.tls.files import TlsFiles
from pyroctl.certs.names import checked_host
from pyroctl.certs.site import Site, create_site

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG_AGO = datetime.now(UTC) - timedelta(days=700)


class TlsSite:
    """`es` is a server at localhost, `camera-2` and `stage` are clients."""

    def __init__(self, directory: Path, name: str = "lab") -> None:
        self.site: Site = create_site(str(directory), name, LONG_AGO)
        self.directory = directory
        self.issue("es", hosts=("localhost", "127.0.0.1"))
        for client in ("camera-2", "stage"):
            self.issue(client)

    def issue(self, name: str, *, hosts: Sequence[str] = (), days: int = 9999) -> Path:
        """Make a certificate that was issued long ago; return its directory."""
        names = [checked_host(host) for host in hosts]
        self.site.issue(name, names, LONG_AGO, days, replace=False)
        return self.folder(name)

    def folder(self, name: str) -> Path:
        return Path(self.site.folder(name))

    def files(self, name: str) -> TlsFiles:
        return TlsFiles.in_directory(str(self.folder(name)))

    def copy(self, directory: Path) -> TlsSite:
        """Return a copy in which a test may change something."""
        copy = TlsSite.__new__(TlsSite)
        shutil.copytree(self.directory, directory)
        copy.directory, copy.site = directory, Site(str(directory))
        return copy
