"""Text from outside is one printable line wherever a command shows it, and JSON in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import Pyro5.api

from tests.cli.test_output import CONTROLS
from tests.harness import eventually
from tests.real.test_main_job import PAIR
from tests.real.test_warnings import on_a_terminal, plain_subscriber

if TYPE_CHECKING:
    from tests.harness import Deployment

HOSTILE = "a\x1b[2J\rb\x1b]0;c\x07\nd\u202e"
SHOWN = r"a\x1b[2J\rb\x1b]0;c\x07\nd\u202e"
SUBJECT = "a\u202eb\u2028c"
SHOWN_SUBJECT = r"a\u202eb\u2028c"
"""A subject has no control characters, but may have others that no terminal should get."""
LONGEST_ERROR = 6
"""Lines; each error has at most one for its sentence and one for its hint."""

SERVICES = f"""
[services.stage]
kind = "command"
command = ["sh", "-c", 'printf "%s\\n" "$0"; exit 3', {json.dumps(HOSTILE.replace(chr(10), " "))}]
restart = "never"
[services.{{0}}]
kind = "command"
command = ["sleep", {json.dumps(HOSTILE)}]
cwd = {json.dumps("/" + HOSTILE)}
enabled = false
"""


def lines_on_a_terminal(deployment: Deployment, *args: str) -> list[str]:
    """Return what a command shows, a line each, after a check that nothing else is in there."""
    _, shown = on_a_terminal(deployment, "", *args)
    lines = shown.replace("\r\n", "\n").split("\n")
    assert not [line for line in lines if CONTROLS.search(line)], lines
    return lines


def test_subjects_patterns_and_names_of_subscribers(deployment: Deployment) -> None:
    """In the table of subscriptions, and in the warning before they are lost."""
    deployment.configure(PAIR)
    deployment.run("start")
    uri = deployment.service("es")["uri"]
    with plain_subscriber(uri) as subscriber, Pyro5.api.Proxy(uri) as service:
        service.subscribe([SUBJECT], subscriber)
        (row,) = (
            line
            for line in lines_on_a_terminal(deployment, "es", "subscriptions")
            if "PYRO:" in line
        )
        assert SHOWN_SUBJECT in row
        warned = lines_on_a_terminal(deployment, "restart", "es")
        assert [SHOWN_SUBJECT in line for line in warned if subscriber in line] == [True]
        (entry,) = deployment.json("es", "subscriptions")["data"]["subscriptions"]
        assert SUBJECT in entry["subjects"]


def test_events(deployment: Deployment) -> None:
    """Subject and message of an event are one line, and JSON has them as they are."""
    deployment.configure(PAIR)
    deployment.run("start")
    uri = deployment.service("es")["uri"]
    for options in ([], ["--json"]):
        listen = ["es", "listen", "--count", "1", *options]
        with deployment.popen(*listen) as listener, Pyro5.api.Proxy(uri) as service:
            eventually(service.subscriptions)
            service.publish(SUBJECT, HOSTILE)
            out, err = listener.communicate(timeout=20)
        assert err == ""
        (line,) = out.split("\n")[:-1]
        if options:
            assert [json.loads(line)[key] for key in ("subject", "msg")] == [SUBJECT, HOSTILE]
        else:
            assert line.endswith(f" {SHOWN_SUBJECT} {SHOWN}")


def test_output_and_configuration(deployment: Deployment) -> None:
    """A last line that became a reason, values and paths are printable in every command."""
    deployment.configure(SERVICES.format("idle"))
    reason = SHOWN.replace(r"\n", " ")
    for words in (["start"], ["status"], ["status", "stage"], ["logs"], ["config", "check"]):
        lines = lines_on_a_terminal(deployment, *words)
        if words[0] != "config":
            assert [line for line in lines if reason in line], (words, lines)
    for words in (["config", "show"], ["config", "get", "services.idle"], ["reload"], ["ls"]):
        lines_on_a_terminal(deployment, *words)
    told = deployment.json("config", "get", "services.idle.cwd")["data"]["value"]
    assert told.endswith(HOSTILE)
    assert reason in deployment.service("stage")["detail"]


def test_names_in_errors(deployment: Deployment) -> None:
    """A wrong name, in the configuration or on the command line, is quoted in one line."""
    deployment.configure(SERVICES.format(json.dumps(HOSTILE)))
    for words in (
        ["config", "check"],
        ["start"],
        ["status", HOSTILE],
        ["logs", HOSTILE],
        [HOSTILE],
    ):
        assert len(lines_on_a_terminal(deployment, *words)) <= LONGEST_ERROR
        assert json.loads(deployment.run(*words, "--json", code=None).stdout)["errors"]
