"""`pyroctl secret new`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from Pyro5.api import Proxy
from Pyro5.errors import CommunicationError

from pyro_events import identified
from pyro_events.ident import read_ident

if TYPE_CHECKING:
    from tests.harness import Deployment

ES = """\
[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]
ident_file = "es.secret"
"""


def test_a_new_secret_is_private_and_random(deployment: Deployment) -> None:
    """32 bytes as text in a file of mode 0600, whose path and use are shown, and not the secret."""
    done = deployment.run("secret", "new")
    file = deployment.root / "es.secret"
    assert done.stdout == f"{file}\n"
    assert 'ident_file = "es.secret"' in done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    secret = read_ident(str(file))
    assert len(secret) >= 43
    assert secret not in done.stdout + done.stderr
    other = deployment.root / "other"
    assert deployment.json("secret", "new", str(other))["data"] == {"file": str(other)}
    assert read_ident(str(other)) != secret


def test_a_secret_is_not_overwritten(deployment: Deployment) -> None:
    """Unless --force replaces it: clients have copies of it. Nothing else is left there."""
    file = deployment.root / "key"
    file.write_text("precious")
    refused = deployment.run("secret", "new", str(file), code=1).stderr
    assert f"{file} already exists" in refused
    assert file.read_text() == "precious"
    deployment.run("secret", "new", "--force", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() != "precious"
    assert [path.name for path in deployment.root.iterdir()] == ["key"]
    refused = deployment.run("secret", "new", str(deployment.root / "no" / "key"), code=1).stderr
    assert "No such file or directory" in refused


def test_a_secret_is_on_no_command_line(deployment: Deployment) -> None:
    """The event service and `es listen` get the path of the file; and they know each other."""
    deployment.configure(ES)
    deployment.run("secret", "new")
    deployment.run("start")
    secret = read_ident(str(deployment.root / "es.secret"))
    with deployment.popen("es", "listen", "--count", "1") as listening:
        while not deployment.json("es", "subscriptions")["data"]["subscriptions"]:
            pass
        lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in deployment.processes()]
        assert [line for line in lines if "--ident-file" in line]
        assert not [line for line in lines if secret in line]
        deployment.run("es", "publish", "a", "b")
        assert listening.wait(20) == 0


def test_a_secret_of_one_client(deployment: Deployment) -> None:
    """It has the client's name, and is appended to the file of the service, whose mode stays."""
    deployment.run("secret", "new")
    service, camera = deployment.root / "es.secret", deployment.root / "camera"
    service.write_text(service.read_text().strip())
    service.chmod(0o640)
    options = ("secret", "new", "--name", "camera-2", "--into", str(service), str(camera))
    done = deployment.run(*options)
    first, second = service.read_text().splitlines()
    assert camera.read_text() == f"{second}\n"
    assert second.startswith("camera-2 ")
    assert second.split()[1] not in done.stdout + done.stderr
    assert camera.stat().st_mode & 0o777 == 0o600
    assert service.stat().st_mode & 0o777 == 0o640
    refused = deployment.run(*options[:-1], "other", code=1).stderr
    assert "has a secret for camera-2 already" in refused
    assert not (deployment.root / "other").exists()
    shared = deployment.run("secret", "new", "--into", str(service), "other", code=1).stderr
    assert "has a secret without a name already" in shared
    assert service.read_text().splitlines() == [first, second]
    deployment.run("secret", "new", "--name", "a b", "other", code=2)
    absent = deployment.run("secret", "new", "--into", "absent", "other", code=1).stderr
    assert "cannot read absent" in absent


def test_a_deployment_with_an_identification(deployment: Deployment) -> None:
    """Everything of ours works with it: the commands, the name server, a stock proxy, a restart."""
    deployment.configure(f'{ES}on_restart = "handover"\n')
    deployment.run("secret", "new")
    service, stage = deployment.root / "es.secret", deployment.root / "stage"
    deployment.run("start")
    uri = deployment.service("es")["uri"]
    with deployment.popen("es", "listen", "--count", "2") as listening:
        while not deployment.json("es", "subscriptions")["data"]["subscriptions"]:
            pass
        deployment.run("es", "publish", "a", "b")
        deployment.run("secret", "new", "--name", "stage", "--into", str(service), str(stage))
        with Proxy(uri) as unknown, pytest.raises(CommunicationError, match="identified"):
            unknown.publish("a", 1)
        with Proxy(uri) as es, pytest.raises(CommunicationError, match="wrong identification"):
            identified(es, stage).publish("a", 1)
        deployment.run("restart", "es")
        with Proxy(uri) as es:
            identified(es, stage).publish("a", 2)
        assert listening.wait(20) == 0
