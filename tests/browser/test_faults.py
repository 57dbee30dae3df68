"""The page when what it shows, or what serves it, is in trouble."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.harness import eventually

if TYPE_CHECKING:
    from tests.browser.kitchen import Kitchen
    from tests.browser.tab import Tab


def test_a_killed_server_is_said_and_the_page_connects_again(tab: Tab, kitchen: Kitchen):
    pid = kitchen.service("web")["pid"]
    tab.page.evaluate("window.unchanged = true")  # the page isn't loaded again
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(tab.find("#trouble")).to_contain_text("There is no news since")
        expect(tab.find("body.stale")).to_be_visible()
        tab.check()
    finally:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: kitchen.service("web")["pid"] not in {None, pid}, "it runs again")
    expect(tab.find("#trouble")).to_be_hidden()
    expect(tab.find("#live")).to_contain_text("live")
    expect(tab.row("es")).to_contain_text("● running")
    assert tab.page.evaluate("window.unchanged") is True
    tab.forgive("net::ERR_")


def test_a_frozen_manager_is_said_and_logs_are_still_there(tab: Tab, kitchen: Kitchen):
    pid = kitchen.manager_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(tab.find("#trouble")).to_contain_text("manager does not answer")
        tab.page.goto(f"{tab.url}#/logs/oven")
        expect(tab.find(".lines")).to_contain_text("the oven is hot")
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(tab.find("#trouble")).to_be_hidden()


def test_a_torrent_of_a_log_does_not_hold_the_page(tab: Tab, kitchen: Kitchen):
    """5,000 lines at once: the page still draws, and says what it has left out."""
    file = kitchen.root / "pyroctl.toml"
    flood = "while :; do yes 'a line of a torrent, which goes on' | head -n 5000; sleep 1; done"
    file.write_text(
        f"{file.read_text()}\n[services.flood]\n"
        f'kind = "command"\ncommand = ["sh", "-c", "{flood}"]\n'
    )
    tab.show("logs")
    kitchen.run("reload", "--yes")
    expect(tab.find(".found")).to_contain_text("came too fast to be shown here")
    longest = tab.page.evaluate(
        "() => new Promise((done) => { const begin = performance.now(); requestAnimationFrame("
        "() => requestAnimationFrame(() => done(performance.now() - begin))); })"
    )
    assert longest < 2000
    assert tab.find(".line").count() <= 3000
