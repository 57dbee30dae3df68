"""reload with real services: it changes only what is different, or nothing."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually, is_alive
from tests.real.test_main_job import PAIR
from tests.real.test_start_and_stop import service
from tests.real.test_warnings import on_a_terminal, plain_subscriber

if TYPE_CHECKING:
    from tests.harness import Deployment


def pids(deployment: Deployment) -> dict[str, int]:
    rows = deployment.json("status", code=None)["data"]["services"]
    return {row["name"]: row["pid"] for row in rows}


def steps(envelope) -> list[tuple[str, str]]:
    return [(step["action"], step["service"]) for step in envelope["data"]["plan"]]


def test_a_reload_touches_only_what_changed(deployment: Deployment) -> None:
    """Unchanged services keep their pids; new ones start, removed ones disappear from status."""
    trio = [service(name, "gate", "/") for name in ("a", "b", "gone")]
    deployment.configure("".join(trio))
    deployment.run("start")
    before = pids(deployment)
    assert steps(deployment.json("reload")) == []
    changed = service("b", "gate", "/", more='env = { PASSWORD = "1234" }\nstop_timeout = 3')
    new = service("new", "gate", "/", more='needs = ["b"]')
    deployment.configure(service("a", "gate", "/", more="stop_timeout = 7") + new + changed)
    planned = deployment.json("reload", "--dry-run")
    expected = [("remove", "gone"), ("update", "a"), ("restart", "b"), ("start", "new")]
    assert steps(planned) == expected
    assert pids(deployment) == before
    done = deployment.json("reload")
    assert done["data"]["plan"] == planned["data"]["plan"]
    assert [entry["service"] for entry in done["data"]["restarts"]] == ["b"]
    after = pids(deployment)
    assert list(after) == ["a", "new", "b"]
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]
    assert not is_alive(before["gone"])
    deployment.run("status", "gone", code=4)
    assert steps(deployment.json("reload")) == []
    text = deployment.run("reload", "--dry-run").stdout
    assert text.startswith("nothing to do")
    assert "1234" not in str(planned) + deployment.manager_log()


def test_live_keys_take_effect_in_the_process_that_runs(deployment: Deployment) -> None:
    """The restart policy of a running service changes without a restart."""
    deployment.configure(service("a", "gate", "/"))
    deployment.run("start")
    pid = pids(deployment)["a"]
    deployment.configure(service("a", "gate", "/", more='restart = "never"'))
    (step,) = deployment.json("reload")["data"]["plan"]
    assert step["action"] == "update"
    assert step["changes"] == [{"key": "restart", "old": "always", "new": "never", "live": True}]
    assert pids(deployment)["a"] == pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: deployment.state("a") == "failed")


BROKEN = {
    "syntax": ("[[[", "pyroctl.toml:1:3"),
    "unknown key": (
        '[services.a]\nkind = "command"\ncommand = "x"\ncolour = 1',
        "pyroctl.toml:4:1",
    ),
    "nobody": ("", "pyroctl.toml"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_configuration_that_does_not_load_changes_nothing(
    deployment: Deployment, kind: str
) -> None:
    """Exit 6 with file, line and key; on a signal, the manager logs them."""
    text, place = BROKEN[kind]
    deployment.configure(service("a", "gate", "/"))
    deployment.run("start")
    before = pids(deployment)
    path = deployment.configure(text)
    for command in (("reload",), ("reload", "--dry-run")):
        assert place in deployment.run(*command, code=6).stderr
    os.kill(deployment.manager_pid(), signal.SIGHUP)
    eventually(lambda: f"reload: {path}" in deployment.manager_log())
    assert pids(deployment) == before
    os.kill(before["a"], signal.SIGKILL)  # a crash is still taken care of
    eventually(lambda: pids(deployment)["a"] not in {None, before["a"]})
    path.unlink()
    assert "no such file" in deployment.run("reload", code=6).stderr.lower()


def test_a_drop_in_with_a_syntax_error_changes_nothing(deployment: Deployment) -> None:
    """The error names its line."""
    deployment.configure(service("a", "gate", "/"))
    deployment.run("start")
    dropin = deployment.root / "pyroctl.d" / "10.toml"
    dropin.parent.mkdir()
    dropin.write_text("[services.a]\nstop_timeout = =\n")
    assert f"{dropin}:2:16" in deployment.run("reload", code=6).stderr
    dropin.write_text("[services.a]\nstop_timeout = 2\n")
    assert steps(deployment.json("reload")) == [("update", "a")]


def test_sighup_is_a_reload(deployment: Deployment) -> None:
    """Repeated signals are reloads, too."""
    deployment.configure(service("a", "gate", "/"))
    deployment.run("start")
    before = pids(deployment)
    deployment.configure(service("a", "gate", "/") + service("b", "gate", "/"))
    for _ in range(5):
        os.kill(deployment.manager_pid(), signal.SIGHUP)
    eventually(lambda: pids(deployment).get("b"))
    assert pids(deployment)["a"] == before["a"]
    eventually(lambda: "reload: done, 0 steps" in deployment.manager_log())


def test_settings_with_which_a_service_does_not_run_are_rolled_back(deployment: Deployment) -> None:
    """Exit 1 with its last output, and everything is as before."""
    old = service("a", "gate", "/") + service("b", "gate", "/") + service("gone", "gate", "/")
    deployment.configure(old)
    deployment.run("start")
    before = pids(deployment)
    bad = service("b", "die", "3", "no such instrument", more='needs = ["new"]\nrestart = "never"')
    path = deployment.configure(
        service("a", "gate", "/", more="stop_timeout = 7") + service("new", "gate", "/") + bad
    )
    failed = deployment.run("reload", code=1)
    assert "no such instrument" in failed.stderr
    assert "undone" in failed.stderr
    after = pids(deployment)
    assert after.keys() == before.keys()
    assert after["a"] == before["a"]
    assert all(deployment.state(name) == "running" for name in before)
    assert "stop_timeout" in deployment.run("reload", "--dry-run").stdout
    path.write_text(old)
    assert steps(deployment.json("reload", "--dry-run")) == []


def test_a_reload_can_fix_a_failing_service(deployment: Deployment) -> None:
    """This works in every state of the failing service, and others continue."""
    gate = deployment.root / "gate"
    keen = "restart_delay = 0\nstart_limit = 100000\nstart_window = 1"
    crashing = service("b", "die_at_gate", str(gate), more=keen)
    deployment.configure(service("a", "gate", "/") + crashing)
    deployment.run("start")
    before = pids(deployment)
    gate.touch()
    eventually(lambda: deployment.service("b")["restarts"] > 3)
    deployment.configure(service("a", "gate", "/") + service("b", "gate", "/"))
    deployment.run("reload")
    assert deployment.state("b") == "running"
    assert pids(deployment)["a"] == before["a"]


def test_a_service_that_a_reload_has_repaired_is_started(deployment: Deployment) -> None:
    """So is what waited for it, even if a first attempt does not repair it."""
    waits = service("waits", "gate", "/", more='needs = ["bad"]')
    spare = service("spare", "gate", "/", more="enabled = false")

    def program(path: str) -> None:
        bad = f'[services.bad]\nkind = "command"\ncommand = ["{path}", "1000"]\n'
        deployment.configure(bad + waits + spare)

    program("/not/there")
    deployment.run("start", code=1)
    assert [deployment.state(name) for name in ("bad", "waits")] == ["failed", "stopped"]
    program("/not/there/either")
    assert "was down before" in deployment.run("reload", code=1).stderr
    assert steps(deployment.json("reload")) == []
    assert [deployment.state(name) for name in ("bad", "waits")] == ["failed", "stopped"]
    program("sleep")
    assert steps(deployment.json("reload")) == [("start", "bad")]
    eventually(lambda: deployment.state("waits") == "running")
    assert [deployment.state(name) for name in ("bad", "spare")] == ["running", "stopped"]


def test_ports_can_be_swapped(deployment: Deployment) -> None:
    """Two services that exchange ports both find them free."""
    first, second = free_ports(2)

    def pair(one: int, two: int) -> str:
        table = '[services.{}]\nkind = "nameserver"\nport = {}\n'
        return table.format("one", one) + table.format("two", two)

    deployment.configure(pair(first, second))
    deployment.run("start")
    deployment.configure(pair(second, first))
    done = deployment.json("reload", "--yes")
    assert steps(done) == [("stop", "two"), ("restart", "one"), ("start", "two")]
    uris = [str(deployment.service(name)["uri"]) for name in ("one", "two")]
    assert [uri.rpartition(":")[2] for uri in uris] == [str(second), str(first)]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def test_a_reload_during_a_reload_waits_and_reports_it(deployment: Deployment) -> None:
    """Both are carried out, one after the other."""
    gate = deployment.root / "gate"
    deployment.configure(service("a", "gate", "/"))
    deployment.run("start")
    deployment.configure(service("a", "gate", "/") + service("slow", "gate", str(gate)))
    with deployment.popen("reload") as one:
        eventually(lambda: pids(deployment).get("slow"))
        with deployment.popen("reload") as two:
            assert two.stderr is not None
            assert "waiting for another command: reload" in two.stderr.readline()
            gate.touch()
            assert one.wait(20) == 0
            assert two.wait(20) == 0
            assert two.stdout is not None
            assert two.stdout.read().startswith("nothing to do")
    assert deployment.state("slow") == "running"


def test_a_reload_that_restarts_an_event_service_warns(deployment: Deployment) -> None:
    """Plain subscribers are listed; --safe and "no" change nothing, --yes proceeds."""
    deployment.configure(PAIR)
    deployment.run("start")
    before = pids(deployment)
    with plain_subscriber(str(deployment.service("es")["uri"])) as uri:
        deployment.configure(
            PAIR.replace('kind = "eventservice"', 'kind = "eventservice"\nqueue_size = 7')
        )
        refused = deployment.run("reload", "--safe", code=1)
        assert uri in refused.stderr
        code, shown = on_a_terminal(deployment, "n\n", "reload")
        assert (code, "queue_size: 10000 → 7" in shown) == (1, True)
        assert pids(deployment) == before
        done = deployment.json("reload", "--yes")
    (restart,) = done["data"]["restarts"]
    assert (restart["service"], restart["how"], len(restart["lost"])) == ("es", "notify", 1)
    after = pids(deployment)
    assert after["ns"] == before["ns"]
    assert after["es"] != before["es"]


def test_keys_of_the_manager_wait_for_a_new_manager(deployment: Deployment) -> None:
    """The command reports this and restarts nothing."""
    deployment.configure(service("a", "gate", "/"))
    deployment.run("start")
    before = pids(deployment)
    deployment.configure(service("a", "gate", "/") + '[manager]\nname = "lab"\n')
    told = deployment.run("reload").stdout
    assert ("needs a manager restart" in told, "nothing to do" in told) == (True, False)
    (change,) = deployment.json("reload")["data"]["manager"]
    assert (change["key"], change["old"], change["new"]) == ("name", "default", "lab")
    assert pids(deployment) == before


def test_what_run_still_waits_to_start_follows_a_reload(deployment: Deployment) -> None:
    """A service whose need never became ready starts once it no longer needs it."""
    bad = service("bad", "die", more='restart = "never"')
    deployment.configure(bad + service("a", "gate", "/", more='needs = ["bad"]'))
    with deployment.popen("run") as manager:
        eventually(deployment.listens)
        eventually(lambda: deployment.state("bad") == "failed")
        assert deployment.state("a") == "stopped"
        deployment.configure(service("a", "gate", "/"))
        deployment.run("reload")
        eventually(lambda: deployment.state("a") == "running")
        deployment.run("shutdown")
        assert manager.wait(20) == 0


def test_a_reload_needs_a_manager_of_that_configuration(deployment: Deployment) -> None:
    """Without a manager it exits with 7; another configuration file is a usage error."""
    path = deployment.configure(service("a", "gate", "/"))
    deployment.run("reload", code=7)
    deployment.run("start")
    other = deployment.root / "other.toml"
    other.write_text(path.read_text())
    deployment.run("-c", str(other), "reload", code=2)


def test_what_was_stopped_by_hand_stays_down(deployment: Deployment) -> None:
    """A reload does not start it; the next start uses its new settings."""
    deployment.configure(service("a", "gate", "/") + service("b", "gate", "/"))
    deployment.run("start")
    deployment.run("stop", "a")
    deployment.configure(
        service("a", "print_identity", more='umask = "0077"') + service("b", "gate", "/")
    )
    assert steps(deployment.json("reload")) == [("update", "a")]
    assert deployment.state("a") == "stopped"
    deployment.run("start", "a")
    assert "umask 0o77" in deployment.run("logs", "a").stdout
