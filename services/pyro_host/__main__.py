"""`python -m pyro_host MODULE:CLASS` serves a class."""

from __future__ import annotations

from pyro_host.cli import main
from pyro_host.force_exit import force_exit

force_exit(main())
