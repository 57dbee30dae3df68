"""What other service managers write, and what earlier versions of this one did."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_FOREIGN = {
    "command": "cmd entrypoint exec execstart program run",
    "cwd": "chdir directory workdir workingdir workingdirectory",
    "enabled": "autostart disabled enable",
    "env": "environment environ variables",
    "env_file": "environmentfile envfiles",
    "instances": "copies numprocs processes replicas scale",
    "kill_mode": "killasgroup stopasgroup",
    "kind": "type",
    "limits": "ulimits rlimits",
    "log": "logging stderrlogfile stdout stdoutlogfile logfile",
    "log.keep": "backups logbackups stdoutlogfilebackups",
    "log.max_bytes": "logmaxbytes maxlogsize maxsize stdoutlogfilemaxbytes",
    "max_cpu": "cpuquota cpus",
    "max_rss": "memlimit memory memorymax",
    "needs": "after bindsto dependson dependencies links priority requires wants",
    "object": "class",
    "ready": "readiness readinessprobe startsecs",
    "restart": "autorestart restartpolicy",
    "restart_delay": "restartsec",
    "start_limit": "maxretries retries startlimitburst startretries",
    "start_timeout": "timeoutstartsec",
    "start_window": "startlimitinterval startlimitintervalsec",
    "stop_command": "execstop",
    "stop_signal": "killsignal stopsignal",
    "stop_timeout": "killtimeout stopgraceperiod stopwaitsecs timeoutstopsec",
    "success_exit": "exitcodes successexitstatus",
    "user": "username",
    "watchdog": "health healthcheck livenessprobe watchdogsec",
}
_GONE_CHOICES = {
    "block": "no subscriber blocks publishers any more; to lose nothing, make the publishers "
    "patient: Publisher(patience=None), and patience = SECONDS here for stock Pyro5 clients",
}
_GONE_KEYS = {
    "block_timeout": "it is gone: patience is how long a publish waits for full queues, and "
    "stuck_timeout how long a subscriber that takes nothing may hold it",
}
_OURS = {foreign: ours for ours, words in _FOREIGN.items() for foreign in words.split()}
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PREFIXES = " kmgt"
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]+)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kmgt])?(i?)b?")


def foreign_key(key: str, known: Collection[str]) -> str | None:
    """Return our key for one of another tool, if it may stand here."""
    ours = _OURS.get(re.sub("[-_]", "", key).lower())
    if ours is None:
        return None
    table, _, inner = ours.partition(".")
    return ours if table in known else inner if inner in known else None


def gone_key(key: str) -> str | None:
    """Return the hint for a key that an earlier version had."""
    return _GONE_KEYS.get(key)


def gone_choice(value: object) -> str | None:
    """Return the hint for a word that an earlier version understood."""
    return _GONE_CHOICES.get(value) if isinstance(value, str) else None


def duration_hint(text: str) -> str | None:
    """Return the hint for a duration with a unit, or for a percentage."""
    if text.endswith("%"):
        return f"without the sign: {text[:-1]}"
    match = _DURATION.fullmatch(text.lower())
    if match is None or match[2] not in _SECONDS:
        return None
    return f"in seconds: {float(match[1]) * _SECONDS[match[2]]:g}"


def size_hint(text: str) -> str | None:
    """Return the hint for a size with a unit."""
    match = _SIZE.fullmatch(text.lower())
    if match is None or text[-1:].isdigit():
        return None
    base = 1024 if match[3] else 1000
    return f"in bytes: {round(float(match[1]) * base ** _PREFIXES.index(match[2] or ' '))}"
