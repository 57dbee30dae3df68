"""Make the pictures of the page and of the terminal in docs/pictures, from a real deployment.

    make pictures

starts a small laboratory in a temporary directory, lets it work for a while, and then takes
pictures of the page in both colour schemes with Chromium, and of a session in a terminal.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect, sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.browser.kitchen import Kitchen
from tests.browser.tab import FLAGS, Tab
from tests.harness import BIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WORK = 75.0
"""Seconds for which the laboratory works before the first picture."""
COLUMNS = 100

SCREENS = {
    "overview": "light dark",
    "service/es": "light dark",
    "events": "light",
    "topology": "dark",
}

THERMOMETER = """
import itertools, math, time
from pyro_events.publisher import Publisher
with Publisher() as publisher:
    for n in itertools.count():
        publisher.post("lab.temperature", {"celsius": round(180 + 15 * math.sin(n / 900), 2)})
        if n % 40 == 0:
            publisher.post("lab.oven", {"door": "closed"})
        time.sleep(0.012 + 0.009 * math.sin(n / 300))
"""
RECORDER = """
from pyro_events.subscriber import Subscriber
class Recorder(Subscriber):
    def event(self, event):
        pass
recorder = Recorder()
recorder.subscribe("lab.temperature")
recorder.listen()
"""
LABORATORY = f"""
[manager]
name = "laboratory"

[services.ns]
kind = "nameserver"
port = 0

[services.es]
kind = "eventservice"
needs = ["ns"]

[services.web]
kind = "web"
port = 0
access = "configure"

[services.thermometer]
kind = "command"
command = ["{sys.executable}", "-c", '''{THERMOMETER}''']
needs = ["es"]

[services.recorder]
kind = "command"
command = ["{sys.executable}", "-c", '''{RECORDER}''']
needs = ["es"]

[services.camera]
kind = "command"
command = ["sh", "-c", "echo no route to camera 3; sleep 1; exit 1"]
restart_delay = 30
"""
SESSION = ("status", "es publish lab.oven hot", "es subscriptions", "logs -n 4 camera", "status")
"""Commands of the session in a terminal; before the last one, a service is killed."""


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="laboratory-") as directory:
        laboratory = Kitchen(Path(directory))
        laboratory.configure(LABORATORY)
        try:
            laboratory.run("start", code=None)
            laboratory.reaches("recorder", "running")
            time.sleep(WORK)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=FLAGS
                )
                shoot(browser, laboratory)
                browser.close()
            record(laboratory)
        finally:
            laboratory.close()
    for file in sorted(PICTURES.iterdir()):
        print(f"{file.name}: {file.stat().st_size // 1000} kB")


def shoot(browser: Browser, laboratory: Kitchen) -> None:
    """Take the pictures of the page, and of the question before a stop."""
    context = browser.new_context(viewport={"width": 1100, "height": 760})
    laboratory.sign_in(context, "web")
    tab = Tab(context, laboratory.address("web"))
    for screen, schemes in SCREENS.items():
        tab.show(screen)
        tab.page.wait_for_timeout(6000)  # until there are some samples
        for scheme in schemes.split():
            tab.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            name = f"{screen.rpartition('/')[2]}-{scheme}.png"
            tab.page.screenshot(path=PICTURES / name)
    tab.show("overview")
    tab.row("es").get_by_role("checkbox").check()
    tab.press("Stop")
    expect(tab.find("dialog")).to_be_visible()
    tab.page.emulate_media(color_scheme="light")
    tab.page.screenshot(path=PICTURES / "stop-light.png")
    context.close()


def record(laboratory: Kitchen) -> None:
    """Draw a session in a terminal as SVG, with the colours that the commands give it."""
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115
    for number, command in enumerate(SESSION):
        if number == len(SESSION) - 1:
            console.print("[bold]$[/] kill -9 [cyan]RECORDER[/]", highlight=False)
            os.kill(laboratory.service("recorder")["pid"], signal.SIGKILL)
            time.sleep(3)
        console.print(f"[bold]$[/] pyroctl {command}", highlight=False)
        for line in typed(laboratory, *command.split()):
            console.print(Text.from_ansi(line), soft_wrap=False)
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="pyroctl", code_format=form, unique_id="session")
    (PICTURES / "terminal.svg").write_text(svg)


def typed(laboratory: Kitchen, *command: str) -> Iterator[str]:
    """Yield the lines that a command prints on a terminal."""
    master, slave = pty.openpty()
    environment = laboratory.env | {"PYROCTL_ROOT": str(laboratory.root), "TERM": "xterm-256color"}
    with subprocess.Popen(
        [BIN / "pyroctl", *command],
        env=environment | {"COLUMNS": str(COLUMNS)},
        cwd=laboratory.root,
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    ):
        os.close(slave)
        with os.fdopen(master, "rb", buffering=0) as terminal:
            text = b""
            try:
                while piece := terminal.read(4096):
                    text += piece
            except OSError:  # the other end is closed
                pass
    yield from text.decode().replace(str(laboratory.root), "/home/ann/lab").splitlines()


if __name__ == "__main__":
    main()
