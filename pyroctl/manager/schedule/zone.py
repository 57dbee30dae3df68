"""The time zone of this machine."""

from __future__ import annotations

import logging
import os
from datetime import UTC
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

LOCAL = "/etc/localtime"

log = logging.getLogger(__name__)


def find_zone(name: str | None, environ: Mapping[str, str] = os.environ) -> tzinfo:
    """Return a time zone by its name, or else the one of this machine; UTC if it can't be read."""
    name = name or environ.get("TZ", "").removeprefix(":")
    try:
        if name and not os.path.isabs(name):
            return ZoneInfo(name)
        with open(name or LOCAL, "rb") as file:
            return ZoneInfo.from_file(file, key=name or LOCAL)
    except FileNotFoundError:
        pass  # no file means UTC to the C library, too
    except (KeyError, ValueError, OSError) as error:
        log.warning("the time zone %s can't be read, so times are UTC: %s", name, error)
    return UTC
