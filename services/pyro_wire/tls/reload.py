"""A server's identity while its files are replaced: by `certs renew`, `remove`, or by hand."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from pyro_wire.tls.files import TlsFiles, TlsIdentity, load_server

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("pyro_wire")


class ReloadedIdentity:
    """Loads the files again when one of them was replaced. Any thread may call everything.

    An identity that was returned never changes, so handshakes under way are not disturbed. Files
    that can't be used are logged, once, and the earlier identity stays.
    """

    def __init__(
        self, files: TlsFiles, load: Callable[[TlsFiles], TlsIdentity] = load_server
    ) -> None:
        """Load the files. Raises ValueError or OSError if they can't be used."""
        self.files = files
        self._load = load
        self._lock = threading.Lock()
        self._stamps: object = files.stamps()  # before they are read: a later change is noticed
        self._identity = load(files)

    def current(self) -> TlsIdentity:
        """Return the identity for a new connection."""
        with self._lock:
            stamps: object
            try:
                stamps = self.files.stamps()
            except OSError as error:
                stamps = str(error)
            if stamps != self._stamps:
                self._stamps = stamps
                self._reload()
            return self._identity

    @property
    def latest(self) -> TlsIdentity:
        """What `current` has returned last, without touching a file."""
        return self._identity

    def _reload(self) -> None:
        try:
            self._identity = self._load(self.files)
        except (OSError, ValueError) as error:
            _log.warning("the certificates stay as they were: %s", error)
        else:
            _log.info("certificates read again: %s", self.files.certificate)
