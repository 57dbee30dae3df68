"""The instruments and programs of a small laboratory, for tests of a whole deployment.

Instruments number what they publish on `lab.NAME`; the logger writes every number that it
receives, so a test sees what was lost or duplicated. A file NAME.off unplugs an instrument.
"""

import itertools
import os
import sys
import threading
import time
from pathlib import Path

import Pyro5.api
from Pyro5.api import behavior, expose

from pyro_events import EVENTSERVICE_NAME, Publisher, Subscriber


def device(name):
    """Open the instrument's device, as a driver does when its service starts."""
    if Path(f"{name}.off").exists():
        raise OSError(f"{name}: no controller at /dev/tty-{name}")


class Instrument:
    """Publishes its readings, and answers calls."""

    name = ""
    interval = 0.1
    reading: object = 20.5

    def __init__(self):
        device(self.name)
        self._publisher = Publisher()
        self._ended = threading.Event()
        threading.Thread(target=self._measure, daemon=True).start()

    def _measure(self):
        for number in itertools.count(1):
            if self._ended.wait(self.interval):
                break
            self._publisher.publish(f"lab.{self.name}", (os.getpid(), number, self.reading))

    @expose
    def ask(self):
        return self.name

    def close(self):
        self._ended.set()
        self._publisher.close()


@behavior(instance_mode="single")
class Camera(Instrument):
    """Ten frames a second, 300 KiB each."""

    name = "camera"
    reading = bytes(300 << 10)


@behavior(instance_mode="single")
class Thermostat(Instrument):
    """A reading every tenth of a second."""

    name = "thermostat"


@behavior(instance_mode="single")
class Stage(Instrument):
    """A table that moves."""

    name = "stage"


@behavior(instance_mode="single")
class Laser(Instrument):
    """Light, most of the time."""

    name = "laser"


@expose
class Scope:
    """An instance a session."""

    def trace(self):
        return [0.0] * 10


@expose
class Analysis:
    """One of several workers."""

    def mean(self, values):
        return sum(values) / len(values)


class Logger(Subscriber):
    """Writes `SUBJECT PID NUMBER TIME` for every reading."""

    def event(self, event):
        pid, number, _ = event.msg
        self._write(event.subject, pid, number)

    def gap(self, notice):
        self._write("gap", 0, notice["missed"])

    def _write(self, *words):
        with Path("readings.txt").open("a") as file:
            print(*words, file=file)


class Alarms(Subscriber):
    """Writes what becomes of services."""

    def event(self, event):
        with Path("alarms.txt").open("a") as file:
            file.write(f"{event.subject}\n")


@expose
class Screen:
    """A window that takes 0.1 s to draw a frame: an ordinary Pyro object."""

    def event(self, event):
        time.sleep(0.1)  # sleep: it is the slow one
        with Path("frames.txt").open("a") as file:
            file.write("frame\n")


def gui():
    with Pyro5.api.Daemon() as daemon:
        uri = daemon.register(Screen())
        with Pyro5.api.Proxy(f"PYRONAME:{EVENTSERVICE_NAME}") as es:
            es.subscribe(["lab.camera", "lab.stage"], uri, as_dict=True)
        print("drawing", flush=True)
        daemon.requestLoop()


def listen(subscriber, patterns):
    with subscriber:
        subscriber.subscribeMatch(patterns)
        print("listening", flush=True)
        subscriber.listen()


if __name__ == "__main__":
    if sys.argv[1] == "gui":
        gui()
    elif sys.argv[1] == "logger":
        listen(Logger(), r"lab\.")
    else:
        listen(Alarms(), r"pyroctl\.")
