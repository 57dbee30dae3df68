"""How services end that have processes of their own, or a program that stops them."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import eventually, is_alive

if TYPE_CHECKING:
    from tests.harness import Deployment

HERE = Path(__file__).parent
LATE = 160
"""A stop_timeout of which no test waits for a quarter."""


def family(*arguments: str, more: str = "", timeout: float = LATE) -> str:
    words = ", ".join(f'"{word}"' for word in ("python", HERE / "families.py", *arguments))
    up = f'command = [{words}]\nready = {{ log = "family is up" }}\n'
    return f'[services.it]\nkind = "command"\n{up}stop_timeout = {timeout}\n{more}\n'


def hosted(name: str) -> str:
    where = f'path = "{HERE}"\nobject = "families:{name}"\n'
    return f'[services.it]\nkind = "object"\n{where}stop_timeout = {LATE}\n'


def log(deployment: Deployment) -> str:
    return (deployment.root / "logs" / "it.log").read_text()


def ended_in_order(deployment: Deployment, times: int = 1) -> bool:
    """Return whether the exit handlers ran that often, and nothing had to be forced."""
    text = log(deployment)
    forced = "killed" in text or "doesn't end" in text or "cut off" in text
    return text.count("exit handler") == times and not forced


def stop(deployment: Deployment) -> float:
    """Stop the service; return how long that took."""
    began = time.monotonic()
    deployment.run("stop", "it")
    assert deployment.state("it") == "stopped"
    return time.monotonic() - began


# --- the main process first -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "configuration",
    [
        *(family("pooled", "pool"), family("pooled", "executor")),
        *(hosted("Pool"), hosted("Executor")),
    ],
    ids=["command-pool", "command-executor", "object-pool", "object-executor"],
)
def test_a_service_with_a_pool_of_processes_stops_in_order(
    deployment: Deployment, configuration: str
) -> None:
    """Its workers end with it, its exit handlers run, and no timeout is needed."""
    deployment.configure(configuration)
    deployment.run("start")
    assert stop(deployment) < LATE / 4
    assert ended_in_order(deployment)


def test_every_way_of_stopping_goes_to_the_main_process_first(deployment: Deployment) -> None:
    """Restart, a reload, a restart after reexec, and the shutdown of the manager."""
    configuration = family("pooled", "pool")
    path = deployment.configure(configuration)
    deployment.run("start")
    deployment.run("restart", "it")
    assert ended_in_order(deployment, 1)
    path.write_text(configuration + 'env = { A = "1" }\n')
    deployment.run("reload")
    assert ended_in_order(deployment, 2)
    deployment.run("reexec")
    deployment.run("restart", "it")
    assert ended_in_order(deployment, 3)
    deployment.run("shutdown")
    assert ended_in_order(deployment, 4)


def test_an_adopted_service_is_stopped_in_the_same_way(deployment: Deployment) -> None:
    """It isn't a child of the manager that stops it."""
    deployment.configure('[manager]\norphans = "adopt"\n' + family("pooled", "pool"))
    deployment.run("start")
    pid = deployment.service("it")["pid"]
    deployment.kill_manager()
    deployment.run("start")
    assert deployment.service("it")["pid"] == pid
    assert stop(deployment) < LATE / 4
    assert ended_in_order(deployment)


def test_a_killed_manager_leaves_time_for_it_too(deployment: Deployment) -> None:
    """The cleanup process signals the main process first."""
    deployment.configure(family("pooled", "pool"))
    deployment.run("start")
    deployment.kill_manager()
    eventually(lambda: not deployment.processes())
    assert (deployment.root / "ended").exists(), "its exit handlers ran"


def test_what_the_main_process_leaves_is_stopped_after_it(deployment: Deployment) -> None:
    """Its child gets the signal when it has ended, not before."""
    deployment.configure(family("parent", "gentle", "ends"))
    deployment.run("start")
    assert stop(deployment) < LATE / 4
    assert "main: TERM" in log(deployment)
    assert "child: TERM after main" in log(deployment)


def test_with_kill_mode_session_all_are_stopped_at_once(deployment: Deployment) -> None:
    """The main process can wait for a child that a signal ends; a reload switches at once."""
    path = deployment.configure(family("parent", "gentle", "waits"))
    deployment.run("start")
    pid = deployment.service("it")["pid"]
    path.write_text(family("parent", "gentle", "waits", more='kill_mode = "session"'))
    deployment.run("reload")
    assert deployment.service("it")["pid"] == pid
    assert stop(deployment) < LATE / 4
    assert "child: TERM first" in log(deployment)
    assert "doesn't end" not in log(deployment)


def test_a_main_process_that_ignores_the_signal_is_no_obstacle(deployment: Deployment) -> None:
    """Then its session gets it at once."""
    deployment.configure(family("parent", "gentle", "ignores"))
    deployment.run("start")
    assert stop(deployment) < LATE / 4
    assert "child: TERM first" in log(deployment)
    assert "main: my child has ended" in log(deployment)


def test_a_main_process_that_waits_for_its_child_is_helped(deployment: Deployment) -> None:
    """After a quarter of stop_timeout its child gets the signal, too, and both end in order."""
    deployment.configure(family("parent", "gentle", "waits", timeout=8))
    deployment.run("start")
    assert stop(deployment) >= 2
    text = log(deployment)
    assert text.index("main: TERM") < text.index("doesn't end") < text.index("child: TERM first")
    assert "killed" not in text


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("script", ["sleep 1000; echo", "sleep 1000 | cat", "sleep 1000 & wait"])
def test_a_shell_stops_at_once(deployment: Deployment, shell: str, script: str) -> None:
    """It dies of the signal, and then what it has started."""
    command = f'command = ["{shell}", "-c", "echo family is up; {script}"]\n'
    ready = f'ready = {{ log = "family is up" }}\nstop_timeout = {LATE}\n'
    deployment.configure(f'[services.it]\nkind = "command"\n{command}{ready}')
    deployment.run("start")
    assert stop(deployment) < LATE / 4
    assert "doesn't end" not in log(deployment)


# --- stop_command ---------------------------------------------------------------------------------

ASKS = "import os, sys; print('asking', os.environ['PYROCTL_MAIN_PID'], os.environ['A'])"


LEAVES = "setsid sh -c 'touch away; exec sleep 1000' & until [ -e away ]; do sleep 0.01; done"
"""Goes on when a process has left its session."""


def asks(*words: str) -> str:
    listed = ", ".join(f'"{word}"' for word in words)
    return f'stop_command = [{listed}]\nenv = {{ A = "its own" }}'


def test_a_stop_command_ends_the_service(deployment: Deployment) -> None:
    """It gets the main process and the service's environment, in its directory; it is logged."""
    more = asks("python", "-c", f"{ASKS}; open('bye', 'w').close()")
    deployment.configure(family("polite", "bye", more=more))
    deployment.run("start")
    pid = deployment.service("it")["pid"]
    assert stop(deployment) < LATE / 4
    assert f"[pyroctl] stop_command: asking {pid} its own\n" in log(deployment)
    assert "killed" not in log(deployment)


def test_a_stop_command_belongs_to_every_restart(deployment: Deployment) -> None:
    """The next process comes when the command has ended, too; a new command needs no restart."""
    more = asks("sh", "-c", "touch bye; sleep 0.3; echo cleared up")
    path = deployment.configure(family("polite", "bye", more=more))
    deployment.run("start")
    deployment.run("restart", "it")
    text = log(deployment)
    assert text.index("cleared up") < text.rindex("family is up")
    pid = deployment.service("it")["pid"]
    path.write_text(family("polite", "bye", more=more.replace("cleared up", "once more")))
    deployment.run("reload")
    assert deployment.service("it")["pid"] == pid
    deployment.run("shutdown")
    assert "once more" in log(deployment)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("sh", "-c", "exit 3"), "stop_command failed: exit code 3"),
        (("no-such-program",), "cannot execute 'no-such-program'"),
        (("python", "-c", "import os; os.kill(0, 9)"), "stop_command failed: killed by SIGKILL"),
    ],
)
def test_a_stop_command_that_fails_is_followed_by_the_signal(
    deployment: Deployment, words: tuple[str, ...], reason: str
) -> None:
    """At once; the log says how it failed."""
    deployment.configure(family("parent", "gentle", "ends", more=asks(*words)))
    deployment.run("start")
    assert stop(deployment) < LATE / 4
    text = log(deployment)
    assert text.index(reason) < text.index("main: TERM")


@pytest.mark.parametrize("script", ["true", "sleep 1000"])
def test_a_stop_command_has_half_of_the_time(deployment: Deployment, script: str) -> None:
    """Then the signal follows, whether the command has ended or not."""
    more = asks("sh", "-c", script)
    deployment.configure(family("parent", "gentle", "ends", timeout=2, more=more))
    deployment.run("start")
    assert stop(deployment) >= 1
    assert "main: TERM" in log(deployment)
    assert ("stop_command failed: killed" in log(deployment)) == (script == "sleep 1000")
    assert not [c for c in deployment.processes().values() if c.startswith("sleep ")]


def test_a_manager_that_is_killed_during_a_stop_command_ends_it(deployment: Deployment) -> None:
    """The next manager goes on with the stop signal."""
    more = asks("sleep", "1000")
    configuration = family("parent", "gentle", "ends", more=more)
    deployment.configure(f'[manager]\norphans = "adopt"\n{configuration}')
    deployment.run("start")
    with deployment.popen("stop", "it"):
        eventually(lambda: any(c.startswith("sleep ") for c in deployment.processes().values()))
        deployment.kill_manager()
    assert stop(deployment) < LATE / 4
    assert "main: TERM" in log(deployment)
    assert not [c for c in deployment.processes().values() if c.startswith("sleep ")]


@pytest.mark.parametrize("verb", ["stop", "shutdown"])
def test_what_a_stop_command_leaves_in_the_background_ends(
    deployment: Deployment, verb: str
) -> None:
    """It belongs to the service, even in a session of its own."""
    more = asks("sh", "-c", f"{LEAVES}; touch bye")
    deployment.configure(family("polite", "bye", more=more))
    deployment.run("start")
    deployment.run(verb)
    assert not [c for c in deployment.processes().values() if c.startswith("sleep ")]


def test_what_a_probe_leaves_in_the_background_ends(deployment: Deployment) -> None:
    """With the service, and not before."""
    probe = f'ready = {{ command = ["sh", "-c", "{LEAVES}"] }}\n'
    deployment.configure(f'[services.it]\nkind = "command"\ncommand = ["sleep", "999"]\n{probe}')
    deployment.run("start")
    assert any("sleep 1000" in c for c in deployment.processes().values())
    deployment.run("stop", "it")
    assert not [c for c in deployment.processes().values() if c.startswith("sleep ")]


# --- crashes --------------------------------------------------------------------------------------


def test_what_a_crash_leaves_has_a_second(deployment: Deployment) -> None:
    """Then it is killed; status and log say how the main process died, and what took so long."""
    path = deployment.configure(family("parent", "stubborn", "ends"))
    deployment.run("start")
    began = time.monotonic()
    os.kill(deployment.service("it")["pid"], signal.SIGKILL)
    eventually(lambda: deployment.service("it")["restarts"], deadline=LATE / 4)
    assert time.monotonic() > began + 1
    told = re.compile(r"killed by SIGKILL, out of memory\?; its child \d+ took [\d.]+ s to end")
    eventually(lambda: deployment.state("it") == "running")
    assert told.search(deployment.service("it")["exit"]["text"])
    assert told.search(log(deployment))
    assert "background" not in log(deployment) + deployment.manager_log()
    path.write_text(family("parent", "stubborn", "ends", timeout=0.5))
    deployment.run("reload")  # or the last child would outlast the test


def test_a_child_that_ends_soon_is_not_mentioned(deployment: Deployment) -> None:
    """The reason is that of the main process alone."""
    deployment.configure(family("parent", "gentle", "ends"))
    deployment.run("start")
    os.kill(deployment.service("it")["pid"], signal.SIGABRT)
    eventually(lambda: deployment.service("it")["restarts"])
    assert deployment.service("it")["exit"]["text"] == "killed by SIGABRT"


def test_a_failure_names_who_has_the_port(deployment: Deployment) -> None:
    """With pid and command, in the status and in the error; unless the service itself has it."""
    listener = deployment.root / "port"
    other = f'[services.other]\nkind = "command"\ncommand = ["python", "-c", "{LISTENER}"]\n'
    deployment.configure(other + f'ready = {{ log = "listens" }}\ncwd = "{deployment.root}"\n')
    deployment.run("start")
    port = listener.read_text()
    ready = f'ready = {{ port = {port} }}\nrestart = "never"\n'
    words = f'["python", "{HERE / "families.py"}", "server", "{port}"]'
    its = f'[services.it]\nkind = "command"\ncommand = {words}\n{ready}stop_timeout = 1\n'
    deployment.configure(
        other + f'ready = {{ log = "listens" }}\ncwd = "{deployment.root}"\n' + its
    )
    deployment.run("reload", code=None)
    eventually(lambda: deployment.state("it") == "failed")
    pid = deployment.service("other")["pid"]
    reason = deployment.service("it")["exit"]["text"]
    assert reason.startswith(f"exit code 1; port {port} is taken by another program (pid {pid}: ")
    deployment.run("stop", "other")
    deployment.run("start", "it", code=None)
    eventually(lambda: deployment.state("it") == "failed")
    assert "is taken" not in deployment.service("it")["exit"]["text"]


LISTENER = (
    "import socket, time; sock = socket.create_server(('localhost', 0)); "
    "open('port', 'w').write(str(sock.getsockname()[1])); print('listens', flush=True); "
    "time.sleep(1000)"
)


# --- commands -------------------------------------------------------------------------------------


def test_a_start_ends_although_a_service_is_restarted_without_delay(
    deployment: Deployment,
) -> None:
    """It is in backoff after a few failures, exit 1; the manager goes on, once a second."""
    count = deployment.root / "count"
    words = '["sh", "-c", "echo >> count; exit 1"]'
    deployment.configure(
        f'[services.it]\nkind = "command"\ncommand = {words}\nready = "notify"\n'
        "restart_delay = 0\nstart_limit = 0\n"
    )
    found = deployment.json("start", code=1)
    assert found["errors"][0]["message"] == "it did not become ready: exit code 1"
    soon, began = count.stat().st_size, time.monotonic()
    eventually(lambda: count.stat().st_size >= soon + 2)
    assert time.monotonic() - began > 1


def test_a_start_waits_for_a_manager_that_is_ending(deployment: Deployment) -> None:
    """It starts the next one, which starts the services."""
    deployment.configure(family("polite", "bye"))
    deployment.run("start")
    old = deployment.manager_pid()
    with deployment.popen("shutdown") as shutdown:
        eventually(lambda: deployment.status()["manager"]["state"] == "stopping")
        with deployment.popen("start") as start:
            assert start.stderr is not None
            said = start.stderr.readline()
            (deployment.root / "bye").touch()
            start.communicate(timeout=50)
        shutdown.communicate(timeout=20)
    assert said == f"the manager (pid {old}) is shutting down; another one follows\n"
    assert (start.returncode, shutdown.returncode, deployment.state("it")) == (0, 0, "running")
    assert not is_alive(old)
    (deployment.root / "bye").touch()


def test_an_atomic_start_that_failed_does_not_harm_another_start(deployment: Deployment) -> None:
    """Whichever comes first: the idle manager that it ends is replaced by the other command."""
    deployment.configure(
        '[services.bad]\nkind = "command"\ncommand = "false"\nready = "notify"\nrestart = "never"\n'
        '[services.it]\nkind = "command"\ncommand = ["sleep", "1000"]\n'
    )
    for _ in range(2):
        with deployment.popen("start", "--atomic", "bad") as failing:
            eventually(deployment.listens)
            deployment.run("start", "it")
            failing.communicate(timeout=20)
        assert (failing.returncode, deployment.state("it")) == (1, "running")
        deployment.run("shutdown")
