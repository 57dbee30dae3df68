"""Count the directories of Pyro5's examples whose servers run, unchanged, as object or command.

    python tools/pyro_examples.py DIRECTORY [NAME…]

DIRECTORY is `examples/` of Pyro5's source distribution:
`pip download --no-deps --no-binary :all: pyro5`. Each directory is a deployment of a name server
and its servers. A server counts if it is ready, is ready again after `kill -9`, and ends in order
when it is stopped; a directory counts if all its servers do. A line per directory, then the sums.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PYROCTL = Path(sys.executable).with_name("pyroctl")
READY, AGAIN = 25.0, 25.0
"""Seconds until a server is ready, and until it is ready again."""
OBJECTS = {
    "blob-dispatch": {"dispatcher": "dispatcher.dispatcher"},
    "banks": {"server": "server"},
    "callback": {"one": "server", "two": "server2"},
    "autoreconnect": {"uri": "server", "named": "serverNS"},
    "circular": {"a": "servA", "b": "servB", "c": "servC"},
    "distributed-computing": {"dispatcher": "dispatcher"},
    "distributed-computing2": {"servers": "servers"},
    "distributed-computing3": {"worker": "worker"},
    "distributed-mandelbrot": {"one": "server 1"},
    "echoserver": {"echo": "Pyro5.utils.echoserver"},
    "eventloop": {},
    "gui_eventloop": {},
    "http": {},
    "maxsize": {"echo": "Pyro5.utils.echoserver"},
    "messagebus": {"bus": "messagebus.server"},
    "nameserverstress": {},
    "ns-metadata": {},
    "oneway": {"one": "server", "two": "server2"},
    "privilege-separation": {"elevated": "elevated_server", "drop": "drop_privs_server"},
    "robots": {},
    "shoppingcart": {"shop": "shopserver"},
    "socketpair": {},
    "stockquotes": {"two": "phase2.stockmarket", "three": "phase3.stockmarket"},
    "thirdpartylib": {"one": "server", "two": "server2"},
    "threadproxysharing": {},
    "unixdomainsock": {"file": "server", "abstract": "abstract_namespace_server"},
    "warehouse": {"two": "phase2.warehouse", "three": "phase3.warehouse"},
}
"""The modules of a directory's servers, and arguments; others have one, called server."""
COMMANDS = {
    "eventloop": {"threads": "server_threads.py"},
    "http": {"gateway": "-m Pyro5.utils.httpgateway -p 8099"},
    "nameserverstress": {"stress": "stress.py"},
    "robots": {"game": "gameserver.py"},
    "gui_eventloop": {"threads": "gui_threads.py", "nothreads": "gui_nothreads.py"},
    "privilege-separation": {"elevated": "elevated_server.py", "drop": "drop_privs_server.py"},
    "servertypes": {"server": "server.py < answer"},
    "ssl": {"server": "server.py"},
}
"""What is tried as a command instead, or besides if the object does not run."""
TASKS = {
    "ns-metadata": {"example": "example.py"},
    "socketpair": {"fork": "pair-fork.py", "thread": "pair-thread.py"},
    "threadproxysharing": {"client": "client.py"},
}
"""What ends by itself."""
Services = dict[str, tuple[str, str]]


def main() -> int:
    """Try each directory, and print the sums."""
    examples, names = Path(sys.argv[1]), sys.argv[2:]
    found: dict[str, str] = {}
    for directory in sorted(path for path in examples.iterdir() if path.is_dir()):
        if names and directory.name not in names:
            continue
        found[directory.name], why = try_directory(directory)
        print(f"{directory.name:24} {found[directory.name]:8} {why}", flush=True)
    objects = sum(kind == "object" for kind in found.values())
    running = sum(kind != "-" for kind in found.values())
    print(f"{len(found)} directories: {objects} as object, {running} as object, command or task")
    return 0


def try_directory(directory: Path) -> tuple[str, str]:
    """Return as which kind a directory's servers run, "-" if they don't, and why not."""
    reasons = []
    for kind, table in (("object", OBJECTS), ("command", COMMANDS), ("task", TASKS)):
        default = {"server": "server"} if kind == "object" else {}
        servers = table.get(directory.name, default)
        if servers:
            why = try_servers(directory, {name: (kind, what) for name, what in servers.items()})
            if not why:
                return kind, ""
            reasons.append(why)
    return "-", "; ".join(reasons)


def try_servers(directory: Path, servers: Services) -> str:
    """Run servers, kill them, and stop them; return what went wrong."""
    with tempfile.TemporaryDirectory() as root:
        work = Path(root, "examples", directory.name)
        shutil.copytree(directory, work)
        certificates = directory.parent.parent / "certs"
        if certificates.is_dir():
            shutil.copytree(certificates, Path(root, "certs"))
        Path(work, "pyroctl.toml").write_text(configuration(servers), encoding="utf-8")
        deployment = Deployment(str(Path(root, "deployment")), work)
        try:
            deployment.run("start", "--wait", str(READY))
            return deployment.judge(servers)
        finally:
            deployment.run("shutdown")


def configuration(servers: Services) -> str:
    """Return a deployment of a name server and these servers, which need it."""
    text = '[services.ns]\nkind = "nameserver"\nport = 0\n'
    for name, (kind, what) in servers.items():
        text += f'[services.{name}]\nkind = "{kind}"\nneeds = ["ns"]\nrestart_delay = 0\n'
        if kind == "object":
            module, *args = what.split()
            text += f'object = "{module}"\nargs = {args}\nstart_timeout = {READY}\n'
        elif kind == "command":
            text += f'command = ["sh", "-c", "echo t > answer; exec {sys.executable} {what}"]\n'
            text += "ready = { delay = 3 }\n"
        else:
            text += f'command = "python {what}"\nrun_timeout = {READY}\n'
    return text


class Deployment:
    """One directory's servers under a manager of their own."""

    def __init__(self, root: str, work: Path) -> None:
        self._root = root
        self._work = work

    def run(self, *args: str) -> dict[str, Any]:
        """Run a command, and return what it says in JSON."""
        done = subprocess.run(
            [PYROCTL, "--root", self._root, "-c", self._work / "pyroctl.toml", *args, "--json"],
            cwd=self._work, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the status of each service."""
        data = self.run("status")["data"]
        return {row["name"]: row for row in data["services"]} if data else {}

    def judge(self, servers: Services) -> str:
        """Return what goes wrong with servers that have been started."""
        rows = self.rows()
        for name, (kind, _) in servers.items():
            wanted = "exited" if kind == "task" else "running"
            if name not in rows:
                return "the deployment is invalid"
            if rows[name]["state"] != wanted:
                return f"{name}: {rows[name]['state']}: {rows[name]['detail']}"
        for name, (kind, _) in servers.items():
            if kind != "task":
                os.kill(rows[name]["pid"], signal.SIGKILL)
                if not self.comes_back(name, rows[name]["pid"]):
                    return f"{name}: not ready again after kill -9"
        self.run("stop", *servers)
        ends = {name: row["exit"] for name, row in self.rows().items() if name in servers}
        return "; ".join(
            f"{name}: was killed when it was stopped"
            for name, end in ends.items()
            if end and end["signal"] == signal.SIGKILL
        )

    def comes_back(self, name: str, before: int) -> bool:
        """Return whether a service is ready again with another process."""
        deadline = time.monotonic() + AGAIN
        while time.monotonic() < deadline:
            row = self.rows().get(name)
            if row and row["state"] == "running" and row["pid"] != before:
                return True
            time.sleep(0.2)
        return False


if __name__ == "__main__":
    sys.exit(main())
