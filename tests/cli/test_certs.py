"""`pyroctl certs`: what it makes and shows, and what it refuses."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyroctl.certs.site import Site, create_site

if TYPE_CHECKING:
    from tests.harness import Deployment


def directory(deployment: Deployment) -> Path:
    return deployment.root / "certs"


def clients(deployment: Deployment) -> dict[str, str]:
    found: dict[str, str] = tomllib.loads((directory(deployment) / "clients.toml").read_text())[
        "clients"
    ]
    return found


def test_a_site_in_three_commands(deployment: Deployment) -> None:
    """Each prints the directory of what it has made, where every file is private."""
    assert deployment.run("certs", "init", "lab").stdout == f"{directory(deployment)}\n"
    server = deployment.run("certs", "server", "lab-pc", "10.0.0.5").stdout.strip()
    client = deployment.json("certs", "client", "camera-2", "--days", "90")["data"]
    listed = deployment.json("certs", "list")["data"]
    assert (listed["site"], listed["directory"]) == ("lab", str(directory(deployment)))
    rows = {row["name"]: row for row in listed["certificates"]}
    assert [(name, row["kind"]) for name, row in rows.items()] == [
        ("lab CA", "ca"), ("camera-2", "client"), ("lab-pc", "server"),
    ]  # fmt: skip
    assert {row["state"] for row in rows.values()} == {"valid"}
    assert rows["lab-pc"]["hosts"] == ["lab-pc", "10.0.0.5"]
    assert rows["lab-pc"]["directory"] == server
    assert {**client, "state": "valid", "due": False} == rows["camera-2"]
    left = datetime.fromisoformat(client["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    assert clients(deployment) == {
        name: rows[name]["fingerprint"] for name in ("camera-2", "lab-pc")
    }
    for path in directory(deployment).rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    text = deployment.run("certs", "list").stdout
    assert rows["lab-pc"]["fingerprint"] in text


def test_nothing_is_overwritten(deployment: Deployment) -> None:
    """A second `init`, `server` or `client` needs --force, which makes a new key."""
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "server", "a")
    first = clients(deployment)
    before = {p: p.read_bytes() for p in directory(deployment).rglob("*") if p.is_file()}
    for args in (("init",), ("server", "b", "--name", "a"), ("client", "a")):
        assert "already" in deployment.run("certs", *args, code=1).stderr
    assert before == {p: p.read_bytes() for p in directory(deployment).rglob("*") if p.is_file()}
    deployment.run("certs", "client", "a", "--force")
    assert clients(deployment).keys() == {"a"}
    assert clients(deployment) != first
    removed = tomllib.loads((directory(deployment) / "clients.toml").read_text())["removed"]
    assert removed.keys() == set(first.values())


def test_what_was_removed_can_be_made_again(deployment: Deployment) -> None:
    """Its files are gone; a name that isn't known is refused with the nearest one."""
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "client", "camera-2")
    refused = deployment.run("certs", "remove", "camera-1", code=1).stderr
    assert "there is no certificate for camera-1" in refused
    assert "did you mean 'camera-2'?" in refused
    assert deployment.json("certs", "remove", "camera-2")["data"] == {"name": "camera-2"}
    assert clients(deployment) == {}
    assert not (directory(deployment) / "issued" / "camera-2").exists()
    deployment.run("certs", "remove", "camera-2", code=1)
    deployment.run("certs", "renew", "camera-2", code=1)
    deployment.run("certs", "client", "camera-2")
    assert clients(deployment).keys() == {"camera-2"}


def test_what_list_finds_beside_clients_toml(deployment: Deployment) -> None:
    """Keys whose certificate isn't here are listed, and certificates whose key isn't let in."""
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "client", "a")
    deployment.run("certs", "client", "b")
    file = directory(deployment) / "clients.toml"
    file.write_text(file.read_text().replace("\na = ", "\nelsewhere = "))
    rows = deployment.json("certs", "list")["data"]["certificates"]
    states = {row["name"]: row["state"] for row in rows}
    assert states == {"lab CA": "valid", "a": "not allowed", "b": "valid", "elsewhere": "not here"}
    assert "is not in clients.toml" in deployment.run("certs", "renew", "a", code=1).stderr
    deployment.run("certs", "remove", "elsewhere")


def test_list_warns_by_its_exit_status(deployment: Deployment) -> None:
    """It is 3 if a certificate is due in 30 days; `renew` alone renews the due ones."""
    now = datetime.now(UTC)
    site = create_site(str(directory(deployment)), "lab", now - timedelta(days=400))
    for name, days in (("due", 379), ("early", 440), ("fine", 3000)):  # 29, 90 and 2650 left
        site.issue(name, [], now - timedelta(days=350), days, replace=False)
    listed = deployment.json("certs", "list", code=3)
    assert listed["errors"] == []
    states = {row["name"]: row["state"] for row in listed["data"]["certificates"]}
    assert states == {"lab CA": "valid", "due": "due", "early": "valid", "fine": "valid"}
    before = clients(deployment)
    renewed = deployment.json("certs", "renew")["data"]["certificates"]
    assert [one["name"] for one in renewed] == ["due", "early"]  # past two thirds
    assert clients(deployment) == before
    left = datetime.fromisoformat(renewed[0]["expires"]) - now
    assert left > timedelta(days=378)
    some = deployment.json("certs", "renew", "nobody", "fine", code=1)
    assert (some["status"], some["errors"][0]["message"]) == (
        "partial", "there is no certificate for nobody",
    )  # fmt: skip
    assert [one["name"] for one in some["data"]["certificates"]] == ["fine"]
    assert "two thirds" in deployment.run("certs", "renew").stderr
    deployment.run("certs", "list")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("client", "../x"), "can't be a name"),
        (("client", "a/b"), "can't be a name"),
        (("client", "a\nb\x1b[1m"), r"'a\nb\x1b[1m' can't be a name"),
        (("client", ""), "can't be a name"),
        (("client", ".hidden"), "can't be a name"),
        (("client", "x" * 61), "has 61 characters"),
        (("client", "a", "--days", "0"), "--days"),
        (("remove", "../ca"), "can't be a name"),
        (("renew", ".."), "can't be a name"),
        (("init", "a b"), "can't be a name"),
        (("init", "a", "--ca-cert", "x"), "belong together"),
        (("init", "a", "--ca-cert", "x", "--ca-key", "x", "--days", "9"), "--days is for a new CA"),
        (("server", "localhost:9099"), "neither a host name nor an address"),
        (("server", "*.lab"), "neither a host name nor an address"),
        (("server", "300.0.0.1"), "is not a valid address"),
        (("server", "fe80::1%eth0"), "has a scope"),
        (("server", "::1"), "can't be a name"),
        (("server",), "Missing argument"),
    ],
)
def test_bad_words(deployment: Deployment, args: tuple[str, ...], message: str) -> None:
    """Each is an error of usage with a sentence, and nothing is written."""
    create_site(str(directory(deployment)), "lab", datetime.now(UTC))
    before = sorted(directory(deployment).rglob("*"))
    envelope = deployment.json("certs", *args, code=2)
    assert message in envelope["errors"][0]["message"]
    assert sorted(directory(deployment).rglob("*")) == before


def test_without_a_ca(deployment: Deployment) -> None:
    """Each command names `certs init`; nothing is made."""
    for args in (("server", "a"), ("client", "a"), ("list",), ("renew",), ("remove", "a")):
        refused = deployment.run("certs", *args, code=1).stderr
        assert f"there is no CA in {directory(deployment)}" in refused
        assert f"pyroctl --root {deployment.root} certs init" in refused
    assert not directory(deployment).exists()


def test_a_key_that_others_can_read(deployment: Deployment) -> None:
    """The CA's key is refused; a directory that others may enter is closed again."""
    deployment.run("certs", "init", "lab")
    key = directory(deployment) / "ca" / "key.pem"
    key.chmod(0o640)
    refused = deployment.run("certs", "client", "a", code=1).stderr
    assert f"other users can read {key} (mode 0640), so it isn't used" in refused
    key.chmod(0o600)
    directory(deployment).chmod(0o755)
    deployment.run("certs", "client", "a")
    assert directory(deployment).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ca/cert.pem", "nonsense", "is not a certificate in PEM"),
        ("ca/key.pem", "nonsense", "has no private key in PEM"),
        ("clients.toml", "site = 1", "site must be a name"),
        ("clients.toml", "site =", "Invalid value"),
        ("clients.toml", 'site = "a"\nclients = { b = "c" }', "clients.b"),
        ("clients.toml", 'site = "a"\nclient = {}', "there is no key 'client'"),
        ("clients.toml", "\udcff", "can't be used"),
    ],
)
def test_broken_files(deployment: Deployment, name: str, content: str, message: str) -> None:
    """The file and the reason are named, and nothing else is changed."""
    deployment.run("certs", "init", "lab")
    file = directory(deployment) / name
    file.write_bytes(content.encode(errors="surrogateescape"))
    (error,) = deployment.json("certs", "client", "a", code=1)["errors"]
    assert message in error["message"]
    assert error["file"] == str(file)
    assert not (directory(deployment) / "issued").exists()


def test_a_ca_that_does_not_fit(deployment: Deployment) -> None:
    """`init` takes neither a client's certificate nor another CA's key."""
    site = create_site(str(deployment.root / "other"), "other", datetime.now(UTC))
    site.issue("a", [], datetime.now(UTC), 9, replace=False)
    ca, leaf = Path(site.directory) / "ca", Path(site.folder("a"))
    for cert, key, message in (
        (leaf / "cert.pem", leaf / "key.pem", "is not the certificate of a CA"),
        (ca / "cert.pem", leaf / "key.pem", "doesn't belong to the key"),
        (ca / "key.pem", ca / "key.pem", "is not a certificate in PEM"),
        (ca / "no.pem", ca / "key.pem", "No such file"),
        (deployment.root, ca / "key.pem", "is not a file"),
    ):
        refused = deployment.run(
            "certs", "init", "--ca-cert", str(cert), "--ca-key", str(key), code=1
        )
        assert message in refused.stderr
    assert not (directory(deployment) / "ca").exists()


def test_a_wrong_clock(deployment: Deployment) -> None:
    """Before the CA begins and after it has ended, nothing is issued, and the dates are shown."""
    now = datetime.now(UTC)
    create_site(str(directory(deployment)), "lab", now + timedelta(days=3))
    refused = deployment.run("certs", "client", "a", code=1).stderr
    assert "the clock shows" in refused
    assert "the CA is valid only from" in refused
    assert "not yet valid" in deployment.run("certs", "list").stdout
    create_site(str(directory(deployment)), "lab", now - timedelta(days=30), days=7, replace=True)
    assert "the CA expired on" in deployment.run("certs", "client", "a", code=1).stderr
    deployment.run("certs", "list", code=3)


def test_without_the_library(deployment: Deployment, tmp_path: Path) -> None:
    """The error names the extra; other commands never import it."""
    fake = tmp_path / "fake" / "cryptography"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise ImportError('none', name='cryptography')")
    deployment.env["PYTHONPATH"] = str(fake.parent)
    (error,) = deployment.json("certs", "init", code=1)["errors"]
    assert error["hint"] == "pip install 'pyroctl[tls]'"
    (fake / "__init__.py").write_text("__version__ = '38.0.4'")
    assert "version 42 or later" in deployment.run("certs", "list", code=1).stderr
    deployment.run("certs", "--help")
    deployment.run("status", code=None)


def test_commands_at_the_same_time(deployment: Deployment) -> None:
    """They wait for each other: no entry of clients.toml is lost."""
    deployment.run("certs", "init", "lab")
    names = [f"c{number}" for number in range(5)]
    started = [deployment.popen("certs", "client", name) for name in names]
    processes = [one.__enter__() for one in started]
    try:
        assert [process.wait(40) for process in processes] == [0] * len(names)
    finally:
        for one in started:
            one.__exit__(None, None, None)
    assert sorted(clients(deployment)) == names


def test_a_full_disk_leaves_the_old_clients(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal that can't be written raises, and the file is as before."""
    deployment.run("certs", "init", "lab")
    deployment.run("certs", "client", "a")
    before = clients(deployment)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Site(str(directory(deployment))).remove("a", datetime.now(UTC))
    assert clients(deployment) == before
    assert not list(directory(deployment).glob("*~"))
