"""Facts about the manager's place: directories, other deployments, systemd."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import pyroctl
from pyroctl.control import registry
from pyroctl.doctor.facts import PageFacts, PlaceFacts
from pyroctl.doctor.gather.storage import mode_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroctl.core.spec import Deployment
    from pyroctl.paths import Paths

OTHERS = 0o077
LINGER = "/var/lib/systemd/linger"


def place_facts(
    paths: Paths,
    config: str | None,
    environ: Mapping[str, str],
    manager: Mapping[str, Any] | None,
    deployment: Deployment | None,
) -> PlaceFacts:
    """Return what is known of the deployment's place."""
    unit = unit_file(deployment.name if deployment is not None else "", environ)
    return PlaceFacts(
        run=paths.run,
        runtime_home=environ.get("XDG_RUNTIME_DIR"),
        socket=paths.socket,
        wide_open=tuple(each for each in (paths.run, paths.state) if (mode_of(each) or 0) & OTHERS),
        stale_socket=manager is None and os.path.exists(paths.socket),
        others=tuple(
            f"{entry.name} (pid {entry.pid}, {entry.paths.run})"
            for entry in registry.running(environ)
            if entry.paths.run != paths.run and _same(entry, paths, config)
        ),
        installed=pyroctl.__version__,
        running=None if manager is None else str(manager["version"]),
        **({} if unit is None else _unit(unit)),
    )


def unit_file(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the file of the deployment's unit, if there is one."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    places = ("/etc/systemd/system", "/usr/lib/systemd/system", f"{home}/systemd/user")
    files = (os.path.join(place, f"pyroctl-{name}.service") for place in places)
    return next((file for file in files if os.path.exists(file)), None)


def unit_settings(file: str) -> dict[str, str]:
    """Return the last value of each setting of a unit."""
    found = {}
    with contextlib.suppress(OSError), open(file, encoding="utf-8") as lines:
        for line in lines:
            key, mark, value = line.partition("=")
            if mark:
                found[key.strip()] = value.strip()
    return found


def seconds(text: str | None) -> float | None:
    """Return a duration of systemd in seconds, as far as it is a plain one."""
    units = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "ms": 0.001, "h": 3600.0}
    number = (text or "").rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = (text or "")[len(number) :]
    with contextlib.suppress(ValueError):
        return float(number) * units[unit] if unit in units else None
    return None


def _unit(file: str) -> dict[str, Any]:
    settings = unit_settings(file)
    for_user = "/user/" in file
    wanted = os.path.join(os.path.dirname(file), "*.wants")
    import glob

    name = os.path.basename(file)
    linger = os.path.join(LINGER, str(os.environ.get("USER", "")))
    return {
        "unit": file,
        "unit_enabled": bool(glob.glob(os.path.join(wanted, name))),
        "unit_current": _has_version(file),
        "unit_notify": settings.get("Type", "simple").startswith("notify"),
        "lingers": os.path.exists(linger) if for_user else None,
        "watchdog": seconds(settings.get("WatchdogSec")),
    }


def _has_version(file: str) -> bool:
    """Return whether the program that the unit starts exists."""
    words = unit_settings(file).get("ExecStart", "").split()
    return bool(words) and os.path.exists(words[0].lstrip("-@:+!"))


def _same(entry: registry.Entry, paths: Paths, config: str | None) -> bool:
    return entry.paths.logs == paths.logs or (config is not None and entry.config == config)


def page_facts(deployment: Deployment | None) -> PageFacts | None:
    """Return what is known of the page, if the deployment has one."""
    import importlib.util

    for name, spec in deployment.services.items() if deployment is not None else ():
        if spec.kind == "web":
            options: Any = spec.options
            found = map(importlib.util.find_spec, ("starlette", "uvicorn"))
            return PageFacts(
                service=name,
                host=str(getattr(options, "host", "127.0.0.1")),
                tls=bool(getattr(options, "tls", None)),
                extra=all(each is not None for each in found),
                public_url=getattr(options, "public_url", None),
            )
    return None
