"""`python -m pyro_events` is the command `es`."""

from __future__ import annotations

from pyro_events._app.cli import entry

entry()
