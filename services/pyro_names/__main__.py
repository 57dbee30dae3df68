"""`python -m pyro_names` runs a name server."""

from __future__ import annotations

import sys

from pyro_names.cli import main

sys.exit(main())
