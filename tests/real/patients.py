"""Services that become unhealthy, for tests: `python patients.py BEHAVIOUR [ARGUMENT…]`."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from zoo import notify, serve, wait_for_file  # type: ignore[import-not-found] # beside this script


def count(path: str) -> None:
    """Make a file beside the gate a byte longer, so that the test sees how often this happened."""
    with Path(f"{path}.count").open("ab") as file:
        file.write(b".")


def quiet(path: str) -> None:
    """Sends WATCHDOG=1, as systemd's services do, until the gate opens."""
    period = int(os.environ["WATCHDOG_USEC"]) / 1_000_000
    notify("READY=1")
    while not os.path.exists(path):  # noqa: PTH110
        notify("WATCHDOG=1")
        count(path)
        time.sleep(period / 4)
    serve()


def deaf(port: str, path: str) -> None:
    """Listens until the gate opens; then keeps running without a listener."""
    with socket.create_server(("localhost", int(port))):
        wait_for_file(path)
    serve()


def pyro(path: str, servertype: str) -> None:
    """A stock Pyro5 object with a name, whose process stops answering when the gate opens."""
    import Pyro5.api
    import Pyro5.server

    @Pyro5.api.expose
    class Sensor:
        def block(self, seconds: float) -> None:
            time.sleep(seconds)

    class Daemon(Pyro5.api.Daemon):  # type: ignore[misc] # Pyro5 ships no types
        def validateHandshake(self, conn: object, data: object) -> object:
            count(path)
            return super().validateHandshake(conn, data)

    Pyro5.config.SERVERTYPE = servertype
    with Daemon() as daemon, Pyro5.api.locate_ns() as ns:
        uri = daemon.register(Sensor, "sensor")
        ns.register("lab.sensor", uri)

        def trap() -> None:
            """Block the only thread of the server for ever."""
            wait_for_file(path)
            with Pyro5.api.Proxy(uri) as sensor:
                sensor.block(1000)

        threading.Thread(target=trap, daemon=True).start()
        daemon.requestLoop()


def greedy(megabytes: str, path: str) -> None:
    """Allocates memory, in a child, when the gate is open."""
    notify("READY=1")
    wait_for_file(path)
    if os.fork() == 0:
        hoard = b"x" * (int(megabytes) * 1_000_000)
        signal.pause()
        print(len(hoard))
    serve()


def busy(path: str) -> None:
    """Uses a whole processor when the gate is open."""
    notify("READY=1")
    wait_for_file(path)
    while True:
        pass


def background(stays: str) -> None:
    """A traditional daemon: forks twice, and leaves the session."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.pause()
        os._exit(0)
    os.wait()
    if stays == "stays":
        notify("READY=1")
        serve()


def stubborn_background() -> None:
    """Its daemon, which has a child, ignores SIGTERM."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.setsid()
        if os.fork() == 0:
            os.fork()
            signal.pause()
        os._exit(0)
    os.wait()
    notify("READY=1")
    serve()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
