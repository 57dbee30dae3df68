"""What makes a Python program a well-behaved child of a service manager.

Two environment variables carry what a service and its manager tell each other. Without them
nothing here has any effect, so that a service also runs alone:

* `NOTIFY_SOCKET` names a datagram socket for sd_notify(3): `READY=1`, `STATUS=…`, `STOPPING=1`,
  and our own `X_PYRO_URI=…`, the address of the service's main object. `Notifier` sends them; the
  same program runs unchanged under pyroctl, under systemd, and alone in a terminal.
* `PYROCTL_CONTROL_FD` is the number of an inherited file descriptor: one end of a Unix stream
  socketpair. The end of the stream means that the manager is gone; the service then stops in an
  orderly way, so that nothing outlives the manager. Lines of JSON carry requests:
  `{"id": 1, "ask": "statistics"}`, with parameters as further keys, is answered by
  `{"id": 1, "answer": …}` or `{"id": 1, "error": "text"}`, in order; only a request that takes a
  service long is answered out of turn. With a line `{"report": "names", …}` the service reports
  something of its own accord. `ControlChannel` is the service's end.

SIGTERM asks for an orderly stop, which ends with exit code 0. The exit code `PERMANENT_FAILURE`
says that starting the service again is pointless.

Nothing here imports Pyro5, so that any Python program can use it.
"""

from __future__ import annotations

from pyro_child.control import AskRefused, ControlChannel, Deferred, serve_control
from pyro_child.notifier import Notifier
from pyro_child.stop import PERMANENT_FAILURE, CannotServe, StopReasons

__all__ = [
    "PERMANENT_FAILURE",
    "AskRefused",
    "CannotServe",
    "ControlChannel",
    "Deferred",
    "Notifier",
    "StopReasons",
    "serve_control",
]
