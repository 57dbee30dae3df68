"""Health by a method's answer, and alerts for those who want to hear of trouble."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.harness import Deployment

CAMERA = """
import pathlib
import Pyro5.api

@Pyro5.api.expose
class Camera:
    def get_status(self):
        state = pathlib.Path("mood")
        text = state.read_text() if state.exists() else "running"
        if text == "broken":
            raise OSError("no cooler")
        return {"state": text, "numbers": [1, 2]}
"""
OBJECT = """\
[services.cam]
kind = "object"
object = "camera:Camera"
instance_mode = "single"
cwd = "."
on_unhealthy = "warn"
[services.cam.watchdog]
every = 0.2
failures = 2
call = "get_status"
expect = { state = "running", numbers = [1, 2] }
"""
ALERTS = """\
[alerts]
on = ["failed", "backoff", "unhealthy", "healthy", "stopped"]
command = ["sh", "-c", 'cat >> alerts; echo "$PYROCTL_ALERT_SERVICE $PYROCTL_ALERT_STATE" >> short']
interval = 0
"""


def alerts(deployment: Deployment) -> list[dict[str, Any]]:
    file = deployment.root / "alerts"
    text = file.read_text().replace("}{", "}\n{") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def configure(deployment: Deployment, text: str) -> None:
    path = deployment.configure(text.replace('"."', f'"{deployment.root}"'))
    text = path.read_text().replace(">> alerts", f">> {deployment.root}/alerts")
    path.write_text(text.replace(">> short", f">> {deployment.root}/short"))


def test_a_method_says_whether_a_service_is_well(deployment: Deployment) -> None:
    """It runs with a fault, which status and alerts show; it recovers, or restarts if told to."""
    (deployment.root / "camera.py").write_text(CAMERA)
    configure(deployment, OBJECT + ALERTS)
    deployment.run("start")
    pid = deployment.service("cam")["pid"]
    (deployment.root / "mood").write_text("idle")
    wanted = "get_status() returned"
    eventually(lambda: (deployment.service("cam")["fault"] or "").startswith(wanted))
    row = deployment.service("cam")
    assert (row["state"], row["pid"]) == ("running", pid)
    assert row["detail"].startswith("unhealthy: get_status() returned")
    assert '"state": "idle"' in row["fault"]
    eventually(lambda: [a["state"] for a in alerts(deployment)] == ["unhealthy"])
    (deployment.root / "mood").write_text("running")
    eventually(lambda: [a["state"] for a in alerts(deployment)] == ["unhealthy", "healthy"])
    assert deployment.service("cam")["fault"] is None
    configure(deployment, OBJECT.replace('"warn"', '"restart"') + ALERTS)
    deployment.run("reload")
    assert deployment.service("cam")["pid"] == pid
    (deployment.root / "mood").write_text("broken")
    eventually(lambda: deployment.service("cam")["restarts"] >= 1)
    (deployment.root / "mood").write_text("running")
    found = [(a["state"], a["reason"]) for a in alerts(deployment)[2:]]
    assert found[0] == ("unhealthy", "get_status() raised OSError: no cooler (2 times)")


def test_alerts_have_the_exit_and_the_last_lines(deployment: Deployment) -> None:
    """What a person asks for is quiet; what comes too often is counted, and comes as one."""
    configure(
        deployment,
        ALERTS.replace("interval = 0", "interval = 1")
        + '[services.bad]\nkind = "command"\ncommand = ["sh", "-c", "seq 30; sleep 0.3; exit 7"]\n'
        "ready = { delay = 0 }\nrestart_delay = 0.1\nstart_limit = 3\n"
        '[services.good]\nkind = "command"\ncommand = "sleep 1000"\nready = { delay = 0 }\n',
    )
    deployment.run("start")
    eventually(lambda: deployment.state("bad") == "failed")
    deployment.run("stop", "good")
    eventually(lambda: alerts(deployment) and alerts(deployment)[-1]["state"] == "failed")
    first, *more = alerts(deployment)
    assert (first["service"], first["state"], first["suppressed"]) == ("bad", "backoff", 0)
    assert first["exit"]["code"] == 7
    assert first["output"] == [str(number) for number in range(11, 31)]
    assert sum(1 + a["suppressed"] for a in (first, *more)) == 3
    assert {a["service"] for a in more} <= {"bad"}
    assert (deployment.root / "short").read_text().splitlines()[0] == "bad backoff"


def test_the_last_words_of_a_program_that_fails_are_logged(deployment: Deployment) -> None:
    """However much it prints, the manager keeps only the end."""
    noisy = "seq 1000000; echo no mail server; exit 3"
    deployment.configure(
        f'[alerts]\ncommand = ["sh", "-c", "{noisy}"]\n'
        '[services.bad]\nkind = "command"\nrestart = "never"\n'
        'command = ["sh", "-c", "sleep 0.2; exit 7"]\nready = { delay = 0 }\n'
    )
    deployment.run("start", code=None)
    eventually(lambda: "alerts exited with 3: " in deployment.manager_log())
    assert "1000000\nno mail server" in deployment.manager_log()
