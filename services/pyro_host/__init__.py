"""What makes a Python program a well-behaved child of a service manager.

* `Notifier` reports that the service is ready, by sd_notify(3): the same program runs unchanged
  under pyroctl, under systemd, and alone in a terminal.
* `ControlChannel` receives the manager's requests, and notices when the manager is gone.
* The exit code `PERMANENT_FAILURE` says that starting the service again is pointless.

Any Python program can use it: only `python -m pyro_host MODULE:CLASS`, which serves a Pyro class
as such a child, imports Pyro5. `pyro_child` describes the protocol.
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
