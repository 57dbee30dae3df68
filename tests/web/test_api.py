"""What programs and the page get from the API, from real processes."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.harness import eventually, is_alive
from tests.web.page import Page, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = """\
[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]

[services.web]
kind = "web"
port = 0
access = "configure"
"""


def operation(page: Page, started: Any) -> Any:
    """Wait for the end of an operation."""

    def ended() -> Any:
        found = page.get(f"operations/{started['operation']}")
        return found if found["state"] != "running" else None

    return eventually(ended, "the operation ends", 30)


def test_the_status_is_that_of_the_command(shared: Page) -> None:
    """The page and `pyroctl status` can't disagree; a service has its configuration, too."""
    found = shared.get("status")
    command = shared.deployment.json("status", code=None)["data"]
    assert [(row["name"], row["state"], row["pid"], row["uri"]) for row in found["services"]] == [
        (row["name"], row["state"], row["pid"], row["uri"]) for row in command["services"]
    ]
    assert (found["alive"], found["role"], found["deployment"]) == (True, "configure", "default")
    es = shared.get("services/es")
    assert (es["needs"], shared.get("services/ns")["needed_by"]) == (["ns"], ["es"])
    origins = {each["key"]: each["origin"] for each in es["config"]}
    assert origins["kind"].endswith("pyroctl.toml:6")
    assert origins["port"] == "default"
    password = [e for e in shared.get("services/chatty")["config"] if "PASSWORD" in e["key"]]
    assert [each["value"] for each in password] == ['"***"']
    assert shared.request("GET", "/api/v1/services/nope").status == 404


def test_logs_are_text_whatever_is_in_them(shared: Page) -> None:
    """Searched, from a cursor on, and as a download."""
    found = shared.get("logs?service=chatty&grep=ONERROR")
    assert [each["text"] for each in found["lines"]] == ["<img src=x onerror=alert(1)>"]
    assert shared.get("logs?service=chatty&grep=ONERROR&case=1")["lines"] == []
    newest = shared.get("logs?limit=1")
    assert shared.get(f"logs?limit=1&before={newest['older']}")["lines"] != newest["lines"]
    text = shared.request("GET", "/api/v1/logs?service=chatty", Accept="text/plain").body.decode()
    assert "hello from chatty" in text
    for bad in ("grep=(", "service=nope", "before=x", "since=never", "limit=0", "limit=x"):
        answer = shared.request("GET", f"/api/v1/logs?{bad}")
        assert (answer.status, bool(answer.error["message"])) == (400, True)


def test_a_stream_tells_everything_and_continues(shared: Page) -> None:
    """State, samples, logs and events; and what came while the browser was away."""
    with Stream(shared) as stream:
        _, hello = stream.next("hello")
        _, state = stream.next("state")
        assert {row["name"] for row in state["services"]} == {"ns", "es", "chatty", "web"}
        _, sample = stream.next("sample")
        assert sample["services"]["es"]["rss_bytes"] > 1 << 20
        topics = ["log:*", "tap:es:lab\\.", "timeline"]
        assert shared.post(f"stream/{hello['id']}", {"topics": topics}) == {"topics": topics}
        eventually(lambda: shared.get("es/subscriptions"), "the tap is subscribed")
        message = {"value": [1, {"deep": None}], "text": "x" * 3000}
        shared.post("es/publish", {"subject": "lab.t", "msg": message})
        shared.post("es/publish", {"subject": "other", "msg": 1})
        _, tapped = stream.next("tap")
        (event,) = tapped["events"]
        assert (event["subject"], event["service"], event["truncated"]) == ("lab.t", "es", True)
        assert event["text"].startswith('{"value": [1, {"deep": null}], "text": "xxx')
        whole = shared.get(f"es/message?service=es&n={event['n']}")["text"]
        assert len(whole) > 3000
        (observer,) = shared.get("es/subscriptions")
        assert (observer["when_full"], observer["queue_size"]) == ("drop-oldest", 200)
        last = stream.last
    shared.post(f"stream/{hello['id']}", {"topics": []})
    with Stream(shared, last) as again:
        kind, _ = again.next()
        assert kind != "hello"
        assert int(again.last.rpartition("-")[2]) == int(last.rpartition("-")[2]) + 1
    with Stream(shared, "0123-7") as lost:
        assert lost.next()[0] == "hello"
        assert lost.next()[0] == "reset"
    eventually(lambda: not shared.get("es/subscriptions"), "nobody taps any more")


def test_reserved_subjects_are_the_managers(shared: Page) -> None:
    """A page can't make others believe that a service has failed."""
    answer = shared.request("POST", "/api/v1/es/publish", {"subject": "PYROCTL.x", "msg": 1})
    assert answer.status == 400


def test_what_an_action_costs_is_shown_before_it(start_page: Callable[..., Page]) -> None:
    """A client that has not seen the cost stops nothing; the other's stop is written down."""
    page = start_page(SMALL)
    es = page.deployment.service("es")["uri"]
    script = (
        "import sys, Pyro5.api\n"
        "@Pyro5.api.expose\n"
        "class Plain:\n"
        "    def event(self, event): pass\n"
        "daemon = Pyro5.api.Daemon()\n"
        "plain = Plain()\n"
        "uri = daemon.register(plain)\n"
        "Pyro5.api.Proxy(sys.argv[1]).subscribe('lab.t', uri)\n"
        "print('ready', flush=True)\n"
        "daemon.requestLoop()\n"
    )
    import subprocess
    import sys

    command = [sys.executable, "-c", script, es]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=page.deployment.env) as plain:
        try:
            assert plain.stdout is not None
            assert plain.stdout.readline() == b"ready\n"
            refused = page.request("POST", "/api/v1/services/es/stop", {})
            assert (refused.status, refused.error["code"]) == (409, "would-lose")
            cost = page.post("foresee", {"do": "stop", "services": ["es"]})
            assert cost == refused.data
            assert "lab.t" in "".join(cost["costs"][0]["lines"])
            assert page.deployment.state("es") == "running"
            wrong = {"seen": "0" * 16}
            assert page.request("POST", "/api/v1/services/es/stop", wrong).status == 409
            safe = {"seen": cost["seen"], "safe": True}
            assert page.request("POST", "/api/v1/services/es/stop", safe).status == 409
            handover = page.post(
                "foresee", {"do": "restart", "services": ["es"], "how": "handover"}
            )
            assert handover["costs"] == []
            begun = page.post("services/es/stop", {"seen": cost["seen"]}, 202)
            done = operation(page, begun)
            assert (done["state"], done["who"], done["errors"]) == ("done", "token", [])
            assert page.deployment.state("es") == "stopped"
        finally:
            plain.kill()
    acted = [each for each in page.get("timeline") if each["kind"] == "action"]
    assert [(e["text"], e["outcome"], e["role"]) for e in acted] == [
        ("stop es", "done", "configure"), ("stop es", "running", "configure"),
    ]  # fmt: skip
    assert operation(page, page.post("services/es/start", {}, 202))["state"] == "done"


def test_a_configuration_is_changed_only_as_a_whole(start_page: Callable[..., Page]) -> None:
    """Faults have their place and change nothing; a change has a way back, and an author."""
    page = start_page(SMALL)
    file = page.deployment.root / "pyroctl.toml"
    (shown,) = page.get("config")["files"]
    path = f"/api/v1/config/files/{shown['id']}"
    faulty = SMALL.replace('kind = "eventservice"', 'kind = "eventservice"\nprot = 1')
    found = page.post("config/check", {"files": {shown["id"]: faulty}})
    (fault,) = found["faults"]
    assert (fault["line"], fault["column"], fault["hint"]) == (7, 1, "did you mean port?")
    refused = page.request("PUT", path, {"text": faulty}, If_Match=shown["etag"])
    assert (refused.status, file.read_text()) == (422, SMALL)
    assert page.request("PUT", path, {"text": SMALL}).status == 400
    changed = SMALL.replace("[services.web]", "log = { keep = 7 }\n[services.web]")
    plan = page.post("config/check", {"files": {shown["id"]: changed}})
    assert plan["plan"] == ["es: log.keep: 5 → 7"]
    assert "+log = { keep = 7 }" in plan["diff"]
    done = page.request("PUT", path, {"text": changed}, If_Match=shown["etag"])
    assert (done.status, file.read_text()) == (200, changed)
    late = page.request("PUT", path, {"text": SMALL}, If_Match=shown["etag"])
    assert (late.status, late.error["code"], file.read_text()) == (409, "changed", changed)
    assert page.get(f"config/files/{shown['id']}?version={done.data['undo']}")["text"] == SMALL
    assert [each["who"] for each in page.get(f"config/files/{shown['id']}?versions=1")] == ["token"]
    assert page.post("reload", {"dry_run": True})["plan"][0]["service"] == "es"
    reloaded = operation(page, page.post("reload", {}, 202))
    assert reloaded["state"] == "done", reloaded["errors"]


def test_history_survives_the_page_and_the_manager(start_page: Callable[..., Page]) -> None:
    """kill -9 of the page leaves no hole; a restart of everything keeps what was measured."""
    page = start_page(SMALL)
    cookie = page.cookie()

    def known() -> list[float]:
        now = time.time()
        found = page.get(f"series?service=es&name=rss_bytes&from={now - 500}&to={now}&points=600")
        return [value for value in found["mean"] if value is not None]

    with Stream(page) as stream:
        for _ in range(3):
            stream.next("sample")
    before = eventually(known, "samples")
    pid = page.deployment.service("web")["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: not is_alive(pid) and page.deployment.state("web") == "running", "it is back"
    )
    assert len(known()) >= len(before)
    assert page.request("GET", "/api/v1/status", token=False, Cookie=cookie).status == 200
    page.deployment.run("shutdown")
    page.deployment.run("start")
    again = Page(page.deployment)
    assert again.token == page.token
    page.url, page.host, page.address = again.url, again.host, again.address
    assert len(known()) >= len(before)
    states = [e["text"] for e in page.get("timeline") if e["service"] == "es"]
    assert "stopping: stop requested" in states or len(states) >= 1


def test_a_frozen_manager_is_told_and_logs_are_still_shown(start_page: Callable[..., Page]) -> None:
    """The page doesn't freeze with it."""
    page = start_page(SMALL)
    pid = page.deployment.manager_pid()
    with Stream(page) as stream:
        stream.next("sample")
        os.kill(pid, signal.SIGSTOP)
        try:
            while stream.next("manager")[1]["alive"]:
                pass
            found = page.get("status")
            assert (found["alive"], found["manager"]["pid"]) == (False, None)
            assert found["error"] == "the manager does not answer"
            assert [row["name"] for row in found["services"]] == ["ns", "es", "web"]
            assert page.get("logs?service=es")["lines"]
            assert (
                page.request("POST", "/api/v1/foresee", {"do": "stop", "services": []}).status
                == 503
            )
            assert page.request("GET", "/readyz").status == 503
        finally:
            os.kill(pid, signal.SIGCONT)
        while not stream.next("manager")[1]["alive"]:
            pass


def test_an_adopted_page_waits_for_the_next_manager(start_page: Callable[..., Page]) -> None:
    """It tells that the manager was killed, shows what was known, and follows the next one."""
    page = start_page(f'[manager]\norphans = "adopt"\n{SMALL}')
    with Stream(page) as stream:
        stream.next("sample")
        page.deployment.kill_manager()
        while stream.next("manager")[1]["alive"]:
            pass
        found = page.get("status")
        assert found["manager"]["pid"] is None
        assert found["error"] in {"the manager has ended", "the manager isn't running"}
        assert page.get("logs?service=es")["lines"]
        page.deployment.run("start")
        while not stream.next("manager")[1]["alive"]:
            pass
    assert page.get("status")["manager"]["pid"] == page.deployment.manager_pid()
    assert Page(page.deployment).address == page.address


def test_the_topology_has_a_connection_that_no_need_explains(
    start_page: Callable[..., Page],
) -> None:
    """A program that talks to the event service without needing it."""
    script = (
        "import time, pyro_events; p = pyro_events.Publisher(); "
        "[(p.post('lab.t', 1), time.sleep(0.2)) for _ in range(1000)]"
    )
    command = f"command = ['python', '-c', \"{script}\"]"
    talker = f"[services.talker]\nkind = 'command'\nneeds = ['ns']\n{command}\n"
    page = start_page(SMALL + talker)

    def seen() -> bool:
        edges = {(e["from"], e["to"], e["kind"]) for e in page.get("topology")["edges"]}
        return ("talker", "es", "observed") in edges and any(
            to == "es" and kind == "publishes" for _, to, kind in edges
        )

    eventually(seen, "the connection and the publisher are seen")
    assert {"from": "es", "to": "ns", "kind": "needs", "label": "", "rate": None} in page.get(
        "topology"
    )["edges"]


def test_prometheus_and_load_balancers_ask_without_a_token(shared: Page) -> None:
    """Numbers of all services and of the page itself; whether what is enabled runs."""
    assert shared.request("GET", "/healthz", token=False).body == b"ok\n"
    answer = shared.request("GET", "/metrics", token=False)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'pyroctl_service_state{service="es",state="running"} 1' in answer.body.decode()
    assert "pyroctl_web_requests_total{" in answer.body.decode()
    assert shared.request("GET", "/readyz", token=False).status == 200


def test_the_description_of_the_api_fits_its_answers(shared: Page) -> None:
    """Every path is in it, and the answers have the shape that it says."""
    from pydantic import TypeAdapter

    from pyroctl.web.api.table import ALL, V1

    described = shared.request("GET", "/api/v1/openapi.json")
    import json

    paths = json.loads(described.body)["paths"]
    assert {(e.path, e.method.lower()) for e in ALL} == {
        (path, method) for path, methods in paths.items() for method in methods
    }
    for endpoint in ALL:
        plain = endpoint.method == "GET" and "{" not in endpoint.path and not endpoint.media
        if plain and endpoint.answer is not None and not endpoint.path.endswith("es/message"):
            query = "?service=es&name=fds" if endpoint.path.endswith("series") else ""
            data = shared.get(endpoint.path.removeprefix(f"{V1}/") + query)
            TypeAdapter(endpoint.answer).validate_python(data)
