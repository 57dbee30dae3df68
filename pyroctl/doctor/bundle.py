"""One file with what somebody needs who is to help: findings, status, configuration, last lines."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from typing import TYPE_CHECKING, Any

from pyroctl.doctor.gather.storage import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.doctor.facts import Facts
    from pyroctl.paths import Paths

MASKED = "********"
"""Stands for each value of `env`: it may be a secret."""
LINES = 200


def write(file: str, facts: Facts, report: Mapping[str, Any], paths: Paths) -> list[str]:
    """Write a .tar.gz that only its owner can read; return what is in it. Raises OSError."""
    parts: dict[str, str] = {
        "doctor.json": _json(report),
        "status.json": _json(
            {
                "manager": facts.manager,
                "services": [service.row for service in facts.services.values()],
                "measured": [service.measured for service in facts.services.values()],
            }
        ),
        "versions.json": _json(facts.versions),
        "config.json": _json({name: _spec(s.spec) for name, s in facts.services.items()}),
        "faults.json": _json([*facts.faults, *facts.doubts]),
    }
    for name in facts.services:
        parts[f"logs/{name}.log"] = _text(last_lines(paths.service_log(name), LINES, 1 << 18))
    parts["logs/_manager.log"] = _text(last_lines(paths.manager_log, LINES, 1 << 18))
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as target, tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in parts.items():
            data = content.encode(errors="replace")
            entry = tarfile.TarInfo(f"pyroctl-doctor/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return list(parts)


def _spec(spec: Any) -> dict[str, Any]:
    """Return a specification without the values of its variables."""
    import dataclasses

    found = dataclasses.asdict(spec)
    return {**found, "kind": spec.kind, "env": dict.fromkeys(found["env"], MASKED)}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"


def _text(lines: tuple[str, ...]) -> str:
    return "".join(f"{line}\n" for line in lines)
