"""Checks 26, 27, 31 and 36: the manager's place on its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroctl.doctor.finding import note, problem, warning
from pyroctl.paths import LONGEST_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.doctor.facts import Facts
    from pyroctl.doctor.finding import Finding

RELOAD = 5.0
"""Seconds that a reload may take, in which the manager still answers systemd."""


def doubles(facts: Facts) -> Iterator[Finding]:
    """Left-over sockets, second deployments, and an old program that still runs."""
    place = facts.place
    if place.stale_socket:
        text = f"{place.socket} is left over: no manager listens there"
        yield note(text, place.socket, "pyroctl start replaces it")
    for other in place.others:
        text = f"another deployment runs with the same configuration or directory: {other}"
        yield warning(text, other, "pyroctl ls lists them; shut one down")
    if place.running not in {None, place.installed}:
        text = f"{place.installed} is installed, and the manager still runs {place.running}"
        yield warning(text, "the manager", "pyroctl reexec")


def directories(facts: Facts) -> Iterator[Finding]:
    """Where sockets are, and who can reach them."""
    place = facts.place
    if place.runtime_home is None and not facts.host.privileged:
        text = "XDG_RUNTIME_DIR isn't set, as under cron and su"
        remedy = "export XDG_RUNTIME_DIR=/run/user/$(id -u), or use --root"
        yield note(text, "the environment of this command", remedy)
    if len(place.socket.encode()) > LONGEST_PATH:
        text = f"{place.socket} is too long for a socket ({LONGEST_PATH} bytes)"
        yield note(text, place.socket, "use a shorter --root, so that other tools find it, too")
    for directory in place.wide_open:
        text = f"others can enter {directory}, where the manager's socket is"
        yield problem(text, directory, f"chmod 700 {directory}")
    for disk in facts.disks:
        if disk.network:
            text = f"{disk.path} is on a network file system: locks and sockets may not work there"
            yield warning(text, disk.path, "use a --root on a local disk")


def boot(facts: Facts) -> Iterator[Finding]:
    """Whether the deployment comes back after a reboot."""
    place = facts.place
    if not facts.host.systemd:
        return
    if place.unit is None:
        yield note(
            "nothing starts this deployment at boot",
            *("systemd", "pyroctl unit systemd > …; systemctl enable --now …"),
        )
        return
    if place.unit_enabled is False:
        text = f"{place.unit} isn't enabled, so nothing starts at boot"
        yield warning(text, place.unit, "systemctl enable it")
    if place.unit_current is False:
        text = f"{place.unit} isn't what this version would write"
        yield note(text, place.unit, "pyroctl unit systemd prints it")
    if place.lingers is False:
        text = "your services end when you log out"
        yield warning(text, place.unit, "loginctl enable-linger")


def first_process(facts: Facts) -> Iterator[Finding]:
    """Check what process 1 and systemd do with the manager."""
    host, place = facts.host, facts.place
    if host.unreaped:
        text = f"process 1 ({host.first_process}) leaves {host.unreaped} dead processes unreaped"
        yield warning(
            text, "process 1", "use an init: docker run --init, or pyroctl run as process 1"
        )
    if place.unit is not None and not place.unit_notify:
        text = f"{place.unit} isn't Type=notify: systemd doesn't know when services are up"
        yield warning(text, place.unit, "pyroctl unit systemd prints a better one")
    if place.watchdog is not None and place.watchdog < RELOAD:
        text = f"WatchdogSec is {place.watchdog:g} s, and a reload may take {RELOAD:g}"
        yield warning(text, str(place.unit), "set WatchdogSec=30")
