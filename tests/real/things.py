"""Pyro classes of all kinds, for tests of `python -m pyro_host`."""

import atexit
import os
import sys
import threading
import time
from pathlib import Path

import Pyro5.api
from Pyro5.api import behavior, expose


class Counting:
    """Counts its calls, and knows its process."""

    def __init__(self):
        self.calls = 0

    @expose
    def count(self):
        self.calls += 1
        return self.calls

    @expose  # type: ignore[prop-decorator] # mypy supports none
    @property
    def pid(self):
        return os.getpid()

    @expose
    def sleep(self, seconds):
        print("asleep", flush=True)
        time.sleep(seconds)
        return seconds

    @expose
    def instance(self):
        return os.environ.get("PYROCTL_INSTANCE")

    @expose
    def leave(self):
        sys.exit(3)

    @expose
    def thread_is_main(self):
        return threading.current_thread() is threading.main_thread()

    @expose
    def settings(self):
        config = Pyro5.config
        return (
            config.SERIALIZER,
            config.MAX_MESSAGE_SIZE,
            config.COMMTIMEOUT,
            config.THREADPOOL_SIZE,
        )


@behavior(instance_mode="single")
class Single(Counting):
    """One for everybody."""


@behavior(instance_mode="percall")
class PerCall(Counting):
    """A new one for each call."""


class Hidden:
    """Exposes nothing."""

    def count(self):
        return 1


@behavior(instance_mode="single")
class Broken:
    """Raises when it is created."""

    def __init__(self):
        raise RuntimeError("the instrument is off")

    @expose
    def count(self):
        return 1


class Loud(Counting):
    """Prints and logs far more than a log keeps."""

    @expose
    def shout(self, megabytes):
        line = "x" * 1023
        for _ in range(1024 * megabytes):
            print(line)
        return megabytes


class Lingering(Counting):
    """Leaves a note at exit, and has a thread that never ends."""

    def __init__(self):
        super().__init__()
        atexit.register(Path(os.environ["FAREWELL"]).touch)
        threading.Thread(target=time.sleep, args=(600,), name="for ever", daemon=False).start()


def make():
    """A factory of one object."""
    return Single()


def greeted():
    """A factory of one object; a file is a byte longer for each client that was greeted."""
    greet = Pyro5.api.Daemon._handshake

    def count(daemon, *args):
        with Path(os.environ["GREETINGS"]).open("ab") as file:
            file.write(b".")
        return greet(daemon, *args)

    Pyro5.api.Daemon._handshake = count
    return Single()


def fail():
    raise RuntimeError("no camera found")


instance = Counting()
