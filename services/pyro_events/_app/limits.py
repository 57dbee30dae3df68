"""How many descriptors the event service may need, and what to do when it gets fewer."""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyro_events._broker.settings import Settings

SPARE: Final = 200
"""For what is no connection, and for strangers who are told that there are too many."""

_log = logging.getLogger("pyro_events")


def provide(settings: Settings) -> Settings:
    """Raise the process's limit as far as the settings ask for it; give the settings that fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_connections + settings.max_subscribers + SPARE
    granted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    fitting = fit(settings, granted)
    if fitting is not settings:
        _log.warning(
            "max_connections is %d instead of %d: the system grants %d descriptors (ulimit -Hn) "
            "and %d would be needed",
            fitting.max_connections, settings.max_connections, granted, needed,
        )  # fmt: skip
    return fitting


def fit(settings: Settings, descriptors: int) -> Settings:
    """Lower max_connections so far that the connections to subscribers have their share, too.

    That share is one for each possible subscriber, but not more than half of all.
    """
    room = descriptors - SPARE
    if room >= settings.max_connections + settings.max_subscribers:
        return settings
    share = min(settings.max_subscribers, max(0, room) // 2)
    return replace(settings, max_connections=max(1, min(settings.max_connections, room - share)))
