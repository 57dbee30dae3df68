"""Which logs there are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyroctl.errors import UsageError
from pyroctl.log_reader.files import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyroctl.paths import Paths


def sources(paths: Paths, services: Sequence[str], stream: str | None = None) -> list[Source]:
    """Return the logs of these services, or of all that have one; raises UsageError."""
    known = service_names(paths)
    unknown = [name for name in services if name not in known and name != "*"]
    if unknown:
        raise UsageError(f"{unknown[0]} has no log", hint=f"these have: {', '.join(known)}")
    names = known if not services or "*" in services else services
    found = []
    for name in names:
        found.append(Source(name, "output", paths.service_log(name)))
        found.append(Source(name, "stderr", paths.service_errors(name)))
    return [each for each in found if stream in {None, "", each.stream}]


def service_names(paths: Paths) -> list[str]:
    """Return the services that have a log."""
    try:
        entries = sorted(os.listdir(paths.logs))
    except OSError:
        return []
    return [
        name.removesuffix(".log") for name in entries if name.endswith(".log") and name[0] != "_"
    ]
