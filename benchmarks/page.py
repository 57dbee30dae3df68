"""What the page costs, and how soon it shows what happens: `python -m benchmarks.page`.

20 services and a browser that looks, as one connection with a stream. The search is in a log of
`--gigabytes`.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

from tests.harness import Deployment, eventually
from tests.web.page import Page, Stream

SERVICES = 18
"""Besides name server and event service."""
ROUNDS = 10
SECONDS = 20.0


def config() -> str:
    """Return a deployment with a page."""
    programs = "".join(
        f'[services.p{n}]\nkind = "command"\ncommand = ["sleep", "100000"]\n'
        "ready = { delay = 0 }\nrestart_delay = 0\nstart_limit = 0\n"
        for n in range(SERVICES)
    )
    return (
        '[services.ns]\nkind = "nameserver"\nport = 0\n'
        '[services.es]\nkind = "eventservice"\nneeds = ["ns"]\n'
        f'[services.web]\nkind = "web"\nport = 0\n{programs}'
    )


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> float:
    """Return the memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def reaction(page: Page, stream: Stream) -> float:
    """Kill a service, and return the seconds until the browser knows."""
    row = page.deployment.service("p0")
    began = time.monotonic()
    os.kill(row["pid"], signal.SIGKILL)
    while True:
        _, state = stream.next("state")
        if next(r for r in state["services"] if r["name"] == "p0")["pid"] != row["pid"]:
            found = time.monotonic() - began
            eventually(lambda: page.deployment.state("p0") == "running")
            return found


def fill(file: Path, gigabytes: float) -> None:
    """Write a log of that size."""
    line = f"2026-01-01T00:00:00.000+00:00 {'an ordinary line of a log ' * 3}\n" * 10_000
    with file.open("w") as log:
        while log.tell() < gigabytes * (1 << 30):
            log.write(line)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        deployment = Deployment(Path(directory))
        deployment.configure(config())
        deployment.run("start")
        try:
            measure(deployment, options.gigabytes)
        finally:
            deployment.close()


def measure(deployment: Deployment, gigabytes: float) -> None:
    """Print the figures of a deployment that runs."""
    page = Page(deployment)
    eventually(lambda: page.get("series/names")["names"], "the first sample")
    pid, manager = deployment.service("web")["pid"], deployment.manager_pid()
    print(f"memory of the page, at first      {rss(pid):6.1f} MiB")
    print(f"memory of the manager             {rss(manager):6.1f} MiB")
    times = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        page.request("GET", "/")
        page.get("status")
        times.append(time.monotonic() - began)
    print(f"page and status                   {1000 * statistics.median(times):6.1f} ms")
    with Stream(page) as stream:
        found = [reaction(page, stream) for _ in range(ROUNDS)]
        print(f"a killed service is seen after    {1000 * statistics.median(found):6.1f} ms")
        before, own, began = cpu(pid), cpu(manager), time.monotonic()
        while time.monotonic() - began < SECONDS:
            stream.next("sample")
        percent = 100 / (time.monotonic() - began)
        print(f"processor of the page, 1 Hz       {percent * (cpu(pid) - before):6.1f} %")
        print(f"processor of the manager, 1 Hz    {percent * (cpu(manager) - own):6.1f} %")
        fill(deployment.root / "logs" / "p1.log", gigabytes)
        began = time.monotonic()
        answer = page.get("logs?service=p1&grep=nowhere")
        took = time.monotonic() - began
        word = "complete" if answer["complete"] else "so far"
        print(f"search of {gigabytes:g} GiB                   {took:6.1f} s ({word})")
        worst = 0.0
        for _ in range(ROUNDS):
            began = time.monotonic()
            page.get("status")
            worst = max(worst, time.monotonic() - began)
        print(f"status after it, at worst         {1000 * worst:6.1f} ms")
    print(f"memory of the page, at the end    {rss(pid):6.1f} MiB")


if __name__ == "__main__":
    main()
