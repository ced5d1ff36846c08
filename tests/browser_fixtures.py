"""A real browser, in which nothing may go wrong unseen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"]
        )


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page on which nothing may go wrong unseen: no error in the console (so no breach of the
    policy), no script's exception, no request to elsewhere."""
    context = browser.new_context(base_url=address)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    faults: list[str] = []
    opened.on(
        "console",
        lambda line: faults.append(line.text) if line.type in ("error", "warning") else None,
    )
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:")) else faults.append(request.url)
        ),
    )
    yield opened
    context.close()
    # A browser logs every answer that is no success, wanted or not.
    assert [one for one in faults if "status of 422" not in one] == []
