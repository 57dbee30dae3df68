"""Talks with a page as a program does, and as an attacker would: raw HTTP on a socket."""

from __future__ import annotations

import json
import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from tests.harness import Deployment

TIMEOUT = 20.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]

    @property
    def error(self) -> Any:
        return json.loads(self.body)["errors"][0]


class Page:
    """The page of a deployment."""

    def __init__(self, deployment: Deployment, service: str = "web") -> None:
        self.deployment = deployment
        self.service = service
        self.url = deployment.service(service)["uri"]
        self.token = (deployment.root / "state" / "web" / service / "token").read_text().strip()
        parts = urlsplit(self.url)
        self.host = parts.netloc
        self.address = (parts.hostname or "", parts.port or 0)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=TIMEOUT)

    def send(self, text: bytes, sock: socket.socket | None = None) -> Answer:
        """Send exactly this, and return the answer."""
        with sock or self.connect() as connection:
            connection.sendall(text)
            return read_answer(connection)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: bool = True,
        host: str | None = None,
        **headers: str,
    ) -> Answer:
        """Make a request as a program would; a header given as "" is left out."""
        content = b"" if body is None else json.dumps(body).encode()
        all_headers = {
            "Host": self.host if host is None else host,
            "Connection": "close",
            "Content-Length": str(len(content)),
            **({"Authorization": f"Bearer {self.token}"} if token else {}),
            **({"Content-Type": "application/json"} if method not in {"GET", "HEAD"} else {}),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items() if value)
        return self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)

    def get(self, path: str) -> Any:
        """Return the data of an answer, which must be good."""
        answer = self.request("GET", f"/api/v1/{path}")
        assert answer.status == 200, answer
        return answer.data

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = self.request("POST", f"/api/v1/{path}", body)
        assert answer.status == status, answer
        return answer.data

    def cookie(self) -> str:
        """Sign in as a browser does, and return the cookie."""
        answer = self.request(
            "POST", "/session", {"token": self.token}, token=False, Origin=self.url.rstrip("/")
        )
        assert answer.status == 200, answer
        return answer.headers["set-cookie"].partition(";")[0]


def read_answer(sock: socket.socket) -> Answer:
    """Read an answer until its end, or the end of the connection."""
    text = b""
    while b"\r\n\r\n" not in text:
        if not (part := sock.recv(65536)):
            raise ConnectionError(f"the page closed the connection after {text!r}")
        text += part
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    endless = headers.get("transfer-encoding") == "chunked"
    length = int(headers.get("content-length", "0"))
    while endless or len(body) < length:
        if not (part := sock.recv(65536)):
            break
        body += part
    return Answer(int(first.split()[1]), headers, body)


class Stream:
    """The stream of events of one browser."""

    def __init__(self, page: Page, last: str = "", **headers: str) -> None:
        self._sock = page.connect()
        own = {"Last-Event-ID": last} if last else {}
        all_headers = {
            "Host": page.host, "Authorization": f"Bearer {page.token}", **own, **headers,
        }  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
        self._sock.sendall(f"GET /api/v1/stream HTTP/1.1\r\n{head}\r\n".encode())
        self._file = self._sock.makefile("rb")
        self.last = ""
        """The id of the last message."""
        assert b"200" in self._file.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._sock.close()

    def next(self, *kinds: str) -> tuple[str, Any]:
        """Return the next message of one of these kinds, or of any; and its data."""
        kind, data = "", ""
        while True:
            line = self._file.readline().decode()
            if not line:
                raise ConnectionError("the stream has ended")
            name, _, value = line.rstrip("\r\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = value
            elif name == "id":
                self.last = value
            elif not line.strip() and kind:
                if not kinds or kind in kinds:
                    return kind, json.loads(data)
                kind = ""


def trusting(certificate: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)
