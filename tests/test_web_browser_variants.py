"""The Variant and Model pages in a real browser."""

import re
import threading
import time

import pytest
from playwright.sync_api import Page, expect
from web_fixtures import SITE_START

from bioq import dna
from bioq.web import Service
from bioq.web.jobs import Job
from bioq.web.queue import Level

OTHER = {"A": "G", "C": "T", "G": "A", "T": "C"}


def lines(service: Service, count: int) -> str:
    """Substitutions in a row, the planted motif among them."""
    assert service.genome is not None
    start = SITE_START - 100
    bases = dna.decode(service.genome.read("chr1", start, start + count))
    return "".join(f"chr1\t{start + n + 1}\t.\t{b}\t{OTHER[b]}\n" for n, b in enumerate(bases))


def score(page: Page, text: str) -> None:
    page.goto("/variant")
    page.get_by_label("Variants on small.fa").fill(text)
    page.get_by_role("button", name="Score", exact=True).click()


def changes(page: Page) -> list[float]:
    cells = page.locator("table").last.locator("tbody tr td:nth-child(3)").all_inner_texts()
    return [abs(float(cell.replace("−", "-"))) for cell in cells]


def test_an_example_leads_to_its_alleles_and_to_each_of_them(page):
    page.goto("/variant")
    page.get_by_role("button", name="VCF lines, two with an error").click()
    assert page.url.endswith("/variant")  # filled by the script, not loaded
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.get_by_text("7 alleles, 5 scored.")).to_be_visible()
    page.locator("table").last.get_by_role("link").filter(has_text=">").first.click()
    expect(page.locator("table.sortable tbody tr")).to_have_count(2)
    page.get_by_role("link", name="All 7 alleles").click()
    page.locator("select[name=status]").select_option("ref_mismatch")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("table").last.locator("tbody tr")).to_have_count(1)
    page.locator("table").last.get_by_role("link").last.click()
    expect(page.get_by_text("Not scored: ref_mismatch.")).to_be_visible()


def test_headings_sort_all_pages_of_the_table_and_keep_what_was_found(page, service):
    score(page, lines(service, 150))
    expect(page.get_by_text("Page 1 of 2")).to_be_visible()
    largest = changes(page)
    assert largest == sorted(largest, reverse=True)
    page.get_by_label("Find in position, ID or target").fill("A>G")
    page.get_by_label("Find in position, ID or target").press("Enter")
    page.get_by_role("link", name="largest change").click()
    expect(page.locator('th[aria-sort="descending"]')).to_have_text("largest change")
    page.get_by_role("link", name="largest change").click()
    expect(page.locator('th[aria-sort="ascending"]')).to_have_text("largest change")
    smallest = changes(page)
    assert smallest == sorted(smallest)
    assert 0 < len(smallest) < 100
    titles = page.locator("table").last.locator("tbody a").all_inner_texts()
    assert all(title.endswith("A>G") for title in titles)


def test_a_dot_of_a_figure_leads_to_its_allele_then_to_its_target(page, service):
    score(page, lines(service, 120))
    title = page.locator("figure a title").last.text_content()
    page.locator("figure a use").last.dispatch_event("click")
    expect(page.locator("h1")).to_have_text(title.split(": ")[0])
    name = page.locator("figure a title").last.text_content().split(": ")[0]
    page.locator("figure a use").last.dispatch_event("click")
    expect(page.locator("tr:target td").first).to_have_text(name)


def test_an_uploaded_vcf_waits_in_sight_survives_a_reload_and_is_scored(page, service, tmp_path):
    file = tmp_path / "mine.vcf"
    file.write_text("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n" + lines(service, 130))
    going = threading.Event()

    def hold(give_way):
        while not going.is_set():
            give_way()
            time.sleep(0.005)

    held = service.jobs.start(
        Job("variants", "held up", service.jobs.new_folder(), 1, "alleles"), hold, Level.MINUTES
    )
    try:
        page.goto("/variant")
        page.get_by_label("Or a VCF file").set_input_files(file)
        page.get_by_role("button", name="Score the file").click()
        expect(page.locator("#job-line")).to_contain_text("130 alleles")
        page.reload()
        expect(page.get_by_text("mine.vcf")).to_be_visible()
    finally:
        going.set()
        service.jobs.remove(held.id)
    expect(page.get_by_text("130 alleles, all scored.")).to_be_visible()


def test_a_fault_is_told_beside_the_field_and_can_be_mended_by_keyboard_alone(page):
    page.goto("/variant")
    field = page.get_by_label("Variants on small.fa")
    field.focus()
    page.keyboard.type("chr1:25:A")
    while page.evaluate("document.activeElement.textContent") != "Score":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("line 1: 'chr1:25:A' is not a variant")
    expect(field).to_have_value("chr1:25:A")
    expect(field).to_have_accessible_description(re.compile("is not a variant"))
    field.focus()
    page.keyboard.press("End")
    page.keyboard.type(">N")
    while page.evaluate("document.activeElement.textContent") != "Score":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Not scored")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1440])
def test_no_page_is_wider_than_its_screen(page, service, width):
    page.set_viewport_size({"width": width, "height": 800})
    score(page, lines(service, 120))
    expect(page.locator("h2#alleles")).to_be_visible()
    result = page.url
    for address in ("/variant", result, f"{result}/alleles/1", "/model"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_model_page_sorts_its_targets(page):
    page.goto("/model")
    expect(page.get_by_role("heading", name="Limits")).to_be_visible()
    first = page.locator("table.sortable tbody tr td").first
    expect(first).to_have_text("first")
    page.get_by_role("button", name="target").click()
    page.get_by_role("button", name="target").click()
    expect(first).to_have_text("second")
