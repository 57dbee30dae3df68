"""Draw docs/how-to/top.svg: `pyroctl top` of a real deployment, with clients of its event service.

python tools/top_screenshot.py [FILE]
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pyroctl.paths import deployment_paths
from pyroctl.tui.app import Top
from pyroctl.tui.deployment import Deployment
from pyroctl.tui.keys import ACTIONS

PYROCTL = str(Path(sys.executable).parent / "pyroctl")
FILE = Path(__file__).parents[1] / "docs" / "how-to" / "top.svg"
SIZE = (118, 20)
SECONDS = 25.0
"""For which the plots are filled."""
WEB_FONTS = re.compile(r",\s*url\(\"https:[^)]*\) format\(\"woff2?\"\)")
"""Textual names fonts on a server of others; nothing is loaded from there."""
OVEN = """
import math, time
from pyro_events import Publisher
with Publisher() as publisher:
    print("heating", flush=True)
    for number in range(10**9):
        for _ in range(int(60 + 50 * math.sin(number / 20))):
            publisher.post("oven.temperature", 180.0)
        time.sleep(0.1)
"""
CONFIG = """
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
command = ["{python}", "-c", '''{oven}''']
needs = ["es"]
[services.watch]
kind = "command"
command = ["sh", "-c", "sleep 2; echo no route to oven >&2; exit 1"]
restart_delay = 5
start_limit = 0
needs = ["es"]
"""


async def draw(root: str) -> str:
    """Return the overview as SVG when its plots are full."""
    paths = deployment_paths(f"{root}/pyroctl.toml", root, {})
    shown = Deployment(paths, f"{root}/pyroctl.toml", ("--root", root), "lab1")
    top = Top(shown, ACTIONS)
    async with top.run_test(size=SIZE) as pilot:
        await asyncio.sleep(SECONDS)
        await pilot.press("j")
        await pilot.pause()
        return WEB_FONTS.sub("", top.export_screenshot(title="pyroctl top"))


def main() -> None:
    """Start the deployment, and write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    with tempfile.TemporaryDirectory() as root:
        text = CONFIG.format(python=sys.executable, oven=OVEN)
        Path(root, "pyroctl.toml").write_text(text, "utf-8")
        command = [PYROCTL, "--root", root]
        subprocess.run([*command, "start"], check=False)
        try:
            target.write_text(asyncio.run(draw(root)), "utf-8")
        finally:
            subprocess.run([*command, "shutdown", "--yes"], check=True)
    print(f"{target} is written")


if __name__ == "__main__":
    main()
