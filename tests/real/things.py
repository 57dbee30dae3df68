"""Pyro classes of all kinds, for tests of `python -m pyro_host`."""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import Pyro5.api
from Pyro5.api import behavior, expose

FORKED = multiprocessing.get_context("fork")


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


class Wanting(Counting):
    """Can't be created without an argument."""

    def __init__(self, device):
        super().__init__()
        self.device = device


@behavior(instance_mode="single")
class WantingSingle(Wanting):
    """The same, for everybody."""


class Abstract(ABC):
    """Can't be created at all."""

    @expose
    @abstractmethod
    def count(self):
        """Count."""


@behavior(instance_mode="percall", instance_creator=lambda: None)
class BadCreator(Counting):
    """Pyro5 calls its creator with the class."""


@behavior(instance_mode="session", instance_creator=lambda kind: kind("/dev/null"))
class Created(Wanting):
    """Its creator knows the argument."""


def wanting(device):
    """A factory that can't be called without an argument."""
    return Wanting(device)


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


def wait_for_ever():
    """The work of a child; it takes no notice of anybody."""
    signal.pause()


def tell_pid(_):
    return os.getpid()


@behavior(instance_mode="single")
class Forking(Counting):
    """Starts processes, and ends them."""

    def __init__(self):
        super().__init__()
        self.early = FORKED.Process(target=wait_for_ever, daemon=True)
        self.early.start()
        self.usr1 = 0
        signal.signal(signal.SIGUSR1, self._on_usr1)

    def _on_usr1(self, *_):
        self.usr1 += 1

    @expose
    def process(self, end):
        """Start a child, end it at once by `terminate` or a signal; returns its exit code."""
        child = FORKED.Process(target=wait_for_ever)
        child.start()
        if isinstance(end, str):
            getattr(child, end)()
        else:
            assert child.pid is not None
            os.kill(child.pid, end)
        child.join(20)
        return child.exitcode

    @expose
    def pool(self):
        pool = FORKED.Pool(2)
        pids = pool.map(tell_pid, range(20))
        pool.terminate()
        pool.join()
        return os.getpid() not in pids

    @expose
    def executor(self):
        with ProcessPoolExecutor(2, mp_context=FORKED) as pool:
            return os.getpid() not in pool.map(tell_pid, range(20))

    @expose
    def fork(self, how):
        """Fork a child that goes on in the middle of this call; returns its exit code."""
        pid = os.fork()
        if pid == 0:
            return sys.exit(how) if how is not None else "from the child"
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @expose
    def linger(self):
        """Start a child that stays; returns its pid and that of the constructor's child."""
        child = FORKED.Process(target=wait_for_ever, daemon=True)
        child.start()
        return [self.early.pid, child.pid]

    @expose
    def signalled(self):
        return self.usr1
