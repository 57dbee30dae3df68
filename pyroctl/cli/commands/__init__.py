"""One module per command, or a folder for one with several parts."""

COMMANDS = (
    "run",
    "start",
    "stop",
    "restart",
    "reload",
    "status",
    "top",
    "ping",
    "metrics",
    "doctor",
    "logs",
    "reexec",
    "shutdown",
    "init",
    "ls",
    "env",
    "exec",
    "config",
    "es",
    "web",
    "secret",
    "certs",
    "join",
    "unit",
    "completion",
)
"""In the order of the help; each is the `command` of a module of that name."""
FOLDERS = {"secret": "trust", "certs": "trust", "join": "trust"}
"""The folder of a module, if it is in one."""
