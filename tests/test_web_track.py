"""A region's windows as tracks along the genome: the numbers of the download, at their places."""

import io
import itertools
import re

import pandas as pd
import pytest
from web_fixtures import SITE_START

from bioq.plots.numbers import probability_text

REGION = f"chr1:{SITE_START - 199}-{SITE_START + 200}"
"""Ten bins of 40 bp."""


def lanes(page: str) -> dict[str, list[tuple[str, str, float, float]]]:
    """Return, for each target of each figure, (title, link, x, height) of its bars."""
    found = {}
    for figure in re.findall(r'<figure class="track">.*?</figure>', page, re.S):
        for name, svg in re.findall(r"<p><b>([^<]+)</b>.*?</p>(<svg.*?</svg>)", figure, re.S):
            bars = re.findall(
                r'<a href="([^"]+)"[^>]*><title>([^<]+)</title><rect class="bin[^"]*" x="([^"]+)"'
                r'.*?height="([^"]+)"[^>]*/></a>',
                svg,
            )
            where = bars[0][1].partition(":")[0] + bars[0][1].partition(":")[2].split(":")[0]
            found[f"{name} {where}"] = [(t, link, float(x), float(h)) for link, t, x, h in bars]
    return found


def test_bars_have_the_numbers_of_the_download_at_their_places(client):
    page = client.post("/sequence", data={"text": REGION})
    table = pd.read_csv(io.BytesIO(client.get(f"{page.url.path}/result.tsv").content), sep="\t")
    found = lanes(page.text)
    assert len(found) == 2
    for key, bars in found.items():
        column = table[f"probability:{key.split()[0]}"]
        titles = [
            f"chr1:{row.start + 1:,}-{row.end:,}: {probability_text(p)}"
            for row, p in zip(table.itertuples(), column, strict=True)
        ]
        assert [title for title, *_ in bars] == titles
        steps = {round(after[2] - before[2], 1) for before, after in itertools.pairwise(bars)}
        assert len(steps) == 1
        heights = pd.Series([height for *_, height in bars])
        assert heights.corr(column) > 0.999
    ticks = re.findall(r'<text class="tick"[^>]*>([\d,]+)</text>', page.text)
    assert ticks
    positions = [int(text.replace(",", "")) for text in ticks]
    assert all(SITE_START - 199 <= position <= SITE_START + 200 for position in positions)


def test_a_bar_is_a_link_to_its_window_and_that_of_the_window_is_marked(client):
    page = client.post("/sequence", data={"text": REGION})
    bars = next(iter(lanes(page.text).values()))
    title, link, *_ = bars[3]
    window = client.get(link.replace("&amp;", "&"))
    heading = re.search(r"<h1>([^<]+)</h1>", window.text)
    assert heading is not None
    assert title.startswith(heading[1])
    assert window.text.count('class="bin chosen"') == 2  # one per target


def test_regions_that_do_not_meet_are_tracks_of_their_own(client):
    text = "chr1:1-80\nchr1:81-160\nchr1:401-480\nchr2:481-560\nchr2:1001-1040"
    page = client.post("/sequence", data={"text": text}).text
    titles = re.findall(r'aria-label="Probabilities along ([^"]+), scrolls sideways"', page)
    assert titles == ["chr1:1-160", "chr1:401-480", "chr2:481-560"]


def test_a_window_or_a_sequence_has_no_track(client):
    for text in ("chr1:1-40", "chr1:1-40\nchr2:81-120", "ACGT" * 100):
        page = client.post("/sequence", data={"text": text})
        assert page.status_code == 200
        assert "Along the genome" not in page.text


def test_the_targets_of_the_tracks_are_chosen_by_name(client):
    address = client.post("/sequence", data={"text": REGION}).url.path
    page = client.get(address, params={"show": "sec*", "window": "2"})
    assert [key.split()[0] for key in lanes(page.text)] == ["second"]
    assert 'value="sec*"' in page.text
    (_, link, *_), *_ = next(iter(lanes(page.text).values()))
    assert "show=sec%2A" in link  # the choice stays when another window is opened


@pytest.mark.parametrize("show", ["none", "<script>", "x" * 4000, "%", "[", "a=b", "\x00"])
def test_other_names_are_refused_in_one_line_above_the_usual_tracks(client, show):
    address = client.post("/sequence", data={"text": REGION}).url.path
    page = client.get(address, params={"show": show})
    assert page.status_code == 422
    assert page.text.count('id="show-error"') == 1
    assert "<script>" not in page.text.replace('<script type="module"', "")
    assert len(lanes(page.text)) == 2


def test_the_longest_region_is_drawn_and_a_longer_one_refused(client, service):
    most = service.limits.windows * service.bin_bp
    page = client.post("/sequence", data={"text": f"chr1:1-{min(most, 5000)}"})
    assert page.status_code == 200
    assert len(next(iter(lanes(page.text).values()))) == min(most, 5000) // service.bin_bp
    text = "\n".join(["chr1:1-5000", "chr2:1-5000"])
    assert client.post("/sequence", data={"text": text}).status_code == 422
