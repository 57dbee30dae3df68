"""`pyroctl doctor` with real deployments in which things are wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tarfile
from typing import TYPE_CHECKING, Any

from Pyro5.api import Proxy

from pyro_events import Publisher, Subscriber
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

CLIENT = """
import os, time
from pyro_events import Subscriber
class Sink(Subscriber):
    def event(self, event): pass
sink = Sink()
sink.subscribe("lab.heat")
print("ready", flush=True)
sink.listen()
"""
SCENE = f"""
[services.ns]
kind = "nameserver"
port = 0
[services.es]
kind = "eventservice"
port = 0
needs = ["ns"]
[services.sink]
kind = "command"
command = ["{sys.executable}", "-c", '''{CLIENT}''']
needs = ["ns"]
env_file = ["secrets.env"]
ready = {{ log = "ready" }}
[services.broken]
kind = "command"
command = ["sh", "-c", "echo no route to oven; exit 1"]
enabled = false
restart_delay = 0.0
start_limit = 3
"""


def checks(report: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the first finding of each check that has any."""
    return {each["check"]: each for each in reversed(report["data"]["findings"])}


def test_a_faulty_configuration_without_a_manager(deployment: Deployment) -> None:
    """It has its place, and exit status 1; variables that break Pyro5 are found, too."""
    deployment.configure('[services.es]\nkind = "eventservice"\nprot = 9\n')
    deployment.env |= {"PYRO_NSHOST": "lab", "PYRO_LOGLEVEL": "debug"}
    report = deployment.json("doctor", code=1)
    found = checks(report)
    assert found[18]["place"].endswith("pyroctl.toml:3")
    assert "port" in found[18]["text"] + found[18]["remedy"]
    assert "PYRO_NS_HOST" in found[2]["remedy"]
    assert "DEBUG" in found[3]["remedy"]
    assert {"doctor-18", "doctor-2", "doctor-3"} <= {each["code"] for each in report["errors"]}
    for form, words in (("nagios", "PYROCTL CRITICAL"), ("prometheus", "pyroctl_doctor_level{")):
        assert words in deployment.run("doctor", "--format", form, code=1).stdout
    deployment.run("doctor", "--format", "xml", code=2)


def test_a_port_that_another_program_has(deployment: Deployment) -> None:
    """By its pid; a port of the range that the system gives away is worth a warning."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        deployment.configure(f'[services.ns]\nkind = "nameserver"\nport = {port}\n')
        found = checks(deployment.json("doctor", code=1))
        assert (
            f"port {port} of ns is taken by another program (pid {os.getpid()}" in found[7]["text"]
        )
    healthy = deployment.json("doctor")
    assert 7 not in checks(healthy)
    assert healthy["data"]["unknown"] == []
    assert {each["check"] for each in healthy["data"]["checks"]} == set(range(1, 37))


def test_what_is_wrong_while_it_runs(deployment: Deployment) -> None:
    """Undeclared needs, dead and foreign names, silent subjects, a crash loop, an open secret."""
    secrets = deployment.root / "secrets.env"
    secrets.write_text("TOKEN=hush\n")
    secrets.chmod(0o644)
    deployment.configure(SCENE)
    deployment.run("start")
    deployment.run("start", "broken", code=1)
    uris = {row["name"]: row["uri"] for row in deployment.status()["services"]}
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = f"PYRO:old@127.0.0.1:{gone.getsockname()[1]}"
    with Proxy(uris["ns"]) as names:
        names.register("lab.old", dead)
        names.register("lab.other", uris["es"].replace("Pyro.EventService", "nothing"))

    class Plain(Subscriber):
        def event(self, event: object) -> None:
            """Take it."""

    with Publisher(uris["es"]) as publisher, Plain(uris["es"]) as waiting:
        waiting.subscribe("lab.haet")
        deployment.run("es", "subjects", "--seconds", "0")
        publisher.publish("lab.heta", 20)
        flowing = deployment.json("es", "subjects", "--seconds", "0")["data"]["subjects"]
        report = deployment.json("doctor", code=1)
    assert [(row["subject"], row["listeners"]) for row in flowing] == [("lab.heta", 0)]
    found = checks(report)
    texts = "\n".join(each["text"] for each in report["data"]["findings"])
    assert "sink is connected to es, and doesn't need it" in found[22]["text"]
    assert 'services.sink.needs = ["ns", "es"]' in found[22]["remedy"]
    assert f"the name lab.old leads to {dead}: nobody listens there" in texts
    assert "the name lab.other leads to" in texts
    assert "there is no such object there" in texts
    assert "2 belong to no service" in found[13]["text"]
    assert "broken" in found[23]["text"]
    assert "no route to oven" in found[23]["text"]
    assert found[19]["place"] == str(secrets)
    assert "nobody hears lab.heta" in texts
    assert "lab.heat" in found[33]["remedy"]
    assert "lab.old" in found[34]["text"]
    assert report["data"]["unknown"] == []
    bundle = deployment.root / "help.tar.gz"
    deployment.run("doctor", "--bundle", str(bundle), code=1)
    assert bundle.stat().st_mode & 0o777 == 0o600
    with tarfile.open(bundle) as tar:
        files = {each.name: tar.extractfile(each) for each in tar}
        content = {name: file.read().decode() for name, file in files.items() if file is not None}
    assert "hush" not in "".join(content.values())
    assert json.loads(content["pyroctl-doctor/config.json"])["sink"]["env"]["TOKEN"] == "********"
    assert "no route to oven" in content["pyroctl-doctor/logs/broken.log"]
    assert "exists" in deployment.run("doctor", "--bundle", str(bundle), code=1).stderr


def test_a_manager_that_does_not_answer(deployment: Deployment) -> None:
    """It is a problem, and the doctor ends all the same."""
    deployment.configure('[services.a]\nkind = "command"\ncommand = ["sleep", "1000"]\n')
    deployment.run("start")
    manager = deployment.manager_pid()
    os.kill(manager, signal.SIGSTOP)
    try:
        report = deployment.json("doctor", code=1)
    finally:
        os.kill(manager, signal.SIGCONT)
    assert "does not answer" in checks(report)[18]["text"]
    eventually(lambda: deployment.state("a") == "running")
