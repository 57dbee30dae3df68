"""Serves a Pyro class as a child of a service manager: `python -m pyro_host MODULE:CLASS`.

The names below make any Python program such a child; `pyro_child` describes them.
"""

from __future__ import annotations

from pyro_child import (
    PERMANENT_FAILURE,
    AskRefused,
    ControlChannel,
    Deferred,
    Notifier,
    serve_control,
)

__all__ = [
    "PERMANENT_FAILURE",
    "AskRefused",
    "ControlChannel",
    "Deferred",
    "Notifier",
    "serve_control",
]
