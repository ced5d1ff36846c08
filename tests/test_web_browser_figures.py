"""Tracks, logos and links in a real browser: at reading size, on a phone, with and without a
script."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from web_fixtures import SITE_START

from bioq.plots.logo import BASE_PX

REGION = f"chr1:{SITE_START - 199}-{SITE_START + 200}"
VARIANT_POS = SITE_START + 3
SLOW_MS = 120_000
"""The first search for sites compiles for seconds, more on a busy machine."""


@pytest.fixture(autouse=True)
def prepared(service) -> None:
    """Sites are searched without a wait, so that no page loads itself again."""
    service.motif_names.prepare(wait=True)


def predict(page: Page, text: str) -> None:
    page.goto("/")
    page.get_by_label("DNA, FASTA or regions").fill(text)
    page.get_by_role("button", name="Predict").click()


def explain(page: Page, text: str) -> None:
    page.goto("/explain")
    page.get_by_label("DNA, FASTA, a region or a variant").fill(text)
    page.get_by_role("button", name="Explain").click()
    page.wait_for_selector("svg.logo g.base", timeout=SLOW_MS)


def test_the_number_under_the_pointer_is_written_below_the_track(page):
    predict(page, REGION)
    lane = page.get_by_role("img", name=re.compile("^Probability of first along"))
    bar = lane.locator("a").nth(5)
    title = bar.locator("title").text_content()
    bar.hover()
    expect(page.locator("figure.track output")).to_have_text(title)
    bar.click()
    expect(page.get_by_text("Window 6 of 10")).to_be_visible()


def test_contributions_are_one_click_from_a_window(page):
    predict(page, f"chr1:{SITE_START - 15}-{SITE_START + 24}")
    page.get_by_role("button", name="Contributions").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Contributions to first", timeout=SLOW_MS)
    letter = page.locator("svg.logo g.base").nth(20)
    title = letter.locator("title").text_content()
    letter.hover()
    expect(page.locator("output.readout")).to_have_text(title)
    page.get_by_role("link", name="Back").click()
    expect(page.locator("ol.chart li")).to_have_count(2)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_at_reading_size_in_boxes_of_their_own(
    browser, service, address, width, scheme
):
    base = service.genome.letters("chr1", VARIANT_POS - 1, VARIANT_POS)
    variant = f"chr1:{VARIANT_POS}:{base}>{'C' if base != 'C' else 'A'}"
    size = {"width": width, "height": 800}
    context = browser.new_context(base_url=address, viewport=size, color_scheme=scheme)
    page = context.new_page()
    predict(page, "chr1:1-5000")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    explain(page, variant)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    columns = page.evaluate(
        "[...document.querySelectorAll('g.base rect')]"
        ".map(column => column.getBoundingClientRect().width)"
    )
    assert columns == [BASE_PX] * len(columns)
    sizes = page.evaluate(
        "[...document.querySelectorAll('.scroller text, .axis text')]"
        ".map(text => parseFloat(getComputedStyle(text).fontSize))"
    )
    assert min(sizes) >= 12
    overlaps = page.evaluate(OVERLAPS)
    assert overlaps == []
    context.close()


OVERLAPS = """[...document.querySelectorAll("svg.logo")].flatMap(logo => {
  const texts = [...logo.querySelectorAll("text")];
  const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([name, a], number) => boxes.slice(number + 1).filter(([, b]) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
    .map(([other]) => [name, other]));
})"""
"""Pairs of texts of a logo that overlap."""


def test_ref_and_alt_scroll_together_and_the_allele_is_visible(page, service):
    base = service.genome.letters("chr1", VARIANT_POS - 1, VARIANT_POS)
    explain(page, f"chr1:{VARIANT_POS}:{base}>{'C' if base != 'C' else 'A'}")
    boxes = page.locator(".logo-box .scroller")
    expect(boxes).to_have_count(2)
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    for number in (0, 1):
        assert (
            page.locator("rect.allele")
            .nth(number)
            .evaluate(
                "part => { const a = part.getBoundingClientRect(), "
                "b = part.closest('.scroller').getBoundingClientRect(); "
                "return a.left >= b.left && a.right <= b.right; }"
            )
        )
    boxes.first.evaluate("box => { box.scrollLeft = 17; }")
    page.wait_for_function(
        "() => document.querySelectorAll('.logo-box .scroller')[1].scrollLeft === 17"
    )


def test_a_copied_link_computes_the_result_again_in_another_tab(browser: Browser, address):
    context = browser.new_context(
        base_url=address, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    predict(page, f"{REGION}")
    page.locator("figure.track a").nth(4).click()
    expect(page.get_by_text("Window 5 of 10")).to_be_visible()
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.locator("#share").evaluate("link => link.href")
    other = context.new_page()
    other.goto(link)
    other.wait_for_url("**/jobs/**")
    expect(other.get_by_text("Window 5 of 10")).to_be_visible()
    assert other.url != page.url
    assert other.locator("ol.chart").inner_text() == page.locator("ol.chart").inner_text()
    other.go_back()  # the browser does not come back to the form, which would be sent again
    other.wait_for_timeout(300)
    assert "/jobs/" not in other.url
    context.close()


def test_a_link_on_a_page_of_another_site_only_fills_the_form(browser: Browser, address, service):
    context = browser.new_context()
    page = context.new_page()
    link = f"{address}/?text={REGION}"
    before = set(service.jobs._jobs)
    page.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f"<a href='{link}'>go</a><img src='{link}'><iframe src='{link}'></iframe>",
        ),
    )
    page.goto("http://elsewhere.test/")
    page.get_by_text("go").click()
    expect(page.get_by_label("DNA, FASTA or regions")).to_have_value(REGION)
    page.wait_for_timeout(300)
    assert page.url == link
    assert set(service.jobs._jobs) == before
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text("Window 1 of 10")).to_be_visible()
    context.close()


def test_without_scripts_tracks_logos_and_links_work(browser: Browser, address):
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    predict(page, REGION)
    page.locator("figure.track a").nth(2).click()
    expect(page.get_by_text("Window 3 of 10")).to_be_visible()
    expect(page.get_by_role("button", name="Copy link")).to_have_count(0)
    page.locator("#share").click()
    expect(page.get_by_label("DNA, FASTA or regions")).to_have_value(REGION)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text("Window 3 of 10")).to_be_visible()
    page.get_by_role("button", name="Contributions").click()
    expect(page.locator("svg.logo g.base")).to_have_count(40, timeout=SLOW_MS)
    context.close()
