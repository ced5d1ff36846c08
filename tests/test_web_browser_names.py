"""Long names of targets, contigs and sequences in a real browser, wide and on a phone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from web_fixtures import serving

import bioq
from bioq.web import open_service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from trained_run import TrainedRun

ONE = "GM12878.wgEncodeAwgTfbsBroadGm12878CtcfUniPk"
OTHER = "GM12878.wgEncodeAwgTfbsHaibGm12878CtcfPcr1xUniPk"
CONTIG = "scaffold_of_a_draft_assembly_with_a_long_name_000017"
PHONE = {"width": 390, "height": 844}

WIDER = """() => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push("the page");
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const box = element.getBoundingClientRect();
    if (!box.width || box.right <= width + 0.5) continue;
    let parent = element.parentElement, scrolls = false;
    for (; parent; parent = parent.parentElement)
      scrolls ||= ["auto", "scroll"].includes(getComputedStyle(parent).overflowX);
    if (!scrolls) faults.push(`${element.tagName} ${element.textContent.trim().slice(0, 60)}`);
  }
  return faults;
}"""
"""The elements that reach past the screen and not inside a box that scrolls."""
PROSE = """() => {
  const page = document.body.cloneNode(true);
  page.querySelectorAll("pre, code, textarea, svg, option, script").forEach(part => part.remove());
  document.body.append(page);
  const text = page.innerText;
  page.remove();
  return text;
}"""


@pytest.fixture(scope="module")
def served(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An evaluated run with long names, and a genome with a long name of a contig."""
    folder = tmp_path_factory.mktemp("long")
    run = folder / "a_run_with_a_name_that_is_longer_than_a_telephone_is_wide"
    shutil.copytree(trained.run, run)
    bioq.evaluate(run, trained.data)
    scores = run / "evaluation" / "per_target.tsv"
    scores.write_text(scores.read_text().replace("first", ONE).replace("second", OTHER))
    (run / "targets.tsv").write_text(
        f"name\tcell\tassay\n{ONE}\tGM12878\tChIP-seq\n{OTHER}\tGM12878\tChIP-seq of a factor\n"
    )
    genome = folder / "genome.fa"
    genome.write_text(f">{CONTIG}\n{'ACGTTGCATTAGCCAGATGA' * 250}\n")
    with open_service(run, genome) as service, serving(service) as address:
        yield address


@pytest.fixture(params=["phone", "wide"])
def page(request: pytest.FixtureRequest, browser: Browser, served: str) -> Iterator[Page]:
    size = PHONE if request.param == "phone" else {"width": 1280, "height": 900}
    context = browser.new_context(base_url=served, viewport=size)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    faults: list[str] = []
    opened.on(
        "console",
        lambda line: faults.append(line.text) if line.type in ("error", "warning") else None,
    )
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert [fault for fault in faults if "status of 4" not in fault] == []


def check(page: Page, *names: str) -> None:
    """Check that the page fits its screen, that words do not run together, and that the names are
    on it, complete and visible."""
    page.wait_for_load_state("networkidle")
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate(WIDER) == [], page.url
    text = page.evaluate(PROSE)
    joined = re.findall(r"\S*[a-z0-9)],[A-Za-z]\S*|\S*[a-z)]\.[A-Z][a-z]+(?=\s)\S*", text)
    assert [word for word in joined if "wgEncode" not in word] == [], page.url
    for name in names:
        assert name in text, page.url


def test_every_page_fits_its_screen_and_shows_complete_names(page):
    page.goto("/")
    check(page)
    page.get_by_role("button", name="Example region").click()
    page.get_by_role("button", name="Predict").click()
    check(page, ONE, OTHER, CONTIG)
    label = page.locator("select#target")
    for name in (ONE, OTHER):
        option = label.locator(f'option[title="{name}"]')
        shown = option.inner_text()
        assert name[-12:] in shown  # CtcfUniPk or CtcfPcr1xUniPk
        label.select_option(shown)
        room = label.evaluate(
            """select => {
              const context = document.createElement("canvas").getContext("2d");
              const style = getComputedStyle(select);
              context.font = `${style.fontSize} ${style.fontFamily}`;
              const text = select.selectedOptions[0].textContent;
              return select.clientWidth - parseFloat(style.paddingLeft)
                - parseFloat(style.paddingRight) - context.measureText(text).width;
            }"""
        )
        assert room > 0, shown
    page.get_by_role("button", name="Mutate").click()
    page.wait_for_selector("figure img")
    check(page, OTHER)
    page.goto("/variant")
    check(page)
    page.get_by_role("button", name="VCF lines, two with an error").click()
    page.get_by_label("Score alleles if the genome has ALT").first.check()
    page.get_by_role("button", name="Score", exact=True).click()
    page.wait_for_selector("h2#alleles")
    check(page, CONTIG)
    page.locator("td.name a").first.click()
    page.wait_for_selector("table.sortable")
    check(page, ONE, OTHER)
    for path in ("/model", "/api", "/jobs/nobody"):
        page.goto(path)
        check(page, *((ONE, OTHER) if path == "/model" else ()))


@pytest.mark.parametrize("text", ["rubbish-1-2", "chr22:5-9", f"{CONTIG}:4990-5100", "X" * 300])
def test_messages_fit_their_screen(page, text):
    page.goto("/")
    page.locator("#text").fill(text)
    page.get_by_role("button", name="Predict").click()
    page.get_by_role("alert").wait_for()
    check(page)


def test_a_printed_page_has_complete_tables(page):
    page.goto("/model")
    page.emulate_media(media="print")
    table = page.locator("table.sortable")
    assert table.evaluate(
        "table => table.parentElement.scrollHeight <= table.parentElement.clientHeight + 1"
    )
