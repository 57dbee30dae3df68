"""reload while an instrument is broken: it keeps the others from nothing, and stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness import eventually
from tests.real.test_reload import pids, steps
from tests.real.test_start_and_stop import service

if TYPE_CHECKING:
    from tests.harness import Deployment


def broken(*, limit: int = 0, delay: int = 1, more: str = "") -> str:
    """Return the instrument `a`, which fails until its device, the file `ok`, is there."""
    return f"""[services.a]
kind = "command"
command = ["sh", "-c", "test -e ok || {{ echo no device; exit 1; }}; exec sleep 1000"]
ready = {{ delay = 1 }}
restart_delay = 0.3
restart_max_delay = {delay}
start_limit = {limit}
{more}
"""


def is_retried(deployment: Deployment, name: str = "a") -> bool:
    """Return whether it comes up as soon as its device is there."""
    (deployment.root / "ok").touch()
    eventually(lambda: deployment.state(name) == "running")
    return True


def test_a_live_change_of_a_service_that_is_retried_starts_nothing(deployment: Deployment) -> None:
    """It takes effect for the next attempt."""
    deployment.configure(broken())
    deployment.run("start", code=1)
    eventually(lambda: deployment.state("a") == "backoff")
    deployment.configure(broken(delay=2, limit=1))
    assert steps(deployment.json("reload")) == [("update", "a")]
    eventually(lambda: deployment.state("a") == "failed")


def test_what_was_down_before_undoes_no_reload(deployment: Deployment) -> None:
    """All other changes are in effect: exit 1, `partial`, and its reason once."""
    deployment.configure(broken() + service("b", "gate", "/"))
    deployment.run("start", code=1)
    before = pids(deployment)
    new = service("new", "gate", "/", more='needs = ["a"]')
    changed = service("b", "gate", "/", more="umask = '0077'")
    deployment.configure(broken(more="umask = '0077'") + changed + new)
    reply = deployment.json("reload", code=1)
    (error,) = reply["errors"]
    assert (reply["status"], reply["data"]["undone"], error["service"]) == ("partial", False, "a")
    assert "it was down before" in error["hint"]
    assert pids(deployment)["b"] not in {None, before["b"]}
    assert deployment.state("new") == "stopped"
    assert steps(deployment.json("reload", "--dry-run", code=0)) == []
    assert is_retried(deployment, "new")


def test_a_service_keeps_its_process_if_its_need_is_down(deployment: Deployment) -> None:
    """The reload reports that; the next one restarts it."""
    ok = deployment.root / "ok"
    ok.touch()

    def configure(more: str) -> None:
        b = service("b", "gate", "/", more=f'needs = ["a"]\n{more}')
        deployment.configure(broken(more=more) + b)

    configure("")
    deployment.run("start")
    ok.unlink()
    deployment.run("restart", "a", code=1)
    before = pids(deployment)["b"]
    configure("umask = '0077'")
    reply = deployment.json("reload", code=1)
    assert [error["service"] for error in reply["errors"]] == ["a", "b"]
    assert "keeps its settings: it needs a" in reply["errors"][1]["message"]
    assert (deployment.state("b"), pids(deployment)["b"]) == ("running", before)
    assert is_retried(deployment)
    assert [entry["service"] for entry in deployment.json("reload")["data"]["restarts"]] == ["b"]


def test_an_undo_leaves_the_others_as_they_were(deployment: Deployment) -> None:
    """What was retried is retried, what waited waits, and what was stopped is stopped."""
    waits = service("waits", "gate", "/", more='needs = ["a"]')
    spare = service("spare", "gate", "/", more="enabled = false")
    deployment.configure(broken() + waits + spare + service("b", "gate", "/"))
    deployment.run("start", code=1)
    bad = service("b", "die", "3", more='needs = ["spare"]\nrestart = "never"')
    deployment.configure(broken(limit=1, more="umask = '0077'") + spare + bad)
    reply = deployment.json("reload", "--yes", code=1)
    assert (reply["status"], reply["data"]["undone"]) == ("error", True)
    assert [error["service"] for error in reply["errors"]] == ["b", None]
    assert deployment.state("spare") == "stopped"
    assert deployment.state("b") == "running"
    assert is_retried(deployment)
    assert is_retried(deployment, "waits")


def test_an_undo_retries_what_the_new_configuration_had_removed(deployment: Deployment) -> None:
    """A service that was in backoff is so again."""
    deployment.configure(broken() + service("b", "gate", "/"))
    deployment.run("start", code=1)
    deployment.configure(service("b", "die", "3", more='restart = "never"'))
    deployment.run("reload", code=1)
    eventually(lambda: deployment.state("a") == "backoff")
    assert is_retried(deployment)


def test_an_undo_names_what_does_not_come_back(deployment: Deployment) -> None:
    """One that also fails with its old settings keeps no other from coming back."""
    ok = deployment.root / "ok"
    ok.touch()
    deployment.configure(broken() + service("b", "gate", "/"))
    deployment.run("start")
    ok.unlink()
    moved = service("b", "gate", "/", more="umask = '0077'")
    new = service("new", "die", "3", more='restart = "never"\nneeds = ["b"]')
    deployment.configure(moved + new)
    text = deployment.run("reload", code=1).stderr
    assert "not all services that ran before are running again: a" in text
    assert deployment.state("b") == "running"
    assert is_retried(deployment)


def test_start_tells_that_the_configuration_has_changed(deployment: Deployment) -> None:
    """It does so after a failure, and if all is running; and not without a change."""
    told = "the configuration has changed since it was read; pyroctl reload applies it"
    deployment.configure(broken() + service("b", "gate", "/"))
    assert told not in deployment.run("start", code=1).stderr
    assert told not in deployment.run("start", "b").stderr
    deployment.configure(service("a", "gate", "/") + service("b", "gate", "/"))
    assert told in deployment.run("start", "a", code=1).stderr
    assert told in deployment.run("start", "b").stderr
