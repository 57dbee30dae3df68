"""Rules of an event service in a deployment: from the file to the clients, and on reload."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness import Deployment

ES = (
    '[services.ns]\nkind = "nameserver"\nport = 0\n'
    '[services.es]\nkind = "eventservice"\nhost = "./u:es.sock"\nneeds = ["ns"]\n'
)
RULE = f'[[services.es.allow]]\nclient = ["uid:{os.getuid()}"]\n'


def test_rules_come_from_the_configuration_and_change_on_reload(deployment: Deployment) -> None:
    """A reload keeps the process; bad rules change nothing, and `es may` shows what decides."""
    deployment.configure(ES + RULE + "publish = ['lab\\.{client}', 'log']\n")
    deployment.run("start")
    pid = deployment.service("es")["pid"]
    deployment.run("es", "publish", "log", "x")
    refused = deployment.run("es", "publish", "stage", "x", code=1)
    assert "no rule lets uid:" in refused.stderr
    assert "publish 'stage'" in refused.stderr
    shown = deployment.run("es", "may", "camera-2", "log").stdout
    assert shown == (
        "camera-2: no rule is for this client\n  may not publish log\n  may not subscribe log\n"
    )
    data = deployment.json("es", "may", f"uid:{os.getuid()}", "LOGS")["data"]
    assert data["rule"] == 1
    assert data["publish"] == {"allowed": True, "pattern": "log"}
    deployment.configure(ES + RULE + "publish = ['(']\n")
    deployment.run("reload", code=6)
    assert (
        "may publish log, by log" in deployment.run("es", "may", f"uid:{os.getuid()}", "log").stdout
    )
    deployment.configure(ES + RULE + "publish = ['stage']\n")
    deployment.run("reload")
    deployment.run("es", "publish", "stage", "x")
    deployment.run("es", "publish", "log", "x", code=1)
    deployment.configure(ES)
    deployment.run("reload")
    deployment.run("es", "publish", "log", "x")
    assert "there are no rules" in deployment.run("es", "may", "camera-2", "log").stdout
    assert deployment.service("es")["pid"] == pid
