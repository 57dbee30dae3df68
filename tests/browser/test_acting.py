"""What people do on the page: publish, stop, kill, configure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.kitchen import MARKUP
from tests.harness import eventually

if TYPE_CHECKING:
    from tests.browser.kitchen import Kitchen
    from tests.browser.tab import Tab

PLAIN = """
import sys, Pyro5.api
class Plain:
    @Pyro5.api.expose
    def event(self, event): pass
with Pyro5.api.Daemon("localhost") as daemon, Pyro5.api.Proxy(sys.argv[1]) as es:
    es.subscribe(["motor"], daemon.register(Plain(), "dial"))
    print("subscribed", flush=True)
    daemon.requestLoop()
"""
"""A subscriber without notices, in a process of its own."""


def test_an_event_is_published_and_seen_in_the_tap(tab: Tab, kitchen: Kitchen):
    tab.show("events")
    tab.page.get_by_label("pattern").fill(r"lab\.")
    tab.page.keyboard.press("Enter")
    tab.page.get_by_label("subject").fill("lab.oven")
    tab.page.get_by_label("message").fill(f'{{"text": "{MARKUP}"}}')

    def seen() -> bool:
        tab.press("Publish")  # the tap may not have begun yet
        tab.page.wait_for_timeout(300)
        return tab.find(".line").count() > 0

    eventually(seen, "an event is seen")
    expect(tab.find(".line").first).to_contain_text("lab.oven")
    expect(tab.find(".line").first).to_contain_text(MARKUP)
    tab.press("Pause")
    tab.press("Clear")
    tab.press("Publish")
    expect(tab.find("main form")).to_contain_text("published")
    expect(tab.find(".line")).to_have_count(0)
    kitchen.run("es", "publish", "lab.fridge", "cold")
    expect(tab.find("td", has_text="lab.fridge")).to_be_visible()


def test_a_killed_service_comes_back_with_its_last_words(tab: Tab, kitchen: Kitchen):
    kitchen.run("start", "oven")  # another test may have stopped it
    tab.show("service/oven")
    expect(tab.find(".state")).to_have_text("● running")
    os.kill(kitchen.service("oven")["pid"], signal.SIGKILL)
    expect(tab.find("main")).to_contain_text("killed by SIGKILL")
    expect(tab.find(".lines")).to_contain_text("the oven is hot")
    expect(tab.find(".state")).to_have_text("● running")
    expect(tab.find(".plot .mark").first).to_be_attached()
    tab.show("overview")
    expect(tab.row("oven")).to_contain_text("↻")
    tab.show("timeline")
    expect(tab.find(".timeline")).to_contain_text("killed by SIGKILL")


def test_a_stop_shows_its_cost_first_and_offers_the_handover(tab: Tab, kitchen: Kitchen):
    es = kitchen.service("es")
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN, es["uri"]], stdout=subprocess.PIPE, text=True
    ) as plain:
        try:
            assert plain.stdout is not None
            assert plain.stdout.readline() == "subscribed\n"
            tab.row("es").get_by_role("checkbox").check()
            tab.press("Stop")
            expect(tab.find("dialog")).to_contain_text("motor")
            expect(tab.find("dialog")).to_contain_text("PYRO:dial@localhost")
            expect(tab.find("dialog")).to_contain_text("Needed by: oven.")
            tab.check()
            tab.press("Cancel")
            assert kitchen.service("es")["pid"] == es["pid"]
            tab.press("Restart")
            tab.press("Handover instead")
            tab.press("Restart by handover")
            eventually(lambda: kitchen.service("es")["pid"] != es["pid"], "it is replaced")
            expect(tab.row("es")).to_contain_text("● running")
            tab.press("Stop")
            expect(tab.find("dialog")).to_contain_text("PYRO:dial@localhost")  # it still is there
            tab.press("Stop nevertheless")
            expect(tab.row("es")).to_contain_text("■ stopped")
        finally:
            plain.kill()
    tab.press("Start")
    expect(tab.row("es")).to_contain_text("● running")


def test_a_faulty_configuration_changes_nothing_and_a_good_one_can_be_undone(
    tab: Tab, kitchen: Kitchen
):
    file = kitchen.root / "pyroctl.toml"
    before = file.read_text()
    tab.show("config")
    editor = tab.find(".editor")
    expect(editor).to_have_value(before)
    line = before.count("\n") + 1
    editor.fill(f"{before}unknown_key = 1\n")
    tab.press("Save")
    expect(tab.find(".attention")).to_contain_text(f"line {line}")
    assert file.read_text() == before
    tab.forgive("422")
    editor.fill(f"{before}nice = 1\n")
    tab.press("Save")
    expect(tab.find("main [role=status]")).to_contain_text("saved")
    assert file.read_text() == f"{before}nice = 1\n"
    tab.press("Reload …")
    expect(tab.find("dialog")).to_contain_text("watch")
    tab.press("Cancel")
    tab.press("Undo")
    expect(editor).to_have_value(before)
    tab.press("Save")
    eventually(lambda: file.read_text() == before, "it is undone")
