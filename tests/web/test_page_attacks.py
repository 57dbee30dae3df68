"""Each rule about who gets in, attacked by raw HTTP."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyroctl.control.client import SocketAddress
from pyroctl.control.protocol import encode, request
from tests.harness import eventually
from tests.web.page import Page, Stream, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable

STATUS = "/api/v1/status"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def rejected(page: Page, reason: str) -> float:
    """Return how many requests were refused for a reason."""
    text = page.request("GET", "/metrics").body.decode()
    line = f'pyroctl_web_rejected_requests_total{{reason="{reason}"}} '
    found = [each.removeprefix(line) for each in text.splitlines() if each.startswith(line)]
    return float(found[0]) if found else 0.0


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.nip.io:{port}",
        "localhost.evil.example",
        "lab.example.evil.example",
        "0.0.0.0:{port}",
        "localhost@evil.example",
        "",
    ],
)
def test_a_rebound_name_is_refused_even_with_the_token(shared: Page, host: str) -> None:
    """DNS rebinding: the browser comes to us, but asks for the attacker's name."""
    before = rejected(shared, "host")
    wanted = host.format(port=shared.address[1])
    for path in (STATUS, "/", "/metrics", "/healthz", "/session"):
        method = "POST" if path == "/session" else "GET"
        body = {"token": shared.token} if path == "/session" else None
        answer = shared.request(method, path, body, host=wanted)
        assert answer.status in {400, 421}, (path, answer)
        assert b"swordfish" not in answer.body
    if host:
        assert rejected(shared, "host") >= before + 5


def test_names_of_ours_are_served(shared: Page) -> None:
    """Loopback by any name and port, as through ssh -L, and the names of the configuration."""
    for host in (shared.host, "localhost:1234", "[::1]:80", "127.0.0.1", "LAB.example:443"):
        assert shared.request("GET", STATUS, host=host).status == 200


def test_two_hosts_are_no_host(shared: Page) -> None:
    """Neither of two Host headers counts."""
    head = f"GET {STATUS} HTTP/1.1\r\nHost: {shared.host}\r\nHost: evil\r\n\r\n"
    assert shared.send(head.encode()).status == 400


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("", "", "cookie"),
        ("Authorization", "Bearer ", "token"),
        ("Authorization", "Bearer {wrong}", "token"),
        ("Authorization", "Basic {token}", "cookie"),
        ("Cookie", "pyroctl_00000000={token}", "cookie"),
        ("Cookie", "{name}={token}", "session"),
        ("Cookie", "{name}=", "cookie"),
        ("Sec-Fetch-Site", "same-origin", "cookie"),
    ],
)
def test_nobody_gets_in_without_showing_who_he_is(
    shared: Page, header: str, value: str, code: str
) -> None:
    """Not on loopback either, and what a browser says about itself proves nothing."""
    name = shared.cookie().partition("=")[0]
    text = value.format(wrong="0" * 64, token=shared.token, name=name)
    headers = {header: text} if header else {}
    for method, path in (("GET", STATUS), ("POST", "/api/v1/services/es/stop"), ("GET", "/x")):
        answer = shared.request(method, path, token=False, **headers)
        assert (answer.status, answer.error["code"]) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_session_ends_when_it_is_closed(shared: Page) -> None:
    """A cookie that was stolen before is worth nothing after; nor does it work under another name.

    It can't be read by scripts, and is never sent by other sites.
    """
    origin = shared.url.rstrip("/")
    signed_in = shared.request(
        "POST", "/session", {"token": shared.token}, token=False, Origin=origin
    )
    attributes = signed_in.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= set(attributes.split("; "))
    cookie = attributes.partition(";")[0]
    assert shared.request("GET", STATUS, token=False, Cookie=cookie).status == 200
    ended = shared.request("DELETE", "/session", token=False, Cookie=cookie, Origin=origin)
    assert ended.status == 200
    assert shared.request("GET", STATUS, token=False, Cookie=cookie).status == 401


def test_a_code_works_once(shared: Page) -> None:
    """What `pyroctl web open` prints is used up by the browser that it has opened."""
    opened = shared.deployment.json("web", "open", "--no-browser")["data"]
    code = opened["url"].partition("#")[2]
    assert shared.token not in opened["url"]
    origin = shared.url.rstrip("/")
    first, second, forged = (
        shared.request("POST", "/session", {"code": each}, token=False, Origin=origin).status
        for each in (code, code, f"9{code[1:]}")
    )
    assert (first, second, forged) == (200, 401, 401)


@pytest.mark.parametrize("method", UNSAFE)
def test_another_site_can_change_nothing(shared: Page, method: str) -> None:
    """With the cookie of a browser, each method but GET and HEAD is checked."""
    cookie = shared.cookie()
    path = "/api/v1/services/chatty/stop"
    for origin in ("https://evil.example", "null", f"http://localhost.evil:{shared.address[1]}"):
        answer = shared.request(method, path, {}, token=False, Cookie=cookie, Origin=origin)
        assert answer.status in {403, 405}, answer
        if method == "POST":
            assert answer.error["code"] == "origin"
    for site in ("cross-site", "same-site", "none"):
        headers = {"Cookie": cookie, "Origin": shared.url.rstrip("/"), "Sec-Fetch-Site": site}
        assert shared.request(method, path, {}, token=False, **headers).status in {403, 405}
    silent = shared.request(method, path, {}, token=False, Cookie=cookie)
    assert silent.status in {403, 405}
    assert shared.deployment.state("chatty") == "running"


@pytest.mark.parametrize(
    "kind", ["", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
)
def test_a_form_is_no_request(shared: Page, kind: str) -> None:
    """What a page of another site can send without asking is never taken, even with our token."""
    answer = shared.request(
        "POST", "/api/v1/services/chatty/stop", {}, Content_Type=kind, Origin=shared.url.rstrip("/")
    )
    assert (answer.status, answer.error["code"]) == (415, "type")
    assert shared.deployment.state("chatty") == "running"


def test_no_other_origin_may_read(shared: Page) -> None:
    """There is no CORS: a preflight is refused, and no answer allows anything."""
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for answer in (
        shared.request("OPTIONS", STATUS, token=False, **preflight),
        shared.request("GET", STATUS, Origin="https://evil.example"),
    ):
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_all_answers_have_the_headers(shared: Page) -> None:
    """Page, API, refusals and files: no inline script, no frame, no sniffing, no cache of data."""
    page = shared.request("GET", "/")
    for answer in (
        page,
        shared.request("GET", STATUS),
        shared.request("GET", STATUS, token=False),
        shared.request("GET", "/nothing"),
        shared.request("GET", STATUS, host="evil.example"),
    ):
        policy = answer.headers["content-security-policy"]
        assert policy == page.headers["content-security-policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"} <= set(
            policy.split("; ")
        )
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_what_is_not_http_is_counted(shared: Page) -> None:
    """Whatever comes, the answer has the headers, and the log one line a minute."""
    before = rejected(shared, "malformed")
    for text in (
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"\0\0\0\r\n\r\n",
    ):
        answer = shared.send(text)
        assert answer.status == 400
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert rejected(shared, "malformed") == before + 3


def test_files_are_those_of_the_page_only(shared: Page) -> None:
    """A path can't lead out of them, however it is written."""
    for path in (
        "/static/../settings.py",
        "/static/..%2f..%2fsettings.py",
        "/static/%2e%2e/site.py",
        "/static//etc/passwd",
        "/static/" + "a/" * 3000,
        "/%00",
    ):
        assert shared.request("GET", path).status in {400, 404}


def test_oversized_requests_are_refused(shared: Page) -> None:
    """By what the head says, by what comes, and by the head itself; memory stays bounded."""
    big = shared.request("POST", "/api/v1/foresee", "x" * (1 << 21))
    assert (big.status, big.error["code"]) == (413, "size")
    with shared.connect() as sock:
        sock.sendall(
            f"POST /api/v1/foresee HTTP/1.1\r\nHost: {shared.host}\r\n"
            f"Authorization: Bearer {shared.token}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        with suppress(OSError):
            for _ in range(64):
                sock.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        answer = read_answer(sock)
    assert answer.status == 413
    with suppress(ConnectionError):
        assert shared.request("GET", STATUS, X_Long="x" * (1 << 17)).status in {400, 431}
    assert shared.get("status")["alive"]


def test_odd_bodies_are_refused_in_words(shared: Page) -> None:
    """Whatever is wrong with one: the answer is an error in the envelope, and nothing is done."""
    odd: tuple[Any, ...] = (
        [], "text", None, {"do": "explode", "services": ["es"]}, {"do": "stop"},
        {"do": "stop", "services": "es"}, {"do": "stop", "services": ["es"], "x": 1},
        {"do": "stop", "services": ["x"] * 1000},
    )  # fmt: skip
    for body in odd:
        answer = shared.request("POST", "/api/v1/foresee", body)
        assert answer.status == 400, (body, answer)
        assert answer.error["message"]
    nested = b"[" * 100_000
    head = (
        f"POST /api/v1/foresee HTTP/1.1\r\nHost: {shared.host}\r\nConnection: close\r\n"
        f"Authorization: Bearer {shared.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(nested)}\r\n\r\n"
    )
    assert shared.send(head.encode() + nested).status == 400


def test_a_thousand_silent_connections_keep_nobody_out(shared: Page) -> None:
    """Those that send no request make room; each is closed when its time is over."""
    with ExitStack() as stack:
        for _ in range(1000):
            sock = socket.create_connection(shared.address, timeout=20)
            stack.callback(sock.close)
        for _ in range(20):
            assert shared.get("status")["alive"]
    eventually(
        lambda: len([*Path(f"/proc/{_pid(shared)}/fd").iterdir()]) < 100, "sockets are closed"
    )


def test_a_slow_head_and_a_slow_body_are_cut_off(shared: Page) -> None:
    """One byte at a time doesn't hold a connection for longer than the time for a request."""
    begun = time.monotonic()
    with ExitStack() as stack:
        head, body = (stack.enter_context(shared.connect()) for _ in range(2))
        head.sendall(f"GET {STATUS} HTTP/1.1\r\nHost: ".encode())
        body.sendall(
            f"POST /api/v1/foresee HTTP/1.1\r\nHost: {shared.host}\r\nContent-Length: 100\r\n"
            f"Authorization: Bearer {shared.token}\r\n"
            "Content-Type: application/json\r\n\r\n{".encode()
        )
        with suppress(ConnectionError):
            assert head.recv(100) == b""
        assert read_answer(body).status == 408
    assert time.monotonic() - begun < 60


def test_a_browser_that_does_not_read_costs_a_bounded_amount(shared: Page) -> None:
    """Its stream loses the oldest, and others go on."""
    with ExitStack() as stack:
        stuck = stack.enter_context(Stream(shared))
        _, hello = stuck.next("hello")
        shared.post(f"stream/{hello['id']}", {"topics": ["log:*"]})
        other = stack.enter_context(Stream(shared))
        other.next("sample")
        other.next("sample")


def test_a_page_that_was_taken_over_cannot_end_the_manager(shared: Page) -> None:
    """The manager itself refuses what no page may do, on the socket that pages have."""
    path = shared.deployment.root / "state" / "services" / "web" / "control.sock"
    for do in ("shutdown", "reexec", "explode"):
        with socket.socket(socket.AF_UNIX) as sock, SocketAddress(str(path)) as address:
            sock.settimeout(20)
            sock.connect(address)
            sock.sendall(encode(request(do, {})))
            reply = json.loads(sock.makefile().readline())["reply"]
        assert reply["exit_code"] == 4
        assert "not permitted" in reply["errors"][0]["message"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_role_is_enforced_by_the_manager(start_page: Callable[..., Page]) -> None:
    """With access = "view" neither the page nor whoever has its socket can change anything."""
    secret = 'env = { KEY = "swordfish" }  # kept'
    page = start_page(f'[services.web]\nkind = "web"\nport = 0\naccess = "view"\n{secret}\n')
    assert page.get("status")["role"] == "view"
    (file,) = page.get("config")["files"]
    assert 'KEY = "***"' in file["text"]
    assert "# kept" in file["text"]
    assert page.request("GET", f"/api/v1/config/files/{file['id']}?version=1").status == 400
    for path in ("foresee", "services/web/restart", "reload", "es/publish", "config/check"):
        answer = page.request("POST", f"/api/v1/{path}", {})
        assert (answer.status, answer.error["code"]) == (403, "role")
    socket_path = page.deployment.root / "state" / "services" / "web" / "control.sock"
    with socket.socket(socket.AF_UNIX) as sock, SocketAddress(str(socket_path)) as address:
        sock.settimeout(20)
        sock.connect(address)
        sock.sendall(encode(request("stop", {"services": ["web"]})))
        reply = json.loads(sock.makefile().readline())["reply"]
    assert reply["exit_code"] == 4


def test_secrets_stay_where_they_are(shared: Page) -> None:
    """Values of env are in no answer, and tokens and sessions are readable by their owner only."""
    names = ("status", "services/chatty", "topology", "doctor", "openapi.json", "timeline")
    texts = [shared.request("GET", f"/api/v1/{name}").body for name in names]
    assert all(b"swordfish" not in text and shared.token.encode() not in text for text in texts)
    folder = shared.deployment.root / "state" / "web" / "web"
    shared.cookie()
    assert {each.name for each in folder.iterdir()} >= {"token", "sessions.json"}
    assert all(each.stat().st_mode & 0o077 == 0 for each in folder.iterdir() if each.is_file())
    secret = shared.cookie().partition("=")[2]
    assert secret not in (folder / "sessions.json").read_text()


def _pid(page: Page) -> int:
    return int(page.deployment.service(page.service)["pid"])
