"""A start time-out tells what was awaited, and what was found instead."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.test_true_names import NS, named

if TYPE_CHECKING:
    from tests.harness import Deployment

ONCE = 'restart = "never"\nstart_timeout = 5\n'
LISTENING = (
    "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
    "print('listens at', s.getsockname()[1], flush=True); time.sleep(1000)"
)


def not_ready(deployment: Deployment, ready: str, program: str, seconds: float = 1.5) -> str:
    """Start a program that doesn't become ready; return why it isn't."""
    deployment.configure(
        f'[services.w]\nkind = "command"\ncommand = ["python", "-c", "{program}"]\n'
        f'restart = "never"\nready = {ready}\nstart_timeout = {seconds}\n'
    )
    deployment.run("start", code=1)
    detail: str = deployment.service("w")["detail"]
    assert detail.startswith(f"not ready within {seconds:g} s: ")
    return detail.partition(": ")[2].removesuffix(" (killed by SIGTERM)")


def test_a_wrong_name_is_told_with_those_that_were_registered(deployment: Deployment) -> None:
    """Where it was looked for, and what this service has registered there."""
    deployment.configure(NS + named("w", "b", "c", ready='{ pyro_name = "a/b" }', more=ONCE))
    deployment.run("start", code=1)
    address = deployment.service("ns")["uri"].rpartition("@")[2]
    assert deployment.service("w")["detail"].removesuffix(" (killed by SIGTERM)") == (
        f"not ready within 5 s: no name 'a/b' at {address}; this service has registered 'b', 'c'"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_name_server_that_is_not_there_is_told(deployment: Deployment, unbuffered: str) -> None:
    """With its address and the reason, even if that arrives in pieces."""
    deployment.env["PYTHONUNBUFFERED"] = unbuffered
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    ready = f'{{ pyro_name = "a/b", ns = "127.0.0.1:{port}" }}'
    found = not_ready(deployment, ready, "import time; time.sleep(1000)", 5)
    assert found == f"no name server answers at 127.0.0.1:{port}: Connection refused"


def test_a_wrong_port_is_told_with_those_where_it_listens(deployment: Deployment) -> None:
    """Both the one that was tried and those that are open."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    found = not_ready(deployment, f'{{ port = {port}, host = "127.0.0.1" }}', LISTENING)
    own = deployment.run("logs", "w").stdout.partition("listens at ")[2].split()[0]
    assert found == (
        f"no connection to port {port} on 127.0.0.1 (Connection refused); "
        f"it listens at port {own} on 127.0.0.1"
    )


@pytest.mark.parametrize(
    ("ready", "program", "found"),
    [
        (
            '{ log = "^Ready" }',
            "import time; print('almost', flush=True); time.sleep(1000)",
            "no line matched '^Ready'; its last line: almost",
        ),
        (
            '{ log = "^Ready" }',
            "import time; time.sleep(1000)",
            "no line matched '^Ready'; it has printed nothing",
        ),
        ('"notify"', "import time; time.sleep(1000)", "it never sent READY=1"),
        (
            "{ command = ['sh', '-c', 'exit 7'], every = 0.05 }",
            "import time; time.sleep(1000)",
            "sh -c 'exit 7' exited with 7 the last time",
        ),
        ("{ delay = 60 }", "import time; time.sleep(1000)", "ready.delay is 60 s"),
    ],
)
def test_every_readiness_tells_what_is_missing(
    deployment: Deployment, ready: str, program: str, found: str
) -> None:
    """What was awaited, and the nearest that was seen."""
    assert not_ready(deployment, ready, program) == found


# --- what a readiness line shows ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "uri"),
    [
        ("uri = (PYRO:\\\\S+)", "PYRO:x@lab:4711"),
        ("(id) = (\\\\S+), uri = (\\\\S+)", "PYRO:x@lab:4711"),
        ("uri = ", "PYRO:x@lab:4711"),
        ("(uri) = ", None),
    ],
)
def test_a_uri_in_the_readiness_line_is_the_services_address(
    deployment: Deployment, log: str, uri: str | None
) -> None:
    """It is the group that is a URI; without groups, the URI in the line."""
    program = "import time; print('id = 7, uri = PYRO:x@lab:4711', flush=True); time.sleep(1000)"
    deployment.configure(
        f'[services.w]\nkind = "command"\ncommand = ["python", "-c", "{program}"]\n'
        f'ready = {{ log = "{log}" }}\n'
    )
    deployment.run("start")
    assert deployment.service("w")["uri"] == uri
    assert (uri or "x@lab") in deployment.run("status").stdout or uri is None


# --- modules that serve at import -----------------------------------------------------------------


@pytest.mark.parametrize("how", ["serve", "requestLoop"])
def test_a_module_that_serves_at_import_fails_at_once_with_the_reason(
    deployment: Deployment, how: str
) -> None:
    """With file and line, and without another try."""
    calls = {
        "serve": "p.serve({Thing: None}, use_ns=False)",
        "requestLoop": "try:\n    d = p.Daemon()\n    d.requestLoop()\nexcept Exception:\n    pass",
    }
    module = deployment.root / "greeting.py"
    module.write_text(f"import Pyro5.api as p\nclass Thing: pass\n{calls[how]}\n")
    deployment.configure('[services.w]\nkind = "object"\nobject = "greeting:Thing"\n')
    failed = deployment.run("start", code=1).stderr
    line = {"serve": 3, "requestLoop": 5}[how]
    assert (
        f"the module greeting serves as soon as it is imported ({module}, line {line}): run it "
        'with object = "greeting", or put that part under if __name__ == "__main__"'
    ) in failed
    assert (deployment.state("w"), deployment.service("w")["restarts"]) == ("failed", 0)


def test_a_module_that_takes_too_long_to_import_is_not_ready(deployment: Deployment) -> None:
    """The time-out tells what was awaited."""
    Path(deployment.root / "slow.py").write_text("import time; time.sleep(1000)\n")
    deployment.configure(
        '[services.w]\nkind = "object"\nobject = "slow:Thing"\nrestart = "never"\n'
        "start_timeout = 3\n"
    )
    deployment.run("start", code=1)
    assert "not ready within 3 s: it never sent READY=1" in (deployment.service("w")["detail"])
