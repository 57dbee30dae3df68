"""`pyroctl es`: events from and to the shell."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

from tests.harness import eventually
from tests.real.test_main_job import PAIR

if TYPE_CHECKING:
    from tests.harness import Deployment


def subscriptions(deployment: Deployment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployment.json("es", "subscriptions")["data"]["subscriptions"]
    return found


def test_listeners_print_what_is_published(deployment: Deployment) -> None:
    """Strings and JSON values arrive by subject and pattern; --count exits with 0."""
    deployment.configure(PAIR)
    deployment.run("start")
    listen = ["es", "listen", "stocks", "--match", r"a\.", "--count", "3", "--json"]
    with deployment.popen(*listen) as listener:
        (row,) = eventually(lambda: (r := subscriptions(deployment)) and r[0]["patterns"] and r)
        assert (row["subjects"], row["patterns"], row["aware"]) == (["stocks"], [r"a\."], True)
        deployment.run("es", "publish", "elsewhere", "not for us")
        deployment.run("es", "publish", "Stocks", '{"not": parsed}')
        deployment.run("es", "publish", "a.b", '{"x": [1, 2.5]}', "--as-json")
        envelope = deployment.json("es", "publish", "stocks", "-3 degrees")
        out, err = listener.communicate(timeout=20)
    assert (listener.returncode, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [(e["subject"], e["msg"]) for e in events] == [
        *(("Stocks", '{"not": parsed}'), ("a.b", {"x": [1, 2.5]}), ("stocks", "-3 degrees"))
    ]
    assert all(e.keys() == {"subject", "time", "msg"} for e in events)
    assert envelope["data"] == {"subject": "stocks", "published": 1}
    assert eventually(lambda: subscriptions(deployment) == [])


def test_without_a_subject_everything_is_printed_until_ctrl_c(deployment: Deployment) -> None:
    """Each event is one line of text; an interrupt exits with 130."""
    deployment.configure(PAIR)
    deployment.run("start")
    with deployment.popen("es", "listen") as listener:
        eventually(lambda: subscriptions(deployment))
        assert "pyroctl es listen" in deployment.run("es", "subscriptions").stdout
        deployment.run("es", "publish", "any.thing", "hello")
        assert listener.stdout is not None
        assert listener.stdout.readline().endswith(" any.thing hello\n")
        listener.send_signal(signal.SIGINT)
        listener.communicate(timeout=20)
    assert listener.returncode == 130


def test_the_rate_is_printed_once_a_second(deployment: Deployment) -> None:
    """--rate prints numbers instead of events."""
    deployment.configure(PAIR)
    deployment.run("start")
    with deployment.popen("es", "listen", "--rate", "--json", "--count", "2") as listener:
        eventually(lambda: subscriptions(deployment))
        deployment.run("es", "publish", "x", "1")
        assert listener.stdout is not None
        sample = json.loads(listener.stdout.readline())
        while sample["total"] == 0:
            sample = json.loads(listener.stdout.readline())
        assert (sample["total"], sample["rate"] > 0) == (1, True)
        deployment.run("es", "publish", "x", "2")
        listener.communicate(timeout=20)
    assert listener.returncode == 0


def test_mistakes_are_sentences(deployment: Deployment) -> None:
    """An empty subject, invalid JSON and a wrong or stopped service are one-sentence errors."""
    deployment.configure(PAIR)
    deployment.run("es", "listen", code=7)
    deployment.run("start")
    assert "subject is empty" in deployment.run("es", "publish", "", "x", code=1).stderr
    assert "not JSON" in deployment.run("es", "publish", "a", "{x", "--as-json", code=1).stderr
    failed = deployment.run("es", "subscriptions", "--service", "ns", code=1)
    assert "ns is not an event service" in failed.stderr
    deployment.run("es", "subscriptions", "--service", "esx", code=5)
    deployment.run("stop", "es")
    assert "es is stopped" in deployment.run("es", "publish", "a", "x", code=1).stderr


def test_what_the_publishing_program_warns_of_is_shown(deployment: Deployment) -> None:
    """Its warnings reach standard error, whether it publishes or fails, and with --json, too."""
    deployment.configure(PAIR)
    deployment.run("start", "es")
    deployment.env["PYRO_HMAC_KEY"] = "secret"  # a variable of Pyro4
    not_json = "Expecting value: line 1 column 1 (char 0)"
    warning = "ignored, since Pyro5 doesn't take it: PYRO_HMAC_KEY\n"
    for options, code, more in (
        ([], 0, ""),
        (["--json"], 0, ""),
        (["--as-json"], 1, f"pyroctl: TEXT is not JSON: {not_json}\n"),
    ):
        found = deployment.run("es", "publish", *options, "subject", "text", code=code)
        assert found.stderr == warning + more
