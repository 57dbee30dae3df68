"""The deployment that `pyroctl init` writes."""

from __future__ import annotations

_TEXT = """\
# A deployment of pyroctl: one manager and the services that it looks after.
# All keys and their defaults: man pyroctl.toml. Check this file: pyroctl config check

[manager]
name = "default"

# Pyro5's name server: where programs look up each other's objects.
[services.ns]
kind = "nameserver"
host = "localhost"              # "0.0.0.0" lets other machines in: mind who can reach it
port = 9090
# storage = "sql:names.sqlite"  # remembers the names when it is restarted; default: "memory"

# The event service: publishers and subscribers meet here. It is registered in the name server.
[services.es]
kind = "eventservice"
needs = ["ns"]                  # started after ns, stopped before it
host = "localhost"
# port = 9099                   # default 0: any free port; the name server knows which

# A program of your own. Take the marks away and fill in your command.
# [services.quotes]
# kind = "command"
# command = ["python", "quotes.py"]
# needs = ["es"]
# ready = { log = "ready" }     # or "notify", { port = 5000 }, { pyro_name = "…" }, { delay = 1 }
# restart = "on-failure"        # or "always" (default), "never"
# env = { LEVEL = "${LEVEL:-info}" }
"""


def starting_deployment() -> str:
    """Give the commented TOML text of a starting deployment: what also runs without a file."""
    return _TEXT
