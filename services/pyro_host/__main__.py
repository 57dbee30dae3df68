"""`python -m pyro_host MODULE:CLASS` serves a class."""

from __future__ import annotations

from pyro_host.cli import main
from pyro_host.leave import leave

leave(main())
