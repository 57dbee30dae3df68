"""Kind object, several instances, and readiness by a command: with the installed command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from Pyro5.client import Proxy
from Pyro5.errors import CommunicationError

from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from tests.harness import Deployment

HERE = Path(__file__).parent
NS = '[services.ns]\nkind = "nameserver"\nport = 0\nrestart_delay = 0\n'
OBJECT = f'kind = "object"\npath = "{HERE}"\nrestart_delay = 0\n'
MARKET = f'[services.market]\n{OBJECT}object = "things:Single"\npyro_name = "market"\n'


def name_server(deployment: Deployment) -> Proxy:
    proxy = Proxy(deployment.service("ns")["uri"])
    proxy._pyroTimeout = 20
    return proxy


def registered(deployment: Deployment) -> dict[str, str]:
    with name_server(deployment) as ns:
        return dict(ns.list())


def values(deployment: Deployment, key: str, *names: str) -> dict[str, object]:
    """Return one value of each service's row."""
    rows = deployment.json("status", *names, code=None)["data"]["services"]
    return {row["name"]: row[key] for row in rows}


def call(uri: str, method: str) -> object:
    with Proxy(uri) as proxy:
        proxy._pyroTimeout = 20
        return getattr(proxy, method)()


# --- kind object ----------------------------------------------------------------------------------


def test_a_users_class_is_a_service(deployment: Deployment) -> None:
    """`start` returns when it can be called by its name; `stop` removes process and name."""
    deployment.configure(NS + MARKET + 'needs = ["ns"]\nmetadata = ["quotes"]\n')
    deployment.run("start")
    row = deployment.service("market")
    assert (row["state"], row["kind"]) == ("running", "object")
    assert "registered as market" in row["detail"]
    with name_server(deployment) as ns:
        uri, metadata = ns.lookup("market", return_metadata=True)
    assert (str(uri), set(metadata)) == (row["uri"], {"quotes"})
    assert [call(row["uri"], "count"), call(row["uri"], "count")] == [1, 2]
    deployment.run("stop", "market")
    assert not is_alive(row["pid"])
    assert "market" not in registered(deployment)


def test_a_module_beside_the_configuration_is_found(deployment: Deployment) -> None:
    """It works without a `path`, and for a module in a package."""
    package = deployment.root / "lab"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text((HERE / "things.py").read_text())
    deployment.configure('[services.part]\nkind = "object"\nobject = "lab.parts:make()"\n')
    deployment.run("start")
    assert call(deployment.service("part")["uri"], "count") == 1


def test_a_held_proxy_recovers_by_connecting_again(deployment: Deployment) -> None:
    """Restarted or killed, the object is back under its URI; only the old connection breaks."""
    deployment.configure(MARKET.replace('pyro_name = "market"\n', ""))
    deployment.run("start")
    with Proxy(deployment.service("market")["uri"]) as proxy:
        proxy._pyroTimeout = 20
        first = proxy.pid
        deployment.run("restart", "market")
        with pytest.raises(CommunicationError):
            proxy.count()
        second = proxy.pid
        os.kill(second, signal.SIGKILL)
        with pytest.raises(CommunicationError):
            proxy.count()
        third = proxy.pid  # a client that comes too early waits and isn't refused
    assert len({first, second, third}) == 3
    eventually(lambda: deployment.service("market")["restarts"] == 1)


def test_it_is_registered_again_in_a_name_server_that_came_back_empty(
    deployment: Deployment,
) -> None:
    """This holds for a restart and a crash of the name server; the object's process stays."""
    deployment.configure(NS + MARKET + 'needs = ["ns"]\n')
    deployment.run("start")
    before = deployment.service("market")
    deployment.run("restart", "ns")
    assert registered(deployment)["market"] == before["uri"]
    os.kill(deployment.service("ns")["pid"], signal.SIGKILL)
    eventually(lambda: deployment.service("ns")["restarts"] == 1)
    eventually(lambda: deployment.state("ns") == "running")
    eventually(lambda: "market" in registered(deployment))
    assert deployment.service("market")["pid"] == before["pid"]


def test_a_class_that_can_not_be_imported_fails_at_once(deployment: Deployment) -> None:
    """Exit 1 with the module and where it was searched; failed without another try."""
    deployment.configure(
        f'[services.market]\n{OBJECT}object = "nowhere:Market"\n'
        '[services.other]\nkind = "command"\ncommand = ["sleep", "1000"]\nready = { delay = 0 }\n'
    )
    deployment.run("start", "other")
    failed = deployment.run("start", "market", code=1)
    assert "can't import nowhere: there is no module nowhere" in failed.stderr
    assert str(HERE) in failed.stderr
    assert str(deployment.root) in failed.stderr
    row = deployment.service("market")
    assert (row["exit"]["code"], row["restarts"]) == (125, 0)


def test_by_itself_it_ends_as_failed(deployment: Deployment) -> None:
    """With `run`, which continues, the state is failed, and it isn't restarted."""
    deployment.configure(
        f'[services.market]\n{OBJECT}object = "things:Hidden"\n'
        '[services.other]\nkind = "command"\ncommand = ["sleep", "1000"]\nready = { delay = 0 }\n'
    )
    with deployment.popen("run"):
        eventually(deployment.listens)
        eventually(lambda: deployment.state("market") == "failed")
        assert deployment.service("market")["restarts"] == 0
        assert "exposes nothing to clients" in deployment.run("logs", "market").stdout
        deployment.run("shutdown")


def test_one_that_prints_a_hundred_megabytes_does_no_harm(deployment: Deployment) -> None:
    """It gets its answer, the log stays bounded, the manager answers all the time."""
    deployment.configure(
        f'[services.loud]\n{OBJECT}object = "things:Loud"\n'
        'log = { max_bytes = 100_000, keep = 1 }\nenv = { PYTHONUNBUFFERED = "" }\n'
    )
    deployment.run("start")
    row = deployment.service("loud")
    with Proxy(row["uri"]) as proxy:
        proxy._pyroTimeout = 50
        assert proxy.shout(100) == 100
    assert deployment.service("loud")["pid"] == row["pid"]
    deployment.run("stop")
    logs = sum(file.stat().st_size for file in (deployment.root / "logs").glob("loud.*"))
    assert logs < 1_000_000


def test_an_object_is_served_over_tls_and_registered_in_a_plain_name_server(
    deployment: Deployment,
) -> None:
    """A client that trusts the certificate gets through; a plain one doesn't."""
    certificate(deployment.root)
    deployment.configure(
        NS + MARKET + 'needs = ["ns"]\nssl_servercert = "cert.pem"\nssl_serverkey = "key.pem"\n'
    )
    deployment.run("start")
    uri = registered(deployment)["market"]
    with Proxy(uri) as plain, pytest.raises(CommunicationError):
        plain._pyroTimeout = 20
        plain.count()
    client = f"import Pyro5.api as p; print(p.Proxy('{uri}').count())"
    trust = {"PYRO_SSL": "1", "PYRO_SSL_CACERTS": str(deployment.root / "cert.pem")}
    port = int(uri.rpartition(":")[2])
    with socket.create_connection(("localhost", port)):  # a silent client delays no other
        found = subprocess.run(
            [sys.executable, "-c", client],
            env={**deployment.env, **trust}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (found.stdout, found.returncode) == ("1\n", 0), found.stderr
    deployment.run("restart", "ns")
    assert registered(deployment)["market"] == uri


def certificate(directory: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=directory, check=True, capture_output=True,
    )  # fmt: skip


# --- instances ------------------------------------------------------------------------------------

WORKERS = f'[services.w]\n{OBJECT}object = "things:Counting"\npyro_name = "lab.w"\ninstances = 3\n'


def test_instances_are_services_with_a_common_name(deployment: Deployment) -> None:
    """Each has a state, a log, a number and a registered name; commands mean all, or one."""
    deployment.configure(
        NS + WORKERS + 'needs = ["ns"]\n'
        '[services.last]\nkind = "command"\ncommand = ["sleep", "1000"]\nneeds = ["w"]\n'
        "ready = { delay = 0 }\n"
        '[defaults.command]\nenv = { WHERE = "{w@3.host} {name}" }\n'
    )
    deployment.run("start", "last")
    environ = Path("/proc", str(values(deployment, "pid", "last")["last"]), "environ").read_bytes()
    assert b"WHERE=localhost last" in environ.split(b"\0")
    pids = values(deployment, "pid", "w")
    names = list(pids)
    assert names == ["w@1", "w@2", "w@3"]
    found = registered(deployment)
    assert [call(found[f"lab.w.{n}"], "instance") for n in (1, 2, 3)] == ["1", "2", "3"]
    deployment.run("restart", "w@2")
    after = values(deployment, "pid", "w")
    assert [name for name in names if pids[name] != after[name]] == ["w@2"]
    deployment.run("restart", "w")
    assert not set(after.values()) & set(values(deployment, "pid", "w").values())
    lines = deployment.json("logs", "w", "-n", "1000")["data"]["lines"]
    assert {line["service"] for line in lines} == set(names)
    deployment.run("stop", "w@3")
    states = values(deployment, "state", "w", "last")
    assert list(states.values()) == ["running", "running", "stopped", "stopped"]
    assert set(registered(deployment)) == {"Pyro.NameServer", "lab.w.1", "lab.w.2"}
    deployment.run("stop", "w")
    assert set(registered(deployment)) == {"Pyro.NameServer"}


def test_without_a_manager_the_common_name_is_known_too(deployment: Deployment) -> None:
    """`status w` shows all of them as stopped, `stop w` succeeds, `logs w` prints nothing."""
    deployment.configure(WORKERS)
    assert list(values(deployment, "state", "w")) == ["w@1", "w@2", "w@3"]
    deployment.run("status", "w@4", code=4)
    deployment.run("stop", "w")
    deployment.run("logs", "w")
    deployment.run("logs", "x", code=5)


def test_more_instances_leave_those_that_run_alone(deployment: Deployment) -> None:
    """A reload with another number starts or stops the difference."""
    deployment.configure(WORKERS.replace('pyro_name = "lab.w"\n', ""))
    deployment.run("start", "w")
    before = values(deployment, "pid", "w")
    deployment.configure(WORKERS.replace('pyro_name = "lab.w"\ninstances = 3', "instances = 4"))
    deployment.run("reload")
    after = values(deployment, "pid", "w")
    assert list(after) == ["w@1", "w@2", "w@3", "w@4"]
    assert {name: after[name] for name in before} == before
    assert values(deployment, "state", "w@4") == {"w@4": "running"}


def test_what_needs_instances_waits_for_all_of_them(deployment: Deployment) -> None:
    """It doesn't start before each of them is ready."""
    gate = deployment.root / "gate"
    worker = f'[ "$PYROCTL_INSTANCE" != 2 ] || [ -e {gate} ]'
    deployment.configure(
        '[services.w]\nkind = "command"\ncommand = ["sleep", "1000"]\ninstances = 2\n'
        f"ready = {{ command = ['sh', '-c', '{worker}'], every = 0.02 }}\n"
        '[services.last]\nkind = "command"\ncommand = ["sleep", "1000"]\nneeds = ["w"]\n'
        "ready = { delay = 0 }\n"
    )
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("w@1") == "running")
        assert (deployment.state("w@2"), deployment.state("last")) == ("starting", "stopped")
        gate.touch()
        start.communicate(timeout=20)
    assert deployment.state("last") == "running"


# --- readiness by a command -----------------------------------------------------------------------


def test_a_command_decides_when_a_service_is_ready(deployment: Deployment) -> None:
    """It runs as the service does: its directory and environment; tried until it exits with 0."""
    (deployment.root / "inside").mkdir()
    deployment.configure(
        '[services.db]\nkind = "command"\ncommand = ["sleep", "1000"]\ncwd = "inside"\n'
        'env = { FILE = "open" }\n'
        "ready = { command = ['sh', '-c', 'echo x >> tries; test -e $FILE'], every = 0.02 }\n"
    )
    with deployment.popen("start") as start:
        eventually(deployment.listens)
        tries = deployment.root / "inside" / "tries"
        eventually(lambda: tries.exists() and len(tries.read_text()) > 8)
        assert deployment.state("db") == "starting"
        (deployment.root / "inside" / "open").touch()
        start.communicate(timeout=20)
    assert (start.returncode, deployment.state("db")) == (0, "running")
    assert len(deployment.processes()) >= 2


@pytest.mark.parametrize("end", ["the service dies", "it is stopped", "the manager is killed"])
def test_a_try_that_hangs_ends_with_the_service(deployment: Deployment, end: str) -> None:
    """Neither it nor its children remain."""
    note = deployment.root / "pids"
    deployment.configure(
        '[services.db]\nkind = "command"\ncommand = ["sleep", "1001"]\nrestart = "never"\n'
        f"ready = {{ command = ['sh', '-c', 'echo $$$$ >> {note}; sleep 1002; true'] }}\n"
    )
    with deployment.popen("start"):
        eventually(lambda: note.exists() and note.read_text().endswith("\n"))
        pid = deployment.service("db")["pid"]
        if end == "the service dies":
            os.kill(pid, signal.SIGKILL)
        elif end == "it is stopped":
            deployment.run("stop", "db")
        else:
            deployment.kill_manager()
        eventually(lambda: not [c for c in deployment.processes().values() if "sleep" in c])
    assert not is_alive(int(note.read_text().split()[0]))


def test_a_command_that_can_not_be_executed_never_makes_it_ready(deployment: Deployment) -> None:
    """The start time-out ends it, as any other service that isn't ready in time."""
    deployment.configure(
        '[services.db]\nkind = "command"\ncommand = ["sleep", "1000"]\nrestart = "never"\n'
        'start_timeout = 0.5\nready = { command = "no-such-program", every = 0.05 }\n'
    )
    failed = deployment.run("start", code=1)
    assert "not ready within 0.5 s" in failed.stderr
