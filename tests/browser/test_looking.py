"""What the page shows, and that nothing of it becomes markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.kitchen import MARKUP
from tests.browser.tab import Tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from tests.browser.kitchen import Kitchen

STYLES = {
    "\x1b[31mred\x1b[0m plain": [["red", "f1"], [" plain", ""]],
    "\x1b[1;92;41mloud\x1b[22;39m \x1b[49mdone": [
        ["loud", "bold inverse f2"],
        [" ", "inverse"],
        ["done", ""],
    ],
    "\x1b[38;5;196mcube\x1b[38;2;0;0;255mblue": [["cube", "f1"], ["blue", "f4"]],
    "\x1b]0;title\x07\x1b[2J\x1b[Hleft\x00\x9b1m": [["left", ""]],
    "\x1b[31": [],
    "<b>\ttext": [["<b>\ttext", ""]],
}
"""Lines of a log, and their pieces with the classes of their colours."""


def test_the_overview_shows_what_is_alive_and_what_needs_attention(tab: Tab, kitchen: Kitchen):
    for name in ("ns", "es", "oven"):
        expect(tab.row(name)).to_contain_text("● running")
    expect(tab.row("ns")).to_contain_text("2 names")
    expect(tab.find(".tiles")).to_contain_text("memory")
    kitchen.run("start", "watch", code=None)
    kitchen.reaches("watch", "failed")
    expect(tab.row("watch")).to_contain_text("✖ failed")
    expect(tab.find(".attention li")).to_contain_text(MARKUP)
    expect(tab.page).to_have_title(
        "(1 ▲) pyroctl · kitchen @ " + tab.page.title().rpartition("@ ")[2]
    )
    expect(tab.page.get_by_role("status")).to_contain_text("watch is ")


def test_keys_do_what_the_mouse_does(tab: Tab):
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("oven")
    expect(tab.row("oven")).to_be_visible()
    expect(tab.row("es")).to_be_hidden()
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("j")
    tab.page.keyboard.press("Space")
    expect(tab.find(".push")).to_have_text("1 selected")
    tab.page.keyboard.press("x")
    expect(tab.find("dialog h2")).to_have_text("Stop oven?")
    tab.page.keyboard.press("Enter")  # the focus is on what does no harm
    expect(tab.find("dialog")).to_have_count(0)
    tab.page.keyboard.press("?")
    expect(tab.find("dialog")).to_contain_text("restart by handover")
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("3")
    expect(tab.page.get_by_role("link", name="Logs")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize(
    ("screen", "shown"),
    [
        ("service/oven", "Needed by"),
        ("logs", "the oven is hot"),
        ("events", "Subjects by rate"),
        ("topology", "The same as a table"),
        ("timeline", "oven"),
        ("doctor", "●"),
        ("config", "In effect"),
    ],
)
def test_every_screen_is_accessible_and_shows_text_as_text(tab: Tab, screen: str, shown: str):
    tab.show(screen)
    expect(tab.find("main")).to_contain_text(shown)
    expect(tab.find("main img, main script")).to_have_count(0)
    expect(tab.find(".fault")).to_have_count(0)


def test_a_service_has_plots_with_tables(tab: Tab):
    tab.show("service/es")
    expect(tab.find("figure svg")).to_have_count(6)
    tab.page.get_by_role("button", name="memory as a table").click()
    expect(tab.find("figure table")).to_contain_text("MB")
    expect(tab.page.get_by_role("link", name="oven")).to_be_visible()  # which needs it


def test_logs_are_searched_followed_and_never_markup(tab: Tab):
    tab.show("logs")
    expect(tab.find(".line .f1", has_text="red").first).to_be_visible()
    tab.find("[type=search]").fill("HOT$")
    tab.page.keyboard.press("Enter")
    expect(tab.find(".line", has_not_text="the oven is hot")).to_have_count(0)
    expect(tab.find(".line").first).to_contain_text("the oven is hot")
    tab.find("[type=search]").fill("[")
    tab.page.keyboard.press("Enter")
    expect(tab.find(".fault")).to_contain_text("is not a regular expression")
    tab.press("Close")
    tab.forgive("400")


def test_colours_of_terminals_are_parsed_and_all_else_is_removed(tab: Tab):
    module = tab.find("script[src]").get_attribute("src")
    assert module is not None
    parse = "async ([url, line]) => (await import(new URL(url, location))).pieces(line)"
    url = module.replace("main.js", "lib/sgr.js")
    assert {line: tab.page.evaluate(parse, [url, line]) for line in STYLES} == STYLES


def test_who_may_only_look_gets_no_buttons(browser: Browser, kitchen: Kitchen):
    context = browser.new_context()
    kitchen.sign_in(context, "lookout")
    tab = Tab(context, kitchen.address("lookout"))
    tab.show("overview")
    expect(tab.row("es")).to_contain_text("● running")
    expect(tab.page.get_by_role("button", name="Stop")).to_have_count(0)
    tab.page.keyboard.press("j")
    tab.page.keyboard.press("x")
    expect(tab.find("dialog")).to_have_count(0)
    tab.check()
    assert tab.faults == []
    context.close()


def test_a_stranger_sees_nothing_and_signs_in_with_the_token(browser: Browser, kitchen: Kitchen):
    context = browser.new_context()
    tab = Tab(context, kitchen.address("web"))
    tab.page.goto(tab.url)
    field = tab.page.get_by_label("token")
    expect(tab.find("main")).not_to_contain_text("oven")
    field.fill("wrong")
    tab.press("Sign in")
    expect(tab.find(".fault")).to_contain_text("token")
    tab.check()
    tab.page.get_by_label("token").fill(kitchen.token("web"))
    tab.press("Sign in")
    expect(tab.row("oven")).to_be_visible()
    tab.forgive("401")
    assert tab.faults == []
    context.close()


def test_the_eighth_tab_works_and_there_is_one_connection(
    signed_in: BrowserContext, kitchen: Kitchen
):
    tabs = [Tab(signed_in, kitchen.address("web")) for _ in range(8)]
    for tab in tabs:
        tab.show("overview")
        expect(tab.find(".tiles li b").last).to_contain_text("MB")  # a sample has arrived
    streams = [url for tab in tabs for url in tab.requests if url.endswith("/stream")]
    assert len(streams) == 1
    leader = next(tab for tab in tabs if any(url.endswith("/stream") for url in tab.requests))
    leader.page.close()
    tabs.remove(leader)
    for tab in tabs:
        expect(tab.find("body:not(.stale)")).to_be_visible()
    tabs[-1].show("logs")
    kitchen.run("restart", "oven", "--yes")
    expect(tabs[-1].find(".lines")).to_contain_text("stopping: restart requested")
    assert [fault for tab in tabs for fault in tab.faults] == []


def test_a_code_signs_in_once_and_does_not_stay_in_the_address(browser: Browser, kitchen: Kitchen):
    command = ("web", "open", "--no-browser", "--service", "web")
    address = kitchen.json(*command)["data"]["url"]
    for shown in ("oven", "token"):  # the second time the page asks for a token
        context = browser.new_context()
        tab = Tab(context, kitchen.address("web"))
        tab.page.goto(address)
        expect(tab.find("main")).to_contain_text(shown)
        assert address.rpartition("#")[2] not in tab.page.url
        tab.check()
        tab.forgive("401")
        assert tab.faults == []
        context.close()
