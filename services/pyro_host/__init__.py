"""What makes a Python program a well-behaved child of a service manager.

`pyro_child.protocol` has the child's side of what a service and its manager tell each other:

* "I am ready" goes through `Notifier`, which speaks sd_notify: the same program runs unchanged
  under pyroctl, under systemd, and alone in a terminal.
* "The manager is gone" and the manager's questions come through `ControlChannel`.
* "Starting me again is pointless" is the exit code `PERMANENT_FAILURE`.

Nothing here imports Pyro5, so that any Python program can use it.
"""

from __future__ import annotations

from pyro_child.protocol import (
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
