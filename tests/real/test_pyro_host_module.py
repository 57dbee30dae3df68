"""`python -m pyro_host MODULE`: a program that serves by itself; and what a class may be given."""

from __future__ import annotations

import json

import pytest
from Pyro5.client import Proxy
from Pyro5.errors import CommunicationError

THING = """\
import sys
from Pyro5.api import Daemon, expose, serve

@expose
class Thing:
    def words(self):
        return sys.argv[1:], __name__
"""
SERVES = {
    "serve": THING + "serve({Thing: 'mine.thing'}, use_ns=False)\nprint('cleaned up')\n",
    "loop": THING
    + "if __name__ == '__main__':\n    daemon = Daemon()\n    daemon.register(Thing)\n"
    "    daemon.requestLoop()\n    print('cleaned up')\n",
    "thread": THING + "import threading, time\ndaemon = Daemon()\ndaemon.register(Thing)\n"
    "thread = threading.Thread(target=daemon.requestLoop)\nthread.start()\nthread.join()\n"
    "print('cleaned up')\n",
}


@pytest.mark.parametrize("how", SERVES)
def test_a_module_that_serves_by_itself_is_taken_over(host, tmp_path, how):
    """It is ready when it can be called, and its code after the request loop runs at a stop."""
    (tmp_path / "mine.py").write_text(SERVES[how])
    hosted = host("mine", "--args", '["--fast", 3]', path=tmp_path)
    with Proxy(hosted.ready()) as proxy:
        assert tuple(proxy.words()) == (["--fast", "3"], "__main__")
    hosted.process.send_signal(15)
    said, errors = hosted.process.communicate(timeout=30)
    assert (hosted.process.returncode, "cleaned up" in said) == (0, True), errors


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("x = 1\n", 125, "the module mine ended without serving"),
        ("import sys; sys.exit(3)\n", 125, "the module mine failed: SystemExit: 3"),
        ("1 / 0\n", 125, "the module mine failed: ZeroDivisionError"),
        ("import nonsense_x\n", 125, "No module named 'nonsense_x'"),
    ],
)
def test_a_module_that_does_not_serve_is_explained(host, tmp_path, source, code, said):
    """In one sentence, after the traceback of its own code."""
    (tmp_path / "mine.py").write_text(source)
    found, errors = host("mine", path=tmp_path).end()
    assert (found, said in errors) == (code, True), errors
    assert "runpy" not in errors


WANTING = """\
class Plain:
    def __init__(self, device, *, speed=1):
        self.given = [device, speed]
        self.calls = 0
    def count(self):
        self.calls += 1
        return self.calls, self.given
"""


def test_a_class_is_given_what_its_constructor_wants(host, tmp_path):
    """One that nobody can change is exposed, in the instance mode that is wanted."""
    (tmp_path / "mine.py").write_text(WANTING)
    given = ["--args", '["/dev/x"]', "--kwargs", '{"speed": 9}', "--expose"]
    hosted = host("mine:Plain", *given, "--instance-mode", "single", path=tmp_path)
    uri = hosted.ready()
    for calls in (1, 2):
        with Proxy(uri) as proxy:
            assert tuple(proxy.count()) == (calls, ["/dev/x", 9])


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ([], {}, "missing a required argument: 'device'"),
        (["x", "y"], {}, "too many positional arguments"),
        (["x"], {"sped": 1}, "got an unexpected keyword argument 'sped'"),
    ],
)
def test_a_constructor_that_wants_something_else_is_refused(host, tmp_path, args, kwargs, said):
    """Before the service is ready, for good, in a sentence."""
    (tmp_path / "mine.py").write_text(WANTING)
    given = ["--args", json.dumps(args), "--kwargs", json.dumps(kwargs), "--expose"]
    code, errors = host("mine:Plain", *given, path=tmp_path).end()
    assert (code, said in errors) == (125, True), errors


def test_several_objects_and_names_in_one_daemon(host, names, tmp_path):
    """Each is registered; all of it is removed when the process stops."""
    (tmp_path / "mine.py").write_text(WANTING.replace("device, *", "device='d', *"))
    where, server = names
    both = ["--objects=lab.a=mine:Plain", "--objects=lab.b=mine:Plain", "--expose"]
    hosted = host(*both, "--ns", where, path=tmp_path)
    hosted.ready()
    found = server.list(prefix="lab.")
    assert sorted(found) == ["lab.a", "lab.b"]
    assert len({uri.partition("@")[2] for uri in found.values()}) == 1
    with Proxy(found["lab.b"]) as proxy:
        assert proxy.count()[0] == 1
    hosted.stop()
    assert server.list(prefix="lab.") == {}
    more = ["--name", "lab.c", "--names", "lab.d", "--expose"]
    hosted = host("mine:Plain", *more, "--ns", where, path=tmp_path)
    hosted.ready()
    assert len(set(server.list(prefix="lab.").values())) == 1
    assert len(server.list(prefix="lab.")) == 2


DAEMON = """
from Pyro5.api import Daemon, expose

class Picky(Daemon):
    def validateHandshake(self, conn, data):
        if data != "sesame":
            raise ValueError("who are you?")
        return "welcome"

class Odd(Daemon):
    def __init__(self):
        super().__init__()

@expose
class Thing:
    def count(self):
        return 1
"""


def test_a_daemon_class_of_ones_own_decides_who_connects(host, tmp_path):
    """Its hooks are called, and nobody gets past its handshake."""
    (tmp_path / "mine.py").write_text(DAEMON)
    uri = host("mine:Thing", "--daemon", "mine:Picky", path=tmp_path).ready()
    with Proxy(uri) as proxy:
        proxy._pyroHandshake = "sesame"
        assert proxy.count() == 1
    for data in ("hello", "pyro_host: who are you?"):
        with Proxy(uri) as proxy, pytest.raises(CommunicationError, match="who are you"):
            proxy._pyroHandshake = data
            proxy.count()


@pytest.mark.parametrize(
    ("daemon", "said"), [("mine:Thing", "is not a subclass of"), ("mine:Odd", "can't be used")]
)
def test_a_daemon_class_that_does_not_fit_is_refused(host, tmp_path, daemon, said):
    """For good, in a sentence."""
    (tmp_path / "mine.py").write_text(DAEMON)
    code, errors = host("mine:Thing", "--daemon", daemon, path=tmp_path).end()
    assert (code, said in errors) == (125, True), errors
