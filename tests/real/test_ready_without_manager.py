"""`orphans = "adopt"`: what becomes ready while no manager runs is ready for the next one."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from tests.harness import eventually
from tests.real.test_adoption import ADOPT, kill_manager, store, stores
from tests.real.test_true_names import NAMED, NS

if TYPE_CHECKING:
    from tests.harness import Deployment

TIMEOUT = 6
"""Seconds to become ready."""
PATIENT = "until [ -e gate ]; do sleep 0.05; done; "
LISTEN = (
    "import socket, time; s = socket.create_server(('127.0.0.1', {port})); "
    "print('listens', flush=True); time.sleep(1000)"
)


def patient(name: str, ready: str, then: str, more: str = "") -> str:
    """A service that goes on when there is a file `gate`."""
    return (
        f'[services.{name}]\nkind = "command"\ncommand = ["sh", "-c", """{PATIENT}{then}"""]\n'
        f'ready = {ready}\nrestart = "never"\nstart_timeout = {TIMEOUT}\n{more}'
    )


def leave_alone(deployment: Deployment, names: list[str]) -> dict[str, int]:
    """Start services, and kill the manager before they are ready; return their pids."""
    with deployment.popen("start") as starting:
        eventually(deployment.listens)
        pids = {name: eventually(lambda n=name: deployment.service(n)["pid"]) for name in names}
        assert {deployment.state(name) for name in names} == {"starting"}
        starting.kill()  # it would start another manager
        starting.wait()
        kill_manager(deployment)
    return pids


def has_printed(deployment: Deployment, name: str, text: str) -> None:
    path = deployment.root / "logs" / f"{name}.log"
    eventually(lambda: path.exists() and text in path.read_text(), f"{name}: {text}")


def test_what_became_ready_without_a_manager_is_taken_over(
    deployment: Deployment,
) -> None:
    """In whatever way it shows that, even if its time was over before the next manager came."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    python = sys.executable
    services = {
        "log": ('{ log = "all set" }', "echo all set; seq 60000; echo done; exec sleep 1000"),
        "port": (f"{{ port = {port} }}", f'exec {python} -c "{LISTEN.format(port=port)}"'),
        "name": ('{ pyro_name = "dome" }', f"exec {python} {NAMED} dome"),
        "asked": ('{ command = ["test", "-e", "open"] }', "touch open; exec sleep 1000"),
        "delay": (f"{{ delay = {TIMEOUT - 0.1} }}", "exec sleep 1000"),
    }
    printed = {"log": "done", "port": "listens", "name": "dome: uri"}
    tables = [
        patient(name, ready, then, 'needs = ["ns"]\n' if name == "name" else "")
        for name, (ready, then) in services.items()
    ]
    deployment.configure(ADOPT + "".join(tables) + NS)
    pids = leave_alone(deployment, list(services))
    over = time.monotonic() + TIMEOUT
    (deployment.root / "gate").touch()
    for name, text in printed.items():
        has_printed(deployment, name, text)
    eventually(lambda: time.monotonic() > over)
    deployment.run("start")
    assert {name: deployment.service(name)["pid"] for name in services} == pids
    assert {deployment.state(name) for name in services} == {"running"}


def test_what_was_printed_without_a_manager_explains_why_it_is_not_ready(
    deployment: Deployment,
) -> None:
    """The last line is what the service printed last, whoever was there to read it."""
    deployment.configure(
        ADOPT + patient("oven", '{ log = "all set" }', "echo warming up; exec sleep 1000")
    )
    leave_alone(deployment, ["oven"])
    (deployment.root / "gate").touch()
    has_printed(deployment, "oven", "warming up")
    deployment.run("start", code=1)
    assert deployment.service("oven")["detail"].startswith(
        f"not ready within {TIMEOUT} s: no line matched 'all set'; its last line: warming up"
    )


def test_a_line_is_still_awaited_when_the_store_was_replaced(deployment: Deployment) -> None:
    """The manager requests the lines of the new one, too."""
    deployment.configure(ADOPT + patient("oven", '{ log = "all set" }', "echo all set; sleep 1000"))
    with deployment.popen("start") as starting:
        eventually(deployment.listens)
        eventually(lambda: deployment.service("oven")["pid"])
        kill_store(deployment)
        (deployment.root / "gate").touch()
        assert starting.wait(20) == 0
    assert deployment.state("oven") == "running"


def kill_store(deployment: Deployment) -> None:
    """Kill the descriptor store, and wait for another."""
    first = store(deployment)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: stores(deployment) - {first}, "another store")
