"""The pure parts of a page: who is let in, what a stream sends, what has happened."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyroctl.core.access import page_may
from pyroctl.core.options.page import ProxySpec, WebOptions
from pyroctl.core.page_codes import check_code, make_code
from pyroctl.view.timeline import happened
from pyroctl.view.topology import topology

pytest.importorskip("starlette")

from pyroctl.web.live.stream import MOST_KEPT, MOST_UNSENT, Stream, parse_id
from pyroctl.web.security.policy import (
    Head,
    Policy,
    Refusal,
    check_change,
    check_host,
    check_role,
    cookies_of,
    identify,
)
from pyroctl.web.security.sessions import MOST_SESSIONS, SESSION_SECONDS, Sessions

NOW = 1_700_000_000.0
TOKEN = "t" * 64
PROXIED = WebOptions(
    socket="/run/web.sock",
    access="operate",
    public_url="https://lab.example/pyro/",
    proxy=ProxySpec("Remote-User", {"alice": "configure", "bob": "view"}),
)


def head(method: str = "GET", /, **headers: str) -> Head:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(method, named, {}, "1.2.3.4:5")


def test_a_code_is_good_once_and_for_a_minute() -> None:
    """It proves that its maker can read the token; nothing in it can be changed."""
    code = make_code(TOKEN, NOW, "n" * 32)
    sessions = Sessions(TOKEN)
    assert not Sessions("other").redeem(code, NOW)
    assert check_code(TOKEN, code, NOW + 61) is None
    assert check_code(TOKEN, f"{int(NOW) + 9999}{code[10:]}", NOW) is None
    assert check_code(TOKEN, "", NOW) is None
    assert check_code(TOKEN, "1-2-ä", NOW) is None
    assert sessions.redeem(code, NOW + 59)
    assert not sessions.redeem(code, NOW + 59)
    following = Sessions(TOKEN, sessions.kept())
    assert not following.redeem(code, NOW + 59), "a restart of the page forgets no used code"


def test_sessions_survive_the_process_and_end() -> None:
    """What is kept are hashes; after twelve hours, or signing out, a cookie is worth nothing."""
    sessions = Sessions(TOKEN)
    sessions.open("secret", NOW)
    following = Sessions(TOKEN, json.loads(json.dumps(sessions.kept())))
    assert "secret" not in json.dumps(following.kept())
    assert following.is_open("secret", NOW + SESSION_SECONDS - 1)
    assert not following.is_open("secret", NOW + SESSION_SECONDS)
    assert not following.is_open("other", NOW)
    following.close("secret")
    assert not following.is_open("secret", NOW)


def test_the_number_of_sessions_is_bounded() -> None:
    """The oldest ends."""
    sessions = Sessions(TOKEN)
    for number in range(MOST_SESSIONS + 1):
        sessions.open(f"s{number}", NOW + number)
    assert not sessions.is_open("s0", NOW + MOST_SESSIONS)
    assert sessions.is_open("s1", NOW + MOST_SESSIONS)


def test_a_proxy_says_who_it_is_and_access_is_the_limit() -> None:
    """Users without a role are refused; a request without the header needs the token."""
    policy, sessions = Policy.of(PROXIED, "c"), Sessions(TOKEN)
    alice = identify(policy, head(remote_user="alice"), sessions, NOW)
    assert (alice.name, alice.role) == ("alice", "operate")
    assert identify(policy, head(remote_user="bob"), sessions, NOW).role == "view"
    for user in ("mallory", "", "alice, bob"):
        with pytest.raises(Refusal, match="no role"):
            identify(policy, head(remote_user=user), sessions, NOW)
    with pytest.raises(Refusal, match="signed in"):
        identify(policy, head(), sessions, NOW)
    check_host(policy, head(host="lab.example"))
    with pytest.raises(Refusal):
        check_host(policy, head(host="lab.example.evil"))


def test_a_header_of_a_proxy_means_nothing_without_one() -> None:
    """Nobody becomes alice by a header."""
    with pytest.raises(Refusal, match="signed in"):
        identify(Policy.of(WebOptions(), "c"), head(remote_user="alice"), Sessions(TOKEN), NOW)


def test_a_role_includes_those_before_it() -> None:
    """And no page may end the manager, whatever its role."""
    policy = Policy.of(WebOptions(access="operate"), "c")
    who = identify(policy, head(authorization=f"bearer {TOKEN}"), Sessions(TOKEN), NOW)
    check_role(who, "view")
    check_role(who, "operate")
    with pytest.raises(Refusal, match="needs configure"):
        check_role(who, "configure")
    assert [page_may(role, "stop") for role in ("view", "operate", "configure")] == [
        *(False, True, True)
    ]
    assert not any(page_may("configure", do) for do in ("shutdown", "reexec", "anything"))
    assert (page_may("operate", "reload"), page_may("configure", "reload")) == (False, True)


def test_changes_need_the_same_origin_and_json() -> None:
    """Scripts with the token need no origin; a browser always says one."""
    good = {"host": "localhost:1", "content_type": "application/json; charset=utf-8"}
    check_change(head("POST", **good, origin="http://localhost:1"), by_token=False)
    check_change(head("POST", **good), by_token=True)
    check_change(head("POST", **good, sec_fetch_site="same-origin"), by_token=False)
    for headers in (
        {}, {"origin": "http://localhost:2"}, {"origin": "null"}, {"origin": "http://[::bad"},
        {"sec_fetch_site": "cross-site"},
        {"origin": "http://localhost:1", "sec_fetch_site": "same-site"},
    ):  # fmt: skip
        with pytest.raises(Refusal):
            check_change(head("POST", **good, **headers), by_token=False)
    with pytest.raises(Refusal, match="application/json"):
        check_change(head("POST", host="localhost:1"), by_token=True)


def test_the_first_cookie_of_a_name_counts() -> None:
    """Others are not even read."""
    assert cookies_of("a=1; b=2;c=3; b=4; =5;", {"b"}) == {"b": "2"}


def numbers(text: str) -> list[int]:
    return [int(line.rpartition("-")[2]) for line in text.splitlines() if line.startswith("id: ")]


def test_a_stream_that_is_not_read_loses_the_oldest_and_says_so() -> None:
    """It holds a bounded amount."""
    stream = Stream("s")
    for number in range(MOST_UNSENT + 50):
        stream.put("sample", {"number": number})
    text = stream.take()
    assert text.startswith('event: gap\ndata: {"missed": 50}\n\n')
    assert numbers(text) == list(range(51, MOST_UNSENT + 51))
    assert (stream.missed, stream.waiting) == (50, False)
    for _ in range(5):
        stream.put("log", "x" * 400_000)
    assert len(numbers(stream.take())) == 2


def test_a_browser_that_comes_back_gets_what_it_has_missed() -> None:
    """As long as that is kept; then it has to begin again."""
    stream = Stream("s")
    for number in range(MOST_KEPT + 10):
        stream.put("sample", number)
        stream.take()
    stream.put("sample", "waits")
    assert parse_id("s-1005") == ("s", 1005)
    again = stream.resume(1005)
    assert again is not None
    assert numbers(again) == [1006, 1007, 1008, 1009, 1010]
    assert numbers(stream.take()) == [1011]
    assert stream.resume(5) is None
    assert stream.resume(99999) is None
    for text in ("", "s", "s-", "-5", "s-x", "s-" + "9" * 40):
        assert parse_id(text) is None


def test_nothing_in_a_message_can_end_it() -> None:
    """Line ends of a log are escaped, as JSON does it."""
    stream = Stream("s")
    stream.put("log", {"text": "a\n\nevent: state\ndata: {}\r\n\u2028"})
    assert stream.take().count("\n") == 4


def row(name: str, state: str, pid: int | None = 1, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "state": state, "pid": pid, "exit": None, "detail": "", "needs": [],
        "kind": "command", **more,
    }  # fmt: skip


def test_the_timeline_tells_states_and_ends() -> None:
    """Nothing is told of what was there before the first look."""
    failed = {"text": "exit code 1", "code": 1, "signal": None}
    before = [row("a", "running"), row("gone", "stopped")]
    after = [row("a", "backoff", None, exit=failed), row("new", "starting")]
    assert list(happened([], before, NOW)) == []
    found = happened(before, after, NOW)
    assert [(each["service"], each["kind"], each["text"]) for each in found] == [
        ("a", "end", "exit code 1"),
        ("a", "state", "backoff: exit code 1"),
        ("new", "state", "new: starting"),
        ("gone", "state", "removed from the configuration"),
    ]  # fmt: skip
    assert list(happened(after, after, NOW)) == []


def test_the_topology_has_what_is_needed_seen_and_heard() -> None:
    """A connection that needs explain is not told twice."""
    rows = [row("ns", "running"), row("es", "running", needs=["ns"]), row("oven", "failed")]
    subscriber = {"subscriber": "PYRO:x@y:1", "subjects": ["lab.t"], "patterns": ["lab.*"]}
    edges = [{"origin": "10.0.0.1", "publisher": "", "subjects": "lab.t", "count": 30}]
    found = topology(
        rows,
        [("oven", "es"), ("es", "ns")],
        {"es": {"subscriptions": [subscriber], "subjects": {"edges": edges, "seconds": 10.0}}},
    )
    layers = {node["id"]: node["layer"] for node in found["nodes"] if node["kind"] == "service"}
    assert layers == {"ns": 0, "es": 1, "oven": 0}
    shown = [(e["from"], e["to"], e["kind"], e["rate"]) for e in found["edges"]]
    assert shown == [
        ("es", "ns", "needs", None),
        ("oven", "es", "observed", None),
        ("es", "es/subscriber/0", "subscribes", None),
        ("es/publisher/10.0.0.1/", "es", "publishes", 3.0),
    ]
