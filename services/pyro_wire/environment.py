"""Imports Pyro5 in an environment that isn't quite its own, such as that of a Pyro4 program."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

PREFIX = "PYRO_"
_AT_IMPORT = ("PYRO_LOGFILE", "PYRO_LOGLEVEL")
_CHOICES: dict[str, tuple[object, ...]] = {
    "SERIALIZER": ("serpent", "json", "msgpack", "marshal"),
    "SERVERTYPE": ("thread", "multiplex"),
    "PREFER_IP_VERSION": (0, 4, 6),
}

_log = logging.getLogger("pyro_wire")


def import_pyro5() -> None:
    """Import Pyro5 without the variables `PYRO_…` that it doesn't take; one warning names them.

    Pyro5 itself raises on them when it is imported, or later in every call. They stay in
    the environment, where programs that are started from here may need them. Does nothing if
    Pyro5 is imported already.
    """
    if "Pyro5" in sys.modules:
        return
    given = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    for name in given:
        del os.environ[name]
    try:
        config = _import({name: given[name] for name in _AT_IMPORT if name in given})
        for name in sorted(given.keys() - set(_AT_IMPORT)):
            os.environ[name] = given[name]
            if not _takes(config, name):
                del os.environ[name]
        config.reset()
        left_out = sorted(name for name in given if name not in os.environ)
    finally:
        os.environ.update(given)
    if left_out:
        _log.warning("ignored, since Pyro5 doesn't take it: %s", ", ".join(left_out))


def _import(logging_variables: dict[str, str]) -> Any:
    """Return Pyro5's configuration; if it can't log as it is told to, it doesn't log."""
    os.environ.update(logging_variables)
    try:
        importlib.import_module("Pyro5")
    except (AttributeError, OSError, TypeError, ValueError):
        for name in logging_variables:
            del os.environ[name]
    return importlib.import_module("Pyro5.configure").global_config


def _takes(config: Any, name: str) -> bool:
    item = name.removeprefix(PREFIX)
    try:
        config.reset()
        return item not in _CHOICES or getattr(config, item) in _CHOICES[item]
    except (ValueError, TypeError):
        return False
