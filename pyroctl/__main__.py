"""`python -m pyroctl` is `pyroctl`."""

from pyroctl.cli.main import entry

entry()
