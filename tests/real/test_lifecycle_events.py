"""State changes of services are published by the deployment's own event services."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_events import Event, ReconnectingProxy, Subscriber
from tests.harness import eventually
from tests.real.test_main_job import PAIR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Deployment

JOB = """
[services.job]
kind = "command"
command = ["sleep", "1000"]
ready = { delay = 0 }
restart_delay = 0
"""
NAMED = f'[manager]\nname = "lab"\n{PAIR}'


class News(Subscriber):
    """Keeps the events."""

    def __init__(self, es: str) -> None:
        super().__init__(es)
        self.got: list[tuple[str, dict[str, Any]]] = []

    def event(self, event: Event) -> None:
        self.got.append((event.subject, event.msg))

    def states(self, service: str) -> list[str]:
        return [msg["state"] for _, msg in self.got if msg["service"] == service]


@contextlib.contextmanager
def hearing(deployment: Deployment, es: str = "es") -> Iterator[News]:
    with News(deployment.service(es)["uri"]) as news:
        news.subscribeMatch(r"pyroctl\.")
        thread = threading.Thread(target=news.listen)
        thread.start()
        try:
            yield news
        finally:
            news.abort()
            thread.join(10)


def test_every_change_is_published(deployment: Deployment) -> None:
    """They come in order, with a subject for each state and a dict with all details."""
    deployment.configure(NAMED + JOB)
    deployment.run("start")
    with hearing(deployment) as news:
        before, pid = time.time(), deployment.service("job")["pid"]
        deployment.run("restart", "job")
        eventually(lambda: news.states("job") == ["stopping", "starting", "running"])
        row = deployment.service("job")
        subject, message = news.got[-1]
        assert subject == "pyroctl.lab.job.running"
        assert before < message.pop("time") < time.time()
        assert message == {
            "deployment": "lab", "service": "job", "state": "running", "pid": row["pid"],
            "uri": None, "reason": None,
        }  # fmt: skip
        assert (news.got[0][1]["pid"], news.got[0][1]["reason"]) == (pid, "restart requested")


def test_a_crash_is_published_with_its_reason(deployment: Deployment) -> None:
    """Programs can watch the health of their system."""
    deployment.configure(NAMED + JOB)
    deployment.run("start")
    with hearing(deployment) as news:
        os.kill(deployment.service("job")["pid"], signal.SIGKILL)
        eventually(lambda: "running" in news.states("job"))
        (reason,) = {msg["reason"] for _, msg in news.got if msg["state"] == "stopping"}
        assert "SIGKILL" in reason


def test_changes_during_its_absence_are_published_when_it_is_back(
    deployment: Deployment,
) -> None:
    """They come in order, its own restart included; a crash of it loses nothing either."""
    deployment.configure(NAMED + JOB)
    deployment.run("start")
    with hearing(deployment) as news:
        deployment.run("restart", "es", "--yes")
        eventually(lambda: news.states("es") == ["stopping", "starting", "running"])
        os.kill(deployment.service("es")["pid"], signal.SIGKILL)
        eventually(lambda: news.states("es")[-1:] == ["running"] and len(news.states("es")) > 3)
        deployment.run("restart", "job")
        eventually(lambda: news.states("job") == ["stopping", "starting", "running"])
        times = [msg["time"] for _, msg in news.got]
        assert times == sorted(times)
        uri = deployment.service("es")["uri"]
        assert {msg["uri"] for _, msg in news.got if msg["service"] == "es"} == {uri}


def test_the_last_events_before_a_shutdown(deployment: Deployment) -> None:
    """The ends of services that need the event service are still published."""
    deployment.configure(NAMED + JOB + 'needs = ["es"]\n')
    deployment.run("start")
    with hearing(deployment) as news:
        deployment.run("shutdown")
        eventually(lambda: news.states("job") == ["stopping", "stopped"])


def test_several_event_services_publish_the_same(deployment: Deployment) -> None:
    """Each publishes all changes, also those of the other."""
    second = PAIR.replace("ns", "ns2").replace(".es]", ".es2]")
    deployment.configure(NAMED + second + JOB)
    deployment.run("start")
    with hearing(deployment) as one, hearing(deployment, "es2") as other:
        deployment.run("restart", "job")
        for news in (one, other):
            eventually(lambda news=news: news.states("job") == ["stopping", "starting", "running"])
        deployment.run("stop", "es2", "--yes")
        eventually(lambda: one.states("es2") == ["stopping", "stopped"])


def test_a_frozen_event_service_delays_no_service(deployment: Deployment) -> None:
    """The manager works as usual, and the changes are published once it continues."""
    deployment.configure(NAMED + "watchdog = false\nstop_timeout = 1\n" + JOB)
    deployment.run("start")
    pid = deployment.service("es")["pid"]
    with hearing(deployment) as news:
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                deployment.run("restart", "job")
            assert news.got == []
        finally:
            os.kill(pid, signal.SIGCONT)
        eventually(lambda: news.states("job") == 3 * ["stopping", "starting", "running"])
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        deployment.run("shutdown")
        assert time.monotonic() - began < 10


def test_the_command_in_the_laboratorys_header_hears_them(deployment: Deployment) -> None:
    """`es listen` with the words of config/lab.toml prints a change of state."""
    header = (Path(__file__).parents[2] / "config" / "lab.toml").read_text()
    (words,) = re.findall(r"^# .* es listen (.*)$", header, re.MULTILINE)
    deployment.configure(NAMED + JOB)
    deployment.run("start", "es")
    with deployment.popen("es", "listen", "--count", "1", *shlex.split(words)) as listener:
        eventually(lambda: deployment.service("es")["es"]["subscribers"] == 1)
        deployment.run("start", "job")
        output, _ = listener.communicate(timeout=20)
    assert " pyroctl.lab.job." in output


def test_it_is_not_counted_as_published(deployment: Deployment) -> None:
    """The event service's counts are those of its clients; these events are counted apart."""
    deployment.configure(NAMED + JOB)
    deployment.run("start")
    numbers = eventually(lambda: (n := deployment.service("es")["es"])["announced"] >= 6 and n)
    assert (numbers["published"], numbers["delivered"]) == (0, 0)


def test_a_reconnecting_proxy_follows_the_managers_events(deployment: Deployment) -> None:
    """A waiting call continues as soon as the manager reports that the service runs."""
    shutil.copy(Path(__file__).with_name("things.py"), deployment.root)
    deployment.configure(
        NAMED + '[services.thing]\nkind = "object"\nobject = "things:Counting"\n'
        'needs = ["es"]\npyro_name = "thing"\n'
    )
    deployment.run("start")
    names = deployment.service("ns")["uri"].rpartition("@")[2]
    es = deployment.service("es")["uri"]
    # Chance makes pauses of 100 s and more.
    with (
        ReconnectingProxy(
            f"PYRONAME:thing@{names}", events=es, patience=300, chance=lambda: 10_000.0
        ) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        assert proxy.pid == deployment.service("thing")["pid"]
        eventually(lambda: deployment.service("es")["es"]["subscriptions"] == 1)
        deployment.run("stop", "thing")
        answer = pool.submit(proxy.method("count", repeatable=True))
        eventually(lambda: proxy.statistics()["failures"])
        deployment.run("start", "thing")
        assert answer.result(20) == 1
