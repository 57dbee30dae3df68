"""What tasks have behind them, in a file that outlives the manager."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from pyroctl.core.schedule.agenda import Past

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


def load(file: str) -> dict[str, Past]:
    """Return the past of each task; nothing if the file is missing or makes no sense."""
    try:
        with open(file, encoding="utf-8") as stream:
            tables = json.load(stream)
        return {name: _past(table) for name, table in tables.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s can't be read, so no task has run before: %s", file, error)
        return {}


def save(file: str, pasts: Mapping[str, Past]) -> None:
    """Write the past of each task; a full disk only costs what would be caught up later."""
    text = json.dumps({name: asdict(past) for name, past in pasts.items()})
    new = f"{file}.new"
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(text)
        os.replace(new, file)
    except OSError as error:
        log.warning("%s can't be written, so missed runs can't be caught up: %s", file, error)


def _past(table: Mapping[str, object]) -> Past:
    known = {field.name for field in fields(Past)}
    values = {key: value for key, value in table.items() if key in known}
    at = values.get("at", ())
    if not isinstance(at, list) or not all(isinstance(text, str) for text in at):
        raise TypeError("at is not a list of texts")
    numbers = (values.get(key) for key in ("handled", "last_run", "last_end", "refused"))
    if not all(number is None or isinstance(number, int | float) for number in numbers):
        raise TypeError("a time is not a number")
    return Past(**{**values, "at": tuple(at)})  # type: ignore[arg-type] # checked above
