"""An event service without events, as its manager sees one: `PYTHONPATH=… python -m pyro_events`.

The file `plan` in the working directory has lines KEY=VALUE:

    pause=POINT    wait at that point, after writing our pid to the file `at`, until `go` is there
    refuse=TEXT    an offer of a handover is refused
    broken=CODE    the process ends with that exit code before it is ready

Points: `retire`; of a successor `started`, `connected` (it has everything) and `taken`.
"""

import json
import os
import select
import socket
import sys
import time
import uuid
from pathlib import Path


def plan(key):
    """Read the plan as it is now."""
    lines = Path("plan").read_text().splitlines() if Path("plan").exists() else []
    return dict(line.split("=", 1) for line in lines).get(key)


def reach(point):
    """Wait here if the plan has a pause at this point."""
    if plan("pause") == point:
        Path("at.new").write_text(str(os.getpid()))
        Path("at.new").rename("at")
        while not Path("go").exists():
            time.sleep(0.01)


def notify(message):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(message.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


def take_over(path):
    """Return the predecessor's incarnation; None if it dies before sending it."""
    reach("started")
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(path)
            incarnation = sock.recv(100).decode()
            reach("connected")
            sock.sendall(b"TAKEN")
    except OSError:
        return None
    reach("taken")
    return incarnation or None


class Service:
    def __init__(self, incarnation):
        self.incarnation = incarnation
        self.offer = None
        self.successor = None

    def answer(self, question):  # noqa: PLR0911 - one a question
        ask = question["ask"]
        if ask == "ping":
            return {"incarnation": self.incarnation}
        if ask == "statistics":
            return {"incarnation": self.incarnation, "lost": [], "subscribers": 2, "published": 0,
                    "delivered": 0, "dropped": 0}  # fmt: skip
        if ask == "subscriptions":
            row = {"subjects": ["cars"], "patterns": []}
            return [{"subscriber": "PYRO:plain@localhost:1", "aware": False, **row},
                    {"subscriber": "aware", "aware": True, **row}]  # fmt: skip
        if ask == "retire":
            reach("retire")
            return {"parted": True, "aware": 1, "kept_events": 0}
        if ask == "returned":
            return {"expected": 1, "back": 1}
        if ask == "offer_handover":
            if plan("refuse"):
                raise ValueError(plan("refuse"))
            self.offer = socket.socket(socket.AF_UNIX)
            self.offer.bind(question["path"])
            self.offer.listen()
            return {"offered": True, "format": 1}
        if ask == "withdraw_handover":
            self.offer, self.successor = None, None
            return {}
        raise ValueError(f"can't be asked for {ask}")

    def run(self, control):
        while True:
            waiting = [control, *filter(None, (self.offer, self.successor))]
            for ready in select.select(waiting, [], [])[0]:
                if ready is control:
                    self.converse(control)
                elif ready is self.offer:
                    self.successor, _ = self.offer.accept()
                    self.successor.sendall(self.incarnation.encode())
                else:
                    if ready.recv(100) == b"TAKEN":
                        sys.exit(0)
                    self.successor = None

    def converse(self, control):
        data = control.recv(65536)
        if not data:
            sys.exit(0)
        for line in data.splitlines():
            question = json.loads(line)
            try:
                reply = {"id": question["id"], "answer": self.answer(question)}
            except ValueError as error:
                reply = {"id": question["id"], "error": str(error)}
            control.sendall(json.dumps(reply).encode() + b"\n")


def main():
    if plan("broken"):
        sys.exit(f"ModuleNotFoundError: no module named {plan('broken')}")
    path = os.environ.get("PYROCTL_TAKE_OVER")
    incarnation = (take_over(path) if path else reach("started")) or uuid.uuid4().hex
    with socket.socket(fileno=3) as listening:
        uri = f"PYRO:Pyro.EventService@localhost:{listening.getsockname()[1]}"
        notify(f"READY=1\nX_PYRO_URI={uri}")
        with socket.socket(fileno=int(os.environ["PYROCTL_CONTROL_FD"])) as control:
            Service(incarnation).run(control)


main()
