"""Managers renew the certificates of their hosts, with the CA or by asking the host that has it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pyroctl.certs.files import JOINED
from pyroctl.certs.held import facts_of, joined_toml
from pyroctl.certs.names import checked_host
from pyroctl.certs.site import Site, create_site
from tests.harness import Deployment, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = """
[services.idle]
kind = "command"
command = "sleep 1000"
"""
REMOTE = """
[manager.remote]
listen = "127.0.0.1:0"
name = "lab-server"
"""
DAY = timedelta(days=1)


def two_thirds_over(seconds: float = -60) -> datetime:
    """Return when a certificate for one day was made whose renewal is in that many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds) - DAY + (DAY + timedelta(hours=1)) / 3


def issued(site: Site, name: str, *, hosts: tuple[str, ...] = (), soon: float = -60) -> Path:
    site.issue(name, hosts, two_thirds_over(soon), 1, replace=False)
    return Path(site.folder(name))


def end(folder: Path) -> datetime:
    return facts_of(str(folder / "cert.pem")).lifetime.end


def until_renewed(folder: Path) -> Callable[[], bool]:
    before = end(folder)
    return lambda: end(folder) > before + timedelta(hours=1)


def row(host: Deployment, name: str) -> dict:
    (found,) = [one for one in host.status()["manager"]["certificates"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


def test_both_hosts_renew_in_time(deployment: Deployment, tmp_path: Path) -> None:
    """At two thirds, at once or when a running manager gets there; the keys stay."""
    site = create_site(str(deployment.root / "certs"), "lab", datetime.now(UTC) - 30 * DAY)
    site.issue("lab-server", (checked_host("127.0.0.1"),), datetime.now(UTC), 90, replace=False)
    late = issued(site, "late")
    soon = issued(site, "soon", soon=4)
    late_renewed, soon_renewed = until_renewed(late), until_renewed(soon)
    away = issued(site, "camera-1")
    key = (soon / "key.pem").read_bytes()
    other = Deployment(tmp_path / "other")
    other.root.mkdir()
    folder = other.root / "certs" / "issued" / "camera-1"
    folder.parent.mkdir(parents=True, mode=0o700)
    shutil.move(str(away), folder)  # as after a join: the key is only there
    away.mkdir(mode=0o700)
    for name in ("cert.pem", "ca.pem"):
        shutil.copy(folder / name, away)
    deployment.configure(CONFIG + REMOTE)
    deployment.run("start")
    eventually(late_renewed, "renewed at the start")
    eventually(soon_renewed, "renewed at its time")
    assert (soon / "key.pem").read_bytes() == key

    port = deployment.status()["manager"]["remote"]["port"]
    (folder / JOINED).write_bytes(joined_toml("127.0.0.1:1", "lab"))
    (folder / JOINED).chmod(0o600)
    renewed = until_renewed(folder)
    other.configure(CONFIG)
    other.run("start")
    error = eventually(lambda: row(other, "camera-1")["error"])
    assert "no manager answers at 127.0.0.1:1: Connection refused" in error
    status = other.run("status")
    assert "the certificate camera-1 expires in 0 days" in status.stderr
    assert "can't be renewed: no manager answers" in status.stderr

    (folder / JOINED).write_bytes(joined_toml(f"127.0.0.1:{port}", "lab"))
    other.run("shutdown")
    other.run("start")
    eventually(renewed, "renewed by the host with the CA")
    eventually(lambda: row(other, "camera-1")["error"] is None)
    assert "the certificate camera-1 is renewed until" in other.manager_log()
    assert row(other, "camera-1")["due"] is False
    assert (away / "cert.pem").read_bytes() == (folder / "cert.pem").read_bytes()
    other.close()


def test_certificates_of_services_elsewhere_are_watched(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Status names them by file, with a manager and without; events tell; nobody renews them."""
    elsewhere = create_site(str(tmp_path / "elsewhere"), "lab", datetime.now(UTC) - 30 * DAY)
    place = issued(elsewhere, "es", hosts=("localhost",))
    here = create_site(str(deployment.root / "certs"), "lab", datetime.now(UTC) - 30 * DAY)
    issued(here, "own", soon=10_000)
    file = str(place / "cert.pem")
    before = end(place)
    deployment.configure(
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        f'[services.es]\nkind = "eventservice"\nneeds = ["ns"]\ntls = "both"\n'
        f'tls_certificate = "{file}"\n'
    )
    assert row(deployment, file)["due"]
    deployment.run("start")
    found = row(deployment, file)
    assert (found["due"], found["error"]) == (True, None)
    assert {one["name"] for one in deployment.status()["manager"]["certificates"]} == {"own", file}
    assert f"the certificate {file} expires" in deployment.run("status").stderr
    eventually(lambda: f"the certificate {file} expires on" in deployment.manager_log())
    assert end(place) == before
