"""One module per command."""

COMMANDS = (
    "run",
    "start",
    "stop",
    "restart",
    "reload",
    "status",
    "logs",
    "reexec",
    "shutdown",
    "init",
    "config",
    "es",
    "unit",
    "completion",
)
"""In the order of the help; each is the `command` of a module of that name."""
