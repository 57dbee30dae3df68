"""A deployment that the screens show, with the terminal UI in this process."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import DEADLINE, Deployment

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = r"""
[manager]
name = "kitchen"
[services.ns]
kind = "nameserver"
port = 0
[services.es]
kind = "eventservice"
needs = ["ns"]
[services.oven]
kind = "command"
command = ["sh", "-c", "printf '\\033[31mhot\\033[0m oven\\n'; sleep 1000"]
needs = ["es"]
[services.off]
kind = "command"
command = ["sleep", "1000"]
enabled = false
"""


PLAIN = """
import sys, Pyro5.api
@Pyro5.api.expose
class Plain:
    def event(self, event): pass
daemon = Pyro5.api.Daemon()
with Pyro5.api.Proxy(sys.argv[1]) as es:
    es.subscribe("lab.temperature", str(daemon.register(Plain())))
print("subscribed", flush=True)
daemon.requestLoop()
"""


class Screen:
    """The terminal UI as a test sees it."""

    def __init__(self, top, pilot) -> None:
        self.top = top
        self.pilot = pilot

    def text(self) -> str:
        """Return what is on the screen."""
        strips = self.top.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object] | str) -> str:
        """Wait until a text is shown, or a condition holds; return what is on the screen."""
        end = time.monotonic() + DEADLINE
        while not (condition in self.text() if isinstance(condition, str) else condition()):
            assert time.monotonic() < end, f"never: {condition}\n{self.text()}"
            await self.pilot.pause(0.02)
        return self.text()


@contextlib.asynccontextmanager
async def opened(deployment: Deployment, **options):
    """The terminal UI of a deployment."""
    from pyroctl.tui.app import Top
    from pyroctl.tui.deployment import Deployment as Shown
    from pyroctl.tui.keys import ACTIONS

    config = deployment.root / "pyroctl.toml"
    shown = Shown(
        deployment.paths(), str(config) if config.exists() else None,
        ("--root", str(deployment.root)), "lab1",
    )  # fmt: skip
    top = Top(shown, ACTIONS, **options)
    async with top.run_test(size=(130, 40), notifications=True) as pilot:
        yield Screen(top, pilot)


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    """A deployment that runs, for all tests that leave it as it was."""
    deployment = Deployment(tmp_path_factory.mktemp("kitchen"))
    try:
        deployment.configure(CONFIG)
        deployment.run("start")
        yield deployment
    finally:
        deployment.close()


@pytest.fixture
def own_kitchen(deployment):
    """A deployment that runs, for one test."""
    deployment.configure(CONFIG)
    deployment.run("start")
    return deployment


@pytest.fixture
def look(monkeypatch):
    """Return a function that runs an asynchronous test with the terminal UI of a deployment.

    Children of this process are marked as those of the deployment.
    """

    def run(deployment, test, **options):
        for name, value in deployment.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(deployment.root)

        async def main():
            async with opened(deployment, **options) as screen:
                await test(screen)

        asyncio.run(main())

    return run


@pytest.fixture
def subscribe():
    """Return a function that makes a plain subscriber of a deployment's event service."""
    with contextlib.ExitStack() as stack:

        def start(deployment):
            command = [sys.executable, "-c", PLAIN, deployment.service("es")["uri"]]
            process = stack.enter_context(
                subprocess.Popen(command, env=deployment.env, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "subscribed\n"

        yield start
