"""Finding what runs: `ls`, `ping`, `env` and `exec`, and the words of other tools."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.harness import Deployment, eventually
from tests.real.test_main_job import PAIR
from tests.real.test_start_and_stop import service

NS = '[services.ns]\nkind = "nameserver"\nport = 0\n'


@pytest.fixture
def listed(deployment: Deployment) -> Deployment:
    """A deployment whose user has no other ones."""
    deployment.env["XDG_STATE_HOME"] = str(deployment.root / "home state")
    return deployment


def test_ls_lists_what_runs_and_nothing_else(listed: Deployment) -> None:
    """Name, pid, root and configuration; a killed manager is not listed."""
    path = listed.configure('[manager]\nname = "lab"\n' + service("laser", "gate", "/"))
    assert listed.json("ls")["data"] == {"deployments": []}
    assert "no deployment is running" in listed.run("ls").stderr
    listed.run("start")
    (entry,) = listed.json("ls")["data"]["deployments"]
    pid = listed.manager_pid()
    assert entry == {"name": "lab", "pid": pid, "root": str(listed.root), "config": str(path)}
    head, line = listed.run("ls").stdout.splitlines()
    assert head.split() == ["NAME", "PID", "ROOT", "CONFIGURATION"]
    assert line.split() == ["lab", str(pid), str(listed.root), str(path)]
    listed.run("reexec")
    assert [e["pid"] for e in listed.json("ls")["data"]["deployments"]] == [pid]
    listed.kill_manager()
    eventually(lambda: not listed.processes())
    assert listed.json("ls")["data"] == {"deployments": []}
    listed.run("start")
    assert len(listed.json("ls")["data"]["deployments"]) == 1
    listed.run("shutdown")
    assert listed.json("ls")["data"] == {"deployments": []}
    assert not list((listed.root / "home state" / "pyroctl" / "running").iterdir())


def test_what_does_not_run_is_named(listed: Deployment) -> None:
    """Whoever has the wrong configuration learns which one it is, and that another one runs."""
    path = listed.configure(service("laser", "gate", "/"))
    alone = listed.run("es", "subscriptions", code=None).stderr
    assert f"no manager is running ({path})" in alone
    assert "pyroctl ls" not in alone
    listed.run("start")
    other = Deployment(listed.root / "other")
    other.root.mkdir()
    other.env = listed.env
    printed = other.run("es", "subscriptions", code=None).stderr
    assert "no manager is running (the built-in deployment)" in printed
    assert "other deployments run, see pyroctl" in printed


def test_ping_is_about_the_manager_only(deployment: Deployment) -> None:
    """0 when it answers, whatever its services do; 4 when it doesn't run or is frozen."""
    deployment.configure(service("laser", "die", "1", more='restart = "never"'))
    assert "no manager is running" in deployment.run("ping", code=4).stderr
    deployment.configure(service("laser", "die", "1") + service("lamp", "gate", "/"))
    deployment.run("start", "lamp")
    pid = deployment.manager_pid()
    assert f"the manager (pid {pid}) answers" in deployment.run("ping").stdout
    assert deployment.json("ping")["data"]["pid"] == pid
    os.kill(pid, signal.SIGSTOP)
    try:
        deployment.run("ping", code=4)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_programs_find_the_name_server(deployment: Deployment) -> None:
    """`env` prints lines for a shell, `exec` runs a program and passes its exit status on."""
    deployment.configure(NS + service("lamp", "gate", "/"))
    for args in (("env",), ("exec", "--", "true")):
        assert "no manager is running" in deployment.run(*args, code=7).stderr
    deployment.run("start")
    host, _, port = deployment.service("ns")["uri"].rpartition("@")[2].rpartition(":")
    lines = deployment.run("env").stdout
    assert lines == f"export PYRO_NS_HOST='{host}'\nexport PYRO_NS_PORT='{port}'\n"
    assert deployment.run("env", "lamp").stdout == lines
    expected = {"env": {"PYRO_NS_HOST": host, "PYRO_NS_PORT": port}}
    assert deployment.json("env")["data"] == expected
    program = "import Pyro5.api; print(Pyro5.api.locate_ns()._pyroUri.port); raise SystemExit(9)"
    done = deployment.run("exec", "--", sys.executable, "-c", program, code=9)
    assert done.stdout == f"{port}\n"
    script = "echo $1; kill -PIPE $$"
    done = deployment.run("exec", "lamp", "--", "sh", "-c", script, "-", "--x", code=-13)
    assert done.stdout == "--x\n"
    assert "cannot run nosuch" in deployment.run("exec", "--", "nosuch", code=1).stderr
    assert "exec -- ls -l" in deployment.run("exec", "ls", "-l", code=2).stderr
    deployment.run("env", "lasr", code=5)
    deployment.run("stop", "ns")
    assert "the name server ns is stopped" in deployment.run("env", code=1).stderr


def test_of_several_name_servers_a_service_has_its_own(deployment: Deployment) -> None:
    """The one that it needs is meant."""
    other = NS.replace("services.ns", "services.other")
    lamp = service("lamp", "gate", "/", more='needs = ["other"]')
    deployment.configure(NS + other + lamp)
    deployment.run("start")
    port = deployment.service("other")["uri"].rpartition(":")[2]
    for name in ("lamp", "other"):
        assert deployment.json("env", name)["data"]["env"]["PYRO_NS_PORT"] == port
    assert deployment.json("env")["data"]["env"]["PYRO_NS_PORT"] != port


def test_without_a_name_server_there_is_no_environment(deployment: Deployment) -> None:
    """The error says what to do."""
    deployment.configure(service("lamp", "gate", "/"))
    deployment.run("start")
    assert 'kind = "nameserver"' in deployment.run("env", code=1).stderr


def test_words_of_other_tools_are_understood(deployment: Deployment) -> None:
    """Some are commands, others lead to the right one."""
    deployment.configure(service("lamp", "gate", "/"))
    assert deployment.json("up")["command"] == ["start"]
    assert deployment.json("ps")["command"] == ["status"]
    assert deployment.json("down")["command"] == ["shutdown"]
    assert deployment.run("help").stdout == deployment.run("--help").stdout
    assert deployment.run("help", "ps").stdout == deployment.run("status", "--help").stdout
    assert deployment.run("help", "config", "set").stdout.startswith("Usage: pyroctl config set")
    assert deployment.run("version").stdout == deployment.run("--version").stdout
    hints = {
        "reboot": "restart",
        "list": "status",
        "stat": "'status'",
        "kill": "stop",
        "log": "'logs'",
    }
    for word, right in hints.items():
        assert right in deployment.run(word, code=2).stderr.splitlines()[1]


@pytest.mark.parametrize("group", ["config", "es", "unit"])
def test_a_bare_group_prints_its_help(deployment: Deployment, group: str) -> None:
    """As bare `pyroctl` does, with exit status 0."""
    assert deployment.run(group).stdout == deployment.run(group, "--help").stdout


def test_a_usage_error_names_the_help_of_its_command(deployment: Deployment) -> None:
    """Also where an option lacks its value."""
    assert "hint: pyroctl logs --help" in deployment.run("logs", "lamp", "-n", code=2).stderr
    assert "hint: pyroctl config set --help" in deployment.run("config", "set", code=2).stderr


def test_logs_of_a_service_that_never_started(deployment: Deployment) -> None:
    """It is reported, and not passed over in silence."""
    deployment.configure(service("lamp", "gate", "/") + service("laser", "gate", "/"))
    assert "no service was ever started" in deployment.run("logs").stderr
    deployment.run("start", "lamp")
    assert "laser was never started" in deployment.run("logs", "laser").stderr
    assert deployment.run("logs").stderr == ""
    with deployment.popen("logs", "-f", "laser") as follow:
        assert follow.stderr is not None
        assert "laser was never started" in follow.stderr.readline()


def test_counts_agree_with_their_nouns(deployment: Deployment) -> None:
    """One of something is not many."""
    deployment.configure(PAIR)
    deployment.run("start")
    program = (
        "import os, threading; from pyro_events import Subscriber\n"
        "class S(Subscriber):\n    def event(self, event): pass\n"
        "s = S(os.environ['ES']); s.subscribe('x'); print('ready', flush=True); s.listen()"
    )
    env = deployment.env | {"ES": deployment.service("es")["uri"]}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE
    ) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        try:
            assert "1 subscriber, " in deployment.run("status").stdout
            said = deployment.run("restart", "es").stderr
            assert "1 aware subscriber notified, 1 returned" in said
            said = deployment.run("restart", "es", "--handover").stderr
            assert "handed over with 1 subscriber (" in said
        finally:
            listener.kill()
