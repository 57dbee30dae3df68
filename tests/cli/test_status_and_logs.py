"""The output of commands: status, logs, help, errors and the envelope."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.harness import BIN
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment

ROW_KEYS = {
    *("name", "kind", "state", "pid", "uptime_s", "restarts", "uri", "exit", "needs"),
    *("cpu_percent", "cpu_seconds", "rss_bytes", "fault", "detail"),
}


def test_the_envelope_has_the_same_form_with_and_without_a_manager(deployment: Deployment) -> None:
    """Programs find the same keys in both cases."""
    deployment.configure(service("laser", "gate", "/"))
    down = deployment.json("status", code=3)
    deployment.run("start")
    up = deployment.json("status")
    for envelope in (down, up):
        assert envelope.keys() == {"pyroctl", "command", "status", "exit_code", "data", "errors"}
        assert (envelope["pyroctl"], envelope["command"]) == (1, ["status"])
        assert envelope["data"].keys() == {"manager", "services"}
        manager = envelope["data"]["manager"]
        assert manager.keys() == {
            "pid", "state", "config", "uptime_s", "version", "remote", "certificates",
        }  # fmt: skip
        assert manager["config"] == str(deployment.root / "pyroctl.toml")
        (row,) = envelope["data"]["services"]
        assert row.keys() == ROW_KEYS
    assert (down["status"], down["exit_code"]) == ("error", 3)
    assert (up["status"], up["exit_code"], up["errors"]) == ("success", 0, [])
    (error,) = down["errors"]
    assert error.keys() >= {"code", "message", "hint", "service", "file", "line"}


def test_some_running_is_partial(deployment: Deployment) -> None:
    """The exit status is 3, and the envelope's status is partial."""
    deployment.configure(service("laser", "gate", "/") + service("other", "gate", "/"))
    deployment.run("start", "laser")
    assert deployment.json("status", code=3)["status"] == "partial"
    assert deployment.json("status", "laser")["status"] == "success"


def test_the_table_shows_the_state_for_people(deployment: Deployment) -> None:
    """Each service is one line, coloured only on request or on a terminal."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    plain = deployment.run("status").stdout
    assert "laser    running" in plain
    assert "PYRO:zoo@localhost:1" in plain
    assert "\x1b[" not in plain
    assert "\x1b[32mrunning\x1b[0m" in deployment.run("status", "--color", "always").stdout
    deployment.env["FORCE_COLOR"] = "1"
    assert "\x1b[" in deployment.run("status").stdout
    deployment.env["NO_COLOR"] = "1"
    assert "\x1b[" not in deployment.run("status", "--color", "never").stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_watch_shows_changes_until_ctrl_c(deployment: Deployment, as_json: bool) -> None:
    """The table, or an object per line, repeats; Ctrl-C exits with the last status."""
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    args = ["status", "--watch", "--interval", "0.05", *(["--json"] if as_json else [])]
    with deployment.popen(*args) as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline() for _ in range(2)]
        if as_json:
            assert {json.loads(line)["services"][0]["name"] for line in lines} == {"laser"}
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=20)
    assert watch.returncode == 0


def test_logs_show_the_last_lines_whatever_a_service_writes(deployment: Deployment) -> None:
    """Each line is shown once and in order, invalid UTF-8 replaced; `-n` counts lines."""
    deployment.configure(service("feed", "chatter", "20000", ready='{ log = "half a line" }'))
    deployment.run("start")
    lines = deployment.json("logs", "feed", "-n", "20003")["data"]["lines"]
    printed = [line["text"] for line in lines if not line["text"].startswith("[pyroctl]")]
    assert printed[:20000] == [f"line {n}" for n in range(20000)]
    assert printed[20000] == "half a line, and \ufffd\ufffd\x00 bytes"
    assert lines[0].keys() == {"time", "service", "text", "stream"}
    assert len(deployment.run("logs", "feed", "-n", "3").stdout.splitlines()) == 3


def test_logs_are_there_without_a_manager(deployment: Deployment) -> None:
    """The logs remain readable after a shutdown."""
    deployment.configure(service("feed", "chatter", "2", ready='{ log = "line 1" }'))
    deployment.run("start")
    deployment.run("shutdown")
    assert "line 1" in deployment.run("logs").stdout
    assert "line 1" in deployment.run("logs", "--since", "5m").stdout
    assert deployment.run("logs", "--since", "2100-01-01").stdout == ""
    assert "--since 'soon'" in deployment.run("logs", "--since", "soon", code=2).stderr


def test_logs_follow_across_a_rotation(deployment: Deployment) -> None:
    """`-f` prints new lines across a rotation until Ctrl-C (130)."""
    gate = deployment.root / "gate"
    script = f"until test -e {gate}; do sleep 0.01; done; seq 1 3000; exec sleep 1000"
    deployment.configure(
        '[services.feed]\nkind = "command"\nready = { delay = 0 }\n'
        f'command = ["sh", "-c", "{script}"]\nlog = {{ max_bytes = 20_000, keep = 50 }}'
    )
    deployment.run("start")
    with deployment.popen("logs", "-f", "feed", "--json") as follow:
        assert follow.stdout is not None
        while "running" not in json.loads(follow.stdout.readline())["text"]:
            pass
        gate.touch()
        seen = [json.loads(follow.stdout.readline())["text"] for _ in range(3000)]
        follow.send_signal(signal.SIGINT)
        follow.communicate(timeout=20)
    assert seen == [str(n) for n in range(1, 3001)]
    assert follow.returncode == 130
    assert (deployment.root / "logs" / "feed.log.1").exists()


def test_a_closed_pipe_is_not_an_error(deployment: Deployment) -> None:
    """`pyroctl logs | head -1` exits silently."""
    deployment.configure(service("feed", "chatter", "20000", ready='{ log = "half a line" }'))
    deployment.run("start")
    with deployment.popen("logs", "-n", "20000") as logs:
        assert logs.stdout is not None
        logs.stdout.readline()
        logs.stdout.close()
        assert logs.stderr is not None
        assert logs.stderr.read() == ""
    assert logs.returncode == 0


def test_usage_errors_exit_two_with_a_hint(deployment: Deployment) -> None:
    """A wrong command or option is one sentence with a hint, or an envelope with --json."""
    assert "did you mean 'status'?" in deployment.run("statsu", code=2).stderr
    assert "pyroctl status --help" in deployment.run("status", "--nonsense", code=2).stderr
    envelope = deployment.json("restart", code=2)
    assert (envelope["status"], envelope["errors"][0]["code"]) == ("error", "usage")


def test_help_and_version_are_everywhere(deployment: Deployment) -> None:
    """Every command has -h and --help; bare `pyroctl` prints the help and exits with 0."""
    assert "Examples:" in deployment.run().stdout
    assert deployment.run("--version").stdout.startswith("pyroctl, version ")
    for command in ("run", "start", "status", "logs", "config", "completion"):
        assert deployment.run(command, "-h").stdout == deployment.run(command, "--help").stdout


def test_global_options_work_before_and_after_the_command(deployment: Deployment) -> None:
    """Both positions have the same effect."""
    path = deployment.configure(service("laser", "gate", "/"))
    other = path.rename(deployment.root / "other.toml")
    for args in (("-c", str(other), "config", "path"), ("config", "path", "--config", str(other))):
        assert deployment.run(*args).stdout == f"{other}\n"
    before = deployment.run("--json", "-c", str(other), "config", "path")
    assert json.loads(before.stdout)["data"]["file"] == str(other)


def test_a_deployment_in_a_very_deep_directory_works(deployment: Deployment) -> None:
    """The path of the socket may exceed the 107 bytes of a Unix socket address."""
    deployment.root = deployment.root.joinpath(*["deep" * 10] * 4)
    deployment.root.mkdir(parents=True)
    deployment.configure(service("laser", "gate", "/"))
    deployment.run("start")
    assert deployment.state("laser") == "running"
    deployment.run("restart", "laser")


def test_completion_knows_commands_and_services_without_starting_anything(
    deployment: Deployment,
) -> None:
    """The completions are those that bash asks for."""
    deployment.configure(service("laser", "gate", "/") + service("lamp", "gate", "/"))
    words = [f"pyroctl --root {deployment.root} restart la", "pyroctl st"]
    found = []
    for line in words:
        env = deployment.env | {
            "_PYROCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        out = subprocess.run(
            [BIN / "pyroctl"], env=env, capture_output=True, text=True, check=False
        ).stdout
        found.append({row.partition(",")[2] for row in out.splitlines()})
    assert found == [{"laser", "lamp"}, {"start", "stop", "status"}]
    assert not deployment.processes()
