"""Names tell the truth: what runs is in the name server, and what has ended isn't."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from Pyro5.client import Proxy

from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Deployment

NAMED = Path(__file__).parent / "named.py"
THINGS = Path(__file__).parent
NS = '[services.ns]\nkind = "nameserver"\nport = 0\nrestart_delay = 0\n'


def named(service: str, *words: str, ready: str, more: str = "") -> str:
    """A command that registers names; its table."""
    command = ", ".join(f'"{word}"' for word in ("python", str(NAMED), *words))
    return (
        f'[services.{service}]\nkind = "command"\ncommand = [{command}]\nneeds = ["ns"]\n'
        f"ready = {ready}\nrestart_delay = 0.05\n{more}\n"
    )


def registered(deployment: Deployment) -> dict[str, tuple[str, set[str]]]:
    """Return all names with URI and metadata, without the name server's own."""
    with Proxy(deployment.service("ns")["uri"]) as ns:
        ns._pyroTimeout = 20
        found: dict[str, Any] = ns.list(return_metadata=True)
    return {n: (str(u), set(m)) for n, (u, m) in found.items() if n != "Pyro.NameServer"}


def kill(deployment: Deployment, service: str) -> None:
    """Kill a service, and wait until it runs again."""
    row = deployment.service(service)
    os.kill(row["pid"], signal.SIGKILL)
    eventually(
        lambda: (
            (r := deployment.service(service))["state"] == "running"
            and r["restarts"] > row["restarts"]
        )
    )


def has_ended(deployment: Deployment, service: str, state: str = "failed") -> None:
    eventually(lambda: deployment.state(service) == state, f"{service} is {state}")


OWN = (
    f'[services.own]\nkind = "object"\nobject = "things:Single"\npath = "{THINGS}"\n'
    'pyro_name = "own"\nmetadata = ["m"]\nneeds = ["ns"]\n'
)
EVERY_READINESS = NS + "".join(
    [
        named("log", "log.1", "log.2", "log.3", ready='{ log = "log.3: uri = (PYRO:\\\\S+)" }'),
        named("delay", "delay.1", "delay.2", ready="{ delay = 0.01 }"),
        named("name", "name.1", "name.2", ready='{ pyro_name = "name.1" }'),
        named("notify", "notify.1", ready='"notify"'),
        named("unix", "unix.1", "--unix", ready='"notify"'),
        named("pair", "pair.$PYROCTL_INSTANCE", ready='"notify"', more="instances = 2").replace(
            f'"python", "{NAMED}", "pair.$PYROCTL_INSTANCE"',
            f'"sh", "-c", "exec {sys.executable} {NAMED} pair.$$PYROCTL_INSTANCE"',
        ),
        OWN,
    ]
)
ALL = {
    *("log.1", "log.2", "log.3", "delay.1", "delay.2", "name.1", "name.2", "notify.1"),
    *("unix.1", "pair.1", "pair.2", "own"),
}


def test_every_name_of_a_running_service_is_restored(deployment: Deployment) -> None:
    """After kill -9 and after a restart, with metadata, whatever the kind and the readiness."""
    deployment.configure(EVERY_READINESS)
    deployment.run("start")
    eventually(lambda: registered(deployment).keys() == ALL)  # `delay` counts as ready early
    before = registered(deployment)
    pids = {row["name"]: row["pid"] for row in deployment.status()["services"]}
    kill(deployment, "ns")
    eventually(lambda: registered(deployment) == before, "restored")
    assert before["log.2"][1] == {"of log.2", "thing"}
    assert deployment.run("restart", "ns", "--safe").stderr.count("lost") == 0
    assert registered(deployment) == before
    after = {row["name"]: row["pid"] for row in deployment.status()["services"]}
    assert {name for name in pids if pids[name] != after[name]} == {"ns"}


def test_names_that_come_late_or_go_are_followed(deployment: Deployment) -> None:
    """A name that another program registers for a service counts; a removed one stays removed."""
    deployment.configure(NS + named("log", "log.1", "log.2", ready='{ log = "log.2" }'))
    deployment.run("start")
    with Proxy(deployment.service("ns")["uri"]) as ns:
        ns._pyroTimeout = 20
        uri = str(ns.lookup("log.1"))
        ns.register("late", uri, metadata={"x"})
        with Proxy(uri) as service:
            service.change("set_metadata", "log.1", ["new"])
            service.change("remove", "log.2")
        ns.register("foreign", "PYRO:x@localhost:1")
        ns.register("elsewhere", uri.partition("@")[0] + "@192.0.2.1:" + uri.rpartition(":")[2])
    kill(deployment, "ns")
    eventually(
        lambda: registered(deployment) == {"late": (uri, {"x"}), "log.1": (uri, {"new"})},
        "restored",
    )
    lost = "ns has lost names that belong to no service here: elsewhere, foreign"
    eventually(lambda: lost in deployment.manager_log(), lost)


@pytest.mark.parametrize("storage", ["memory", "sql:names.sqlite"])
def test_names_of_a_killed_process_are_gone_before_the_next_one(
    deployment: Deployment, storage: str
) -> None:
    """`register(safe=True)` works in it, and with a persistent storage, too."""
    deployment.configure(
        NS
        + f'storage = "{storage}"\n'
        + named("w", "w.1", "w.2", "--safe", ready='{ log = "w.2" }')
    )
    deployment.run("start")
    before = registered(deployment)
    for _ in range(3):
        kill(deployment, "w")
    after = registered(deployment)
    assert before.keys() == after.keys() == {"w.1", "w.2"}
    assert not {uri for uri, _ in before.values()} & {uri for uri, _ in after.values()}
    for name in ("ns", "w"):
        os.kill(deployment.service(name)["pid"], signal.SIGKILL)
    eventually(lambda: all(deployment.service(n)["restarts"] for n in ("ns", "w")))
    eventually(lambda: deployment.state("w") == deployment.state("ns") == "running")
    eventually(lambda: registered(deployment).keys() == {"w.1", "w.2"})


def test_a_process_that_ends_right_after_it_has_registered_leaves_no_name(
    deployment: Deployment,
) -> None:
    """The start limit ends it, and not a name that it has left itself."""
    deployment.configure(
        NS + named("w", "w.1", "w.2", "--safe", "--crash", ready='"notify"', more="start_limit = 3")
    )
    deployment.run("start", code=1)
    has_ended(deployment, "w")
    assert registered(deployment) == {}
    assert "already registered" not in deployment.run("logs", "w").stdout
    assert "exit code 3" in deployment.run("status", "w", code=None).stdout


def test_names_of_stopped_services_are_no_reason_for_a_warning(deployment: Deployment) -> None:
    """`--safe` refuses because of a foreign name only, and names that one."""
    deployment.configure(NS + named("dome", "dome", ready='{ pyro_name = "dome" }'))
    deployment.run("start")
    deployment.run("stop", "dome")
    assert registered(deployment) == {}
    deployment.run("restart", "ns", "--safe")
    deployment.run("start")
    with Proxy(deployment.service("ns")["uri"]) as ns:
        ns.register("foreign", "PYRO:x@localhost:1")
    refused = deployment.run("restart", "ns", "--safe", code=1)
    assert "    foreign\n" in refused.stderr
    assert "dome" not in refused.stderr


def test_the_next_manager_knows_the_names(deployment: Deployment) -> None:
    """It asks for them when it takes the services over."""
    deployment.configure(
        '[manager]\norphans = "adopt"\n' + NS + named("log", "log.1", ready='{ log = "log.1" }')
    )
    deployment.run("start")
    before = registered(deployment)
    deployment.kill_manager()
    deployment.run("start")
    deployment.was_killed = False
    assert registered(deployment) == before
    kill(deployment, "ns")
    eventually(lambda: registered(deployment) == before, "restored")
    os.kill(deployment.service("log")["pid"], signal.SIGKILL)
    eventually(lambda: deployment.service("log")["restarts"] == 1)
    eventually(lambda: deployment.state("log") == "running")
    assert registered(deployment).keys() == {"log.1"}
    assert registered(deployment) != before


# --- a name server outside the deployment ---------------------------------------------------------


@pytest.fixture
def outside() -> Iterator[str]:
    """`HOST:PORT` of a name server that belongs to nobody here."""
    command = [sys.executable, "-m", "pyro_names", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().rpartition("@")[2]
        finally:
            process.kill()


@pytest.mark.parametrize("where", ["ns", "env", "manager", "env beside a name server"])
def test_a_name_is_awaited_where_the_service_registers_it(
    deployment: Deployment, outside: str, where: str
) -> None:
    """Asked is `ns`, else what the service finds in its environment; also by the watchdog."""
    host, port = outside.split(":")
    ns = f', ns = "{outside}"' if where == "ns" else ""
    variables = f'{{ PYRO_NS_HOST = "{host}", PYRO_NS_PORT = "{port}" }}'
    table = named(
        "w", "w.1", ready=f'{{ pyro_name = "w.1"{ns} }}',
        more="watchdog = { every = 0.1, timeout = 2, failures = 2 }\n"
        + (f"env = {variables}\n" if where != "manager" else ""),
    )  # fmt: skip
    if where == "manager":
        deployment.env |= {"PYRO_NS_HOST": host, "PYRO_NS_PORT": port}
    beside = where == "env beside a name server"
    deployment.configure(NS + table if beside else table.replace('needs = ["ns"]\n', ""))
    deployment.run("start")
    row = deployment.service("w")
    with Proxy(f"PYRO:Pyro.NameServer@{outside}") as names:
        assert row["uri"] == str(names.lookup("w.1"))
    with Proxy(row["uri"]) as thing:
        assert thing.pid() == row["pid"]
    os.kill(row["pid"], signal.SIGSTOP)
    eventually(lambda: deployment.service("w")["restarts"] == 1, "the watchdog has found it")


def test_a_name_without_any_name_server_is_found_before_the_start(deployment: Deployment) -> None:
    """`config check` warns with the place and what to write; `ns` settles it."""
    table = named("w", "w.1", ready='{ pyro_name = "w.1" }').replace('needs = ["ns"]\n', "")
    file = deployment.configure(table)
    checked = deployment.run("config", "check").stderr
    assert f"{file}:4:1: services.w.ready: nothing tells in which name server" in checked
    assert 'add ns = "HOST:PORT"' in checked
    deployment.configure(table.replace('"w.1" }', '"w.1", ns = "localhost:9099" }'))
    assert "nothing tells" not in deployment.run("config", "check").stderr
    deployment.configure(table + 'env = { PYRO_NS_HOST = "lab" }\n')
    assert "nothing tells" not in deployment.run("config", "check").stderr
