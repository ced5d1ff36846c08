"""The pages in a real browser: scripts, keys, colours, widths, and what the policy lets through."""

import re
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from web_fixtures import SITE_START

from bioq.web.jobs import Job
from bioq.web.queue import Level

REGION = f"chr1:{SITE_START - 39}-{SITE_START + 40}"


def predict(page: Page, text: str) -> None:
    page.goto("/")
    page.get_by_label("DNA, FASTA or regions").fill(text)
    page.get_by_role("button", name="Predict").click()


def shown_targets(page: Page) -> list[str]:
    return [
        row.locator("td").first.inner_text()
        for row in page.locator("table.sortable tbody tr").all()
        if row.is_visible()
    ]


def test_an_example_is_filled_in_and_predicted_by_two_clicks(page):
    page.goto("/")
    page.get_by_role("button", name="Example sequence").click()
    assert page.url.endswith("/")  # filled by the script, not loaded
    assert page.locator("#text").input_value().startswith(">chr")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("ol.chart li")).to_have_count(2)
    assert page.url.rpartition("/")[0].endswith("/jobs")


def test_headings_sort_and_the_filter_leaves_what_fits(page):
    predict(page, REGION)
    table = page.locator("table.sortable")
    heading = table.get_by_role("columnheader", name="probability", exact=True)

    def numbers() -> list[float]:
        return [float(text) for text in table.locator("td:nth-child(2)").all_inner_texts()]

    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers() == sorted(numbers(), reverse=True)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers() == sorted(numbers())
    heading.get_by_role("button").click()
    assert numbers() == sorted(numbers(), reverse=True)
    table.get_by_role("button", name="target").click()
    assert heading.get_attribute("aria-sort") is None
    assert shown_targets(page) == ["first", "second"]
    page.get_by_label("Filter the table").fill("SEC")
    assert shown_targets(page) == ["second"]
    expect(page.get_by_text("1 of 2", exact=True)).to_be_visible()


def test_mutagenesis_leads_to_its_figure_and_back(page):
    predict(page, REGION)
    page.get_by_label("Target").select_option(index=1)
    page.get_by_role("button", name="Mutate").click()
    figure = page.get_by_role("img", name=re.compile("Sequence logo"))
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500
    page.get_by_role("link", name="Back to the window").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        f"chr1:{SITE_START - 39:,}-{SITE_START:,}"
    )


def test_the_keyboard_alone_leads_from_the_example_to_the_result(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    example, predict = (
        page.get_by_role("button", name=name) for name in ("Example region", "Predict")
    )
    for button in (example, predict):
        for _ in range(8):
            page.keyboard.press("Tab")
            if button.evaluate("element => element === document.activeElement"):
                break
        expect(button).to_be_focused()
        assert button.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        page.keyboard.press("Enter")
    expect(page.get_by_text("Window 1 of 5")).to_be_visible()


def test_a_fault_is_told_beside_the_text(page):
    predict(page, "rubbish")
    field = page.get_by_label("DNA, FASTA or regions")
    expect(field).to_have_value("rubbish")
    expect(field).to_have_accessible_description(re.compile("'rubbish' is not DNA"))


@pytest.fixture
def held(service) -> Iterator[tuple[Job, threading.Event]]:
    """A job that runs until its event is set; its result is one mutagenesis."""
    going = threading.Event()
    windows = service.read_sequences("ACGT" * 50, pad=False)
    answer = service.mutate_job(windows, 0, 0, service.bin_bp).future.result()

    def run(give_way):
        while not going.is_set():
            give_way()
            time.sleep(0.01)
        return answer

    job = Job("mutagenesis", "held up", service.jobs.new_folder(), 100, "mutants")
    service.jobs.start(job, run, Level.SECONDS)
    yield job, going
    going.set()
    service.jobs.remove(job.id)


def test_a_reload_and_a_second_tab_find_a_running_job_which_becomes_its_result(page, held):
    job, going = held
    page.goto(f"/jobs/{job.id}")
    expect(page.get_by_role("progressbar")).to_be_visible()
    job.done = 40
    expect(page.get_by_text("40 of 100 mutants")).to_be_visible()
    page.reload()
    second = page.context.new_page()
    second.goto(page.url)
    for tab in (page, second):
        assert tab.get_by_role("progressbar").evaluate("bar => bar.value") == 40
    going.set()
    for tab in (page, second):
        expect(tab.get_by_role("heading", level=1)).to_have_text("Mutagenesis of first")
        tab.wait_for_load_state("networkidle")


def test_a_running_job_is_cancelled_by_its_button(page, held):
    job, _ = held
    page.goto(f"/jobs/{job.id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("The job was cancelled")
    assert job.state == "cancelled"


def test_without_scripts_examples_prediction_and_mutagenesis_work(browser, address):
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Example region").click()
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text("Window 1 of 5")).to_be_visible()
    page.get_by_role("button", name="Mutate").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mutagenesis of")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_their_text_stands_out(browser, address, scheme):
    size = {"width": 360, "height": 740}
    context = browser.new_context(base_url=address, viewport=size, color_scheme=scheme)
    page = context.new_page()
    predict(page, REGION)
    result = urlsplit(page.url).path
    page.get_by_role("button", name="Mutate").click()
    page.wait_for_selector("figure")
    for path in ("/", result, urlsplit(page.url).path, "/jobs/nobody"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        for text, ink, ground in page.evaluate(COLOURS, "h1, nav a, .soft, button, .error, .hint"):
            assert contrast(ink, ground) >= 4.5, (path, text)
    context.close()


COLOURS = """selector => [...document.querySelectorAll(selector)].map(element => {
  let behind = element, ground = "rgba(0, 0, 0, 0)";
  while (behind && ground === "rgba(0, 0, 0, 0)") {
    ground = getComputedStyle(behind).backgroundColor;
    behind = behind.parentElement;
  }
  return [element.textContent, getComputedStyle(element).color, ground];
})"""
"""Text, its colour and the colour behind it, of the elements that a selector finds."""


def contrast(ink: str, ground: str) -> float:
    """Return the contrast of two CSS colours (WCAG 2.1)."""
    bright, dark = sorted(map(luminance, (ink, ground)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of a CSS rgb() (WCAG 2.1)."""
    share = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
