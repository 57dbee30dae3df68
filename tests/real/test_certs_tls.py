"""Mutual TLS with the files of `pyroctl certs`, between two sockets, and who is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyro_wire.tls.errors import not_allowed
from pyroctl.certs.site import create_site
from tests.tls import connect, of_file

if TYPE_CHECKING:
    from tests.harness import Deployment

Folders = tuple[Path, Path]
PAST = datetime.now(UTC) - timedelta(days=700)


def made(deployment: Deployment, *args: str) -> Path:
    """Return the directory that a command prints."""
    return Path(deployment.run("certs", *args).stdout.strip())


@pytest.fixture
def folders(deployment: Deployment) -> Folders:
    """The directories of a server and a client of the site."""
    deployment.run("certs", "init", "lab")
    server = made(deployment, "server", "localhost", "127.0.0.1", "--name", "lab-pc")
    return server, made(deployment, "client", "camera-2")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_both_sides_know_each_other(folders: Folders, host: str) -> None:
    """With every check that OpenSSL has; the names are those that were given."""
    server, client = connect(folders[0], folders[1], host)
    assert (server.failure, client.failure) == ("", "")
    assert server.peer == of_file(folders[1] / "cert.pem")
    assert (server.peer.name, server.peer.hosts) == ("camera-2", ())
    assert (client.peer.name, client.peer.hosts) == ("lab-pc", ("localhost", "127.0.0.1"))


def test_a_server_is_a_client_of_other_servers(folders: Folders) -> None:
    """One certificate is enough for a service that also calls others."""
    server, client = connect(folders[0], folders[0], "localhost")
    assert server.peer == client.peer


def test_another_host(folders: Folders) -> None:
    """The client names the hosts of the certificate; the server hears that it was refused."""
    server, client = connect(folders[0], folders[1], "elsewhere")
    assert client.failure == (
        "the other side's certificate (lab-pc) is for localhost, 127.0.0.1, and not for elsewhere"
    )
    assert server.failure == (
        "the other side refuses our certificate (lab-pc): it may want another host than localhost,"
        " 127.0.0.1"
    )


def test_another_ca(folders: Folders, deployment: Deployment, tmp_path: Path) -> None:
    """Both sides show the CAs, as `certs list` does."""
    deployment.place = ["--root", str(tmp_path / "other")]
    deployment.run("certs", "init", "other")
    stranger = made(deployment, "client", "stranger")
    theirs, ours = (of_file(f / "ca.pem").fingerprint[:16] for f in (stranger, folders[0]))
    shutil.copy(folders[0] / "ca.pem", stranger)  # it trusts our server
    server, client = connect(folders[0], stranger, "localhost")
    assert (
        server.failure == "the other side's certificate is from another CA (ours is " + ours + "…)"
    )
    assert client.failure == (
        f"the other side refuses our certificate (stranger): it knows another CA than ours"
        f" ({theirs}…)"
    )
    _, client = connect(made(deployment, "server", "localhost"), folders[1], "localhost")
    assert client.failure == (
        f"the other side's certificate (localhost) is from another CA (theirs is {theirs}…, ours is"
        f" {ours}…)"
    )


def test_no_certificate(folders: Folders) -> None:
    """A client without one is refused, and both sides hear why."""
    server, client = connect(folders[0], None, "localhost")
    assert server.failure == "the other side has sent no certificate"
    assert client.failure == "the other side wants a certificate, and we have none"


def test_expired(deployment: Deployment) -> None:
    """Both sides know since when. `certs list` shows it with status 3, `certs renew` repairs it."""
    site = create_site(str(deployment.root / "certs"), "lab", PAST)
    for name, hosts, days in (("pc", ["localhost"], 1), ("old", [], 1), ("new", [], 9999)):
        site.issue(name, hosts, PAST, days, replace=False)
    pc, old, new = (Path(site.folder(name)) for name in ("pc", "old", "new"))
    since = f"{PAST + timedelta(days=1):%Y-%m-%d %H:%M} UTC"
    server, client = connect(pc, new, "localhost")
    assert client.failure == f"the other side's certificate (pc) expired on {since}"
    assert server.failure == (f"the other side refuses our certificate (pc): it expired on {since}")
    listed = deployment.run("certs", "list", code=3).stdout
    states = {line.split()[0]: line.split()[2] for line in listed.splitlines()}
    assert states == {
        "NAME": "STATE",
        "lab": "ca",
        "pc": "expired",
        "old": "expired",
        "new": "valid",
    }

    deployment.run("certs", "renew", "pc", "--days", "20")
    server, client = connect(pc, new, "localhost")
    assert (server.failure, client.failure) == ("", "")
    server, client = connect(pc, old, "localhost")
    assert server.failure == "the other side's certificate, or that of its CA, has expired"
    assert client.failure.startswith("the other side refuses our certificate (old): it expired on")
    renewed = deployment.run("certs", "renew").stdout.split()
    assert [Path(file).parent.name for file in renewed] == ["old"]
    server, client = connect(pc, old, "localhost")
    assert (server.failure, client.failure) == ("", "")


def test_a_removed_key_is_known_from_clients_toml(folders: Folders, deployment: Deployment) -> None:
    """Its certificate is still good for OpenSSL; the service tells when it was removed."""
    file = deployment.root / "certs" / "clients.toml"
    copy = deployment.root / "copy"
    shutil.copytree(folders[1], copy)
    server, _ = connect(folders[0], copy, "localhost")
    assert tomllib.loads(file.read_text())["clients"]["camera-2"] == server.peer.fingerprint
    deployment.run("certs", "remove", "camera-2")
    server, _ = connect(folders[0], copy, "localhost")
    content = tomllib.loads(file.read_text())
    assert content["clients"].keys() == {"lab-pc"}
    removed = content["removed"][server.peer.fingerprint]
    assert removed["name"] == "camera-2"
    sentence = not_allowed(server.peer, removed["time"])
    assert re.fullmatch(r"the certificate \(camera-2\) was removed on [-\d]+ [\d:]+ UTC", sentence)


def test_a_replaced_ca(folders: Folders, deployment: Deployment) -> None:
    """`init --force` and `renew` move a site to a new CA; the keys stay those of before."""
    before = [of_file(folder / "cert.pem").fingerprint for folder in folders]
    deployment.run("certs", "init", "--force")
    states = [
        row["state"] for row in deployment.json("certs", "list", code=3)["data"]["certificates"]
    ]
    assert states == ["valid", "other CA", "other CA"]
    deployment.run("certs", "renew")
    deployment.run("certs", "list")
    server, client = connect(folders[0], folders[1], "localhost")
    assert [client.peer.fingerprint, server.peer.fingerprint] == before


def test_openssl_accepts_what_is_made(folders: Folders, deployment: Deployment) -> None:
    """`openssl verify`, as strict as it can be, for both purposes."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    ca = deployment.root / "certs" / "ca" / "cert.pem"
    checks = [
        (folders[0], "sslserver -verify_hostname localhost"),
        (folders[0], "sslserver -verify_ip 127.0.0.1"),
        (folders[0], "sslclient"),
        (folders[1], "sslclient"),
    ]
    for folder, words in checks:
        subprocess.run(
            f"openssl verify -x509_strict -CAfile {ca} -purpose {words} {folder}/cert.pem".split(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    show = "openssl x509 -noout -ext subjectAltName,basicConstraints -in"
    shown = subprocess.run(
        [*show.split(), folders[1] / "cert.pem"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "URI:pyro://lab/client/camera-2" in shown.stdout
    assert "CA:FALSE" in shown.stdout


def test_an_existing_ca(deployment: Deployment) -> None:
    """`--ca-cert` and `--ca-key` take one that openssl has made, here with an RSA key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key = deployment.root / "ours.pem", deployment.root / "ours.key"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {cert} -days 99"
        " -subj /O=Institute/CN=Root -addext keyUsage=critical,keyCertSign".split(),
        check=True,
        capture_output=True,
    )
    key.chmod(0o644)
    files = ["--ca-cert", str(cert), "--ca-key", str(key)]
    refused = deployment.run("certs", "init", *files, code=1).stderr
    assert f"other users can read {key} (mode 0644), so it isn't used" in refused
    key.chmod(0o600)
    deployment.run("certs", "init", "lab", *files)
    server = made(deployment, "server", "localhost")
    client = made(deployment, "client", "c")
    assert [side.failure for side in connect(server, client, "localhost")] == ["", ""]
    assert of_file(client / "cert.pem").end <= of_file(cert).end  # one year would be longer
