"""The page in a real browser, Chromium, driven by playwright; `make test-browser` runs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.browser.kitchen import Kitchen
from tests.browser.tab import FLAGS, Tab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE = 20_000
"""Milliseconds that anything may take on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(120))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; a missing one is an error, as a skipped test would prove nothing."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    """A deployment with a page, shared by the tests of a module."""
    found = Kitchen(tmp_path_factory.mktemp("kitchen"))
    try:
        found.begin()
        yield found
    finally:
        found.close()


@pytest.fixture
def signed_in(browser: Browser, kitchen: Kitchen) -> Iterator[BrowserContext]:
    """A browser that is signed in, without any tab."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    kitchen.sign_in(context, "web")
    yield context
    context.close()


@pytest.fixture
def tab(signed_in: BrowserContext, kitchen: Kitchen) -> Iterator[Tab]:
    """The page; when the test is done, what it shows is accessible and no fault was logged."""
    found = Tab(signed_in, kitchen.address("web"))
    found.show("overview")
    yield found
    found.check()
    assert found.faults == []
