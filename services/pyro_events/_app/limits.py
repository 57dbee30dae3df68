"""The file descriptors that the event service needs, and its settings if it gets fewer."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyro_child.limits import raise_open_files

if TYPE_CHECKING:
    from pyro_events._broker.settings import Settings
SPARE: Final = 100
"""Descriptors for other files than connections."""

_log = logging.getLogger("pyro_events")


def provide(settings: Settings) -> Settings:
    """Raise the process's limit as far as the settings need; return the settings that fit."""
    clients = settings.max_connections + settings.max_subscribers
    needed = clients + settings.max_handshakes + _securing(settings) + SPARE
    granted = raise_open_files(needed)
    fitting = fit(settings, granted)
    if fitting is not settings:
        _log.warning(
            "max_connections is %d instead of %d: the system grants %d descriptors (ulimit -Hn) "
            "and %d are needed",
            fitting.max_connections, settings.max_connections, granted, needed,
        )  # fmt: skip
    return fitting


def fit(settings: Settings, descriptors: int) -> Settings:
    """Lower max_connections so that the connections to subscribers have their share, too.

    That share is one for each possible subscriber, but at most half of what clients that are not
    accepted yet leave: those have at most a third of all, and with TLS a sixth more.
    """
    handshakes = min(settings.max_handshakes, descriptors // 3)
    securing = min(_securing(settings), descriptors // 6)
    room = descriptors - SPARE - handshakes - securing
    if room >= settings.max_connections + settings.max_subscribers:
        return settings
    share = min(settings.max_subscribers, max(0, room) // 2)
    connections = max(1, min(settings.max_connections, room - share))
    return replace(
        settings,
        max_connections=connections,
        max_handshakes=max(1, handshakes),
        max_tls_handshakes=securing or settings.max_tls_handshakes,
    )


def _securing(settings: Settings) -> int:
    """Return how many clients may be in their TLS handshake."""
    return 0 if settings.tls == "off" else settings.max_tls_handshakes
