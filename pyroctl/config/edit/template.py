"""The deployment that `pyroctl init` writes."""

from __future__ import annotations

_TEXT = """\
# A deployment of pyroctl: one manager and the services that it runs.
# All keys and their defaults: man pyroctl.toml. Check this file: pyroctl config check

[manager]
name = "default"

# Pyro5's name server: where programs look up each other's objects.
[services.ns]
kind = "nameserver"
host = "localhost"              # "0.0.0.0" also accepts other machines: anyone who can reach it
port = 9090
# storage = "sql:names.sqlite"  # keeps the names when it restarts; default: "memory"

# The event service: passes events from publishers to subscribers. It registers in the name server.
[services.es]
kind = "eventservice"
needs = ["ns"]                  # started after ns, stopped before it
host = "localhost"
# port = 9099                   # default 0: any free port; the name server has the address

PAGE
# A program of your own. Uncomment it and fill in your command.
# [services.quotes]
# kind = "command"
# command = ["python", "quotes.py"]
# needs = ["es"]
# ready = { log = "ready" }     # or "notify", { port = 5000 }, { pyro_name = "…" }, { delay = 1 }
# restart = "on-failure"        # or "always" (default), "never"
# env = { LEVEL = "${LEVEL:-info}" }
"""


_PAGE = """\
# The page, which `pyroctl web open` opens; it needs: pip install 'pyroctl[web]'
[services.web]
kind = "web"
# port = 8787                   # default: 8787, or any free port if that is taken
# access = "configure"          # or "view", "operate" (default): the most that it may do
"""


def starting_deployment(*, page: bool) -> str:
    """Return the commented TOML text of the deployment that also runs without a file.

    Without `page`, the page is there, but commented out.
    """
    lines = _PAGE.splitlines(keepends=True)
    kept = [line if page or line.startswith("#") else f"# {line}" for line in lines]
    return _TEXT.replace("PAGE\n", "".join([*kept, "\n"]))
