"""The report of a scoring: the alleles that it lists, the letters of its logos, and its page."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from variant_cases import make_chromosome, make_run, other_base, random_rows, write_vcf

import bioq
from bioq import dna
from bioq.cli import main
from bioq.genome import ContigNames, open_genome
from bioq.reports import top_alleles
from bioq.reports.allele_logos import MOST_ALLELE_BP, AllelePair, allele_pair
from bioq.reports.top_alleles import RankedAllele, TopAlleles
from bioq.variants import COLUMNS, VariantOptions
from bioq.variants.background import effect_counts
from bioq.variants.scoring import Scorer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture
def chromosome() -> str:
    return make_chromosome()


@pytest.fixture
def genome(tmp_path: Path, chromosome: str) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{chromosome}\n")
    return path


# The alleles of the highest ranks.

VALUES = st.one_of(st.sampled_from([np.nan, 0.0, 1.0, 2.0]), st.floats(0, 3))


@given(
    st.lists(st.tuples(VALUES, VALUES), max_size=40),
    st.integers(1, 12),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_the_first_alleles_are_those_of_a_sort_of_all(
    alleles: list[tuple[float, float]], most: int, sizes: list[int]
) -> None:
    """Python's stable sort by two keys, NaN last, is the reference; any blocks give the same."""
    top, start = TopAlleles(most), 0
    while start < len(alleles):
        size = sizes[start % len(sizes)]
        top.write(*block(alleles[start : start + size], start))
        start += size
    scored = [number for number, (_, size) in enumerate(alleles, 1) if size == size]

    def key(number: int) -> tuple[float, float]:
        phred, size = alleles[number - 1]
        return (-phred if phred == phred else np.inf, -size)

    expected = sorted(scored, key=key)[:most]
    assert [each.number for each in top.top] == expected
    assert [float(each.scores["diff"][0]) for each in top.top] == expected
    assert [each.columns["id"] for each in top.top] == [f"rs{number}" for number in expected]
    assert (top.alleles, top.scored) == (len(alleles), len(scored))
    assert top.points["number"].tolist() == scored


def block(alleles: list[tuple[float, float]], start: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return columns and scores of alleles of which (score_phred, max_abs_diff) are given."""
    number = np.arange(len(alleles)) + start + 1
    text = np.full(len(alleles), "x", dtype=object)
    columns: dict[str, Any] = {
        name: text if kind == "text" else number for name, kind in COLUMNS.items()
    }
    columns["id"] = np.array([f"rs{each}" for each in number], dtype=object)
    phred, size = np.array(alleles, dtype=float).reshape(-1, 2).T
    columns |= {"score_phred": phred, "max_abs_diff": size, "top_diff": -size}
    return columns, {"diff": number[:, None].astype(np.float32)}


def test_the_sample_is_of_all_alleles_and_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3,000 alleles 400 are sampled: each third of the input has about a third of them, and
    their differences are those of their numbers."""
    monkeypatch.setattr(top_alleles, "SAMPLED", 400)
    top = TopAlleles(1)
    for start in range(0, 3000, 100):
        top.write(*block([(1.0, float(number)) for number in range(start, start + 100)], start))
    points = top.points
    number = points["number"].astype(int)
    assert len(set(number)) == len(number) == 400
    assert (points["top_diff"] == 1 - number).all()
    thirds = np.bincount((number - 1) // 1000, minlength=3)
    assert thirds.sum() == 400
    assert (abs(thirds - 400 / 3) < 4 * np.sqrt(400 / 3 * 2 / 3)).all()


# The logos.


def pair_of(
    run: Path, genome: Path, ref: str, alt: str, pos: int = 500, **options: Any
) -> AllelePair | None:
    """Return the logos of an allele on the second target."""
    columns = {"chrom": "chr1", "pos": pos, "id": ".", "ref": ref, "alt": alt}
    with open_genome(genome) as opened:
        scorer = Scorer(bioq.load(run), ContigNames(opened), VariantOptions(**options))
        return allele_pair(scorer, RankedAllele(1, columns, {}), 1)


@pytest.mark.parametrize("kind", ["snv", "insertion", "deletion", "swapped"])
def test_letters_are_as_high_as_the_mean_decrease_of_windows_edited_by_hand(
    run: Path, genome: Path, chromosome: str, kind: str
) -> None:
    """Each window is cut from the text of the chromosome, and each base replaced in the text."""
    at = 499
    base = chromosome[at]
    alleles = {
        "snv": (base, other_base(base)),
        "insertion": (base, base + "GAT"),
        "deletion": (chromosome[at : at + 4], base),
        "swapped": (other_base(base), base),
    }
    ref, alt = alleles[kind]
    pair = pair_of(run, genome, ref, alt, score_swapped=True)
    assert pair is not None
    in_genome = alt if kind == "swapped" else ref
    model = bioq.load(run)
    for logo, allele in zip(pair.alleles, (ref, alt), strict=True):
        text = chromosome[:at] + allele + chromosome[at + len(in_genome) :]
        window = text[at - 99 : at + 101]
        first = text.index(dna.decode(logo.bases)) - (at - 99)
        mutants = [window]
        for place in range(first, first + len(logo.bases)):
            others = dna.BASES.replace(window[place], "")
            mutants += [window[:place] + other + window[place + 1 :] for other in others]
        probability = bioq.predict(model, mutants)[:, 1]
        heights = probability[0] - probability[1:].reshape(-1, 3).mean(axis=1)
        np.testing.assert_allclose(logo.heights, heights, atol=2e-5)
        assert logo.probability == pytest.approx(float(probability[0]), abs=2e-5)
        assert logo.name == f"{'REF' if logo is pair.alleles[0] else 'ALT'} {allele}"


@pytest.mark.parametrize(("ref_bp", "alt_bp"), [(1, 1), (1, 4), (4, 1), (2, 2), (3, 5)])
def test_bases_of_both_alleles_at_one_position_are_in_one_column(
    run: Path, genome: Path, chromosome: str, ref_bp: int, alt_bp: int
) -> None:
    """Outside of the marked columns the two alleles have the same bases at the same positions."""
    at = 499
    ref = chromosome[at : at + ref_bp]
    alt = (other_base(ref[0]) + "ACGTA")[:alt_bp]
    pair = pair_of(run, genome, ref, alt)
    assert pair is not None
    start, end = pair.marked
    assert end - start == max(ref_bp, alt_bp)
    placed = [
        dict(zip(each.columns.tolist(), dna.decode(each.bases), strict=True))
        for each in pair.alleles
    ]
    for columns, allele in zip(placed, (ref, alt), strict=True):
        assert "".join(columns[n] for n in range(start, end) if n in columns) == allele
        outside = "".join(columns[n] for n in range(pair.width) if not start <= n < end)
        left, right = chromosome[pair.first - 1 : at], chromosome[at + ref_bp : pair.last]
        assert outside == left + right
    assert pair.width == len(left) + max(ref_bp, alt_bp) + len(right)


def test_an_allele_at_the_end_of_its_contig_has_the_bases_that_there_are(
    run: Path, genome: Path, chromosome: str
) -> None:
    pair = pair_of(run, genome, chromosome[2], other_base(chromosome[2]), pos=3)
    assert pair is not None
    assert (pair.first, pair.marked) == (1, (2, 3))
    assert dna.decode(pair.alleles[0].bases) == chromosome[: pair.last]


def test_an_allele_of_many_bases_has_no_logos(run: Path, genome: Path, chromosome: str) -> None:
    base = chromosome[499]
    assert pair_of(run, genome, base, base + "A" * MOST_ALLELE_BP) is None


def test_both_drawings_have_one_scale_and_letters_within_them(
    run: Path, genome: Path, chromosome: str
) -> None:
    base = chromosome[499]
    pair = pair_of(run, genome, base, other_base(base))
    assert pair is not None
    unit, tops = [], set()
    for allele, drawing in zip(pair.alleles, pair.drawings(), strict=True):
        found = re.findall(r'#(\w)" transform="matrix\(1 0 0 (\S+) (\d+) (\S+)\)', drawing)
        for letter, height, x, y in found:
            row = int(np.flatnonzero(allele.columns == int(x) // 8)[0])
            assert letter == dna.BASES[allele.bases[row]]
            unit.append(float(height) / allele.heights[row])
            tops.add(round(float(height) + float(y), 1))
            assert min(float(y), float(y) + float(height)) >= -0.1
            assert max(float(y), float(y) + float(height)) <= 48.1
    assert np.ptp(unit) < 0.01 * np.mean(unit)
    assert len(tops) == 1  # one line, on which all letters stand or from which they hang


# The page, by the command.


class Page(HTMLParser):
    """Collects the cells of the ranked table, ids and links; fails at a tag that is not closed."""

    VOID = frozenset(("meta", "br", "rect", "path", "use", "image", "link"))

    def __init__(self, file: Path):
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = file.read_text(encoding="utf-8")
        self._in_ranked = False
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        for name in ("href", "xlink:href", "src"):
            self.links += [str(values[name])] if name in values else []
        if tag == "table":
            self._in_ranked = values.get("class") == "ranked"
        if self._in_ranked and tag == "tr":
            self.rows.append([])
        if self._in_ranked and tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._in_ranked and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def scored(run: Path, vcf: Path, genome: Path, *options: str, out: str = "out.tsv") -> Path:
    """Score with --report; return the page."""
    page = vcf.parent / "top.html"
    arguments = ["variants", str(run), str(vcf), "--genome", str(genome), "--force"]
    arguments += ["--out", str(vcf.parent / out), "--report", str(page)]
    assert main([*arguments, *options]) == 0
    return page


def number(cell: str) -> float:
    """Return the difference at the start of a cell."""
    found = re.match(r"([+−])(\d\.\d{4}|\d\.\de-\d\d)", cell)
    assert found is not None, cell
    return float(found[2]) * (-1 if found[1] == "−" else 1)


def test_the_page_lists_the_alleles_in_the_order_of_the_table_sorted(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    vcf = write_vcf(tmp_path / "in.vcf", [*random_rows(chromosome), ("chr9", 5, ".", "A", "C")])
    page = Page(scored(run, vcf, genome, "--report-top", "12"))
    table = pd.read_csv(
        tmp_path / "out.tsv", sep="\t", keep_default_na=False, na_values={"max_abs_diff": ["NA"]}
    )
    ordered = table.sort_values("max_abs_diff", ascending=False, kind="stable").head(12)
    names = [f"{row.chrom}:{row.pos}:{row.ref}>{row.alt}" for row in ordered.itertuples()]
    assert page.rows[0][1:] == ["variant", "top target", "ALT − REF", "next targets"]
    listed = page.rows[1:]
    for row, name, expected in zip(listed, names, ordered.itertuples(), strict=True):
        assert row[1].startswith(name)
        assert row[1].endswith(str(expected.id))
        assert row[2] == expected.top_target
        diff = number(row[3])
        assert abs(diff) == pytest.approx(expected.max_abs_diff, abs=6e-5)
    assert [row[0] for row in listed] == [str(place) for place in range(1, 13)]
    scored_alleles = int(table["max_abs_diff"].notna().sum())
    assert f"<b>{len(table)}</b>" in page.text
    assert f"<b>{scored_alleles}</b>" in page.text
    assert "no_contig" in page.text
    assert "There is no background" in page.text


def with_background(
    run: Path, genome: Path, chromosome: str, folder: Path, count: int = 24
) -> list[str]:
    """Make RUN/background.npz of random alleles, and two groups of targets."""
    (run / "targets.tsv").write_text("name\tcell\nfirst\tA549\nsecond\tB <i>\n")
    common = write_vcf(folder / "common.vcf", random_rows(chromosome, count))
    assert main(["background", str(run), str(common), "--genome", str(genome)]) == 0
    return ["--group-by", "cell"]


def test_with_a_background_the_order_is_that_of_score_phred(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    """The page of 9 alleles is compared with the table sorted by pandas: order, rank, groups."""
    options = with_background(run, genome, chromosome, tmp_path)
    rows = [(*row[:2], f"v{n}", *row[3:]) for n, row in enumerate(random_rows(chromosome)[24:])]
    page = Page(
        scored(run, write_vcf(tmp_path / "in.vcf", rows), genome, *options, "--report-top", "9")
    )
    table = pd.read_csv(tmp_path / "out.tsv", sep="\t", keep_default_na=False)
    ordered = table.sort_values(
        ["score_phred", "max_abs_diff"], ascending=False, kind="stable"
    ).head(9)
    for row, expected in zip(page.rows[1:], ordered.to_dict("records"), strict=True):
        assert row[1].endswith(expected["id"])
        assert row[2].removeprefix("≥ ") == f"{expected['score_phred']:.1f}"
        assert row[2].startswith("≥ ") == (expected["score_phred"] == table["score_phred"].max())
        assert row[3] == expected["top_target"]
        assert number(row[4]) == pytest.approx(expected["top_diff"], abs=6e-5)
        groups = {
            f"{group}:{expected[f'top_target:{group}']}{expected[f'score_phred:{group}']:.1f}"
            for group in ("A549", "B <i>")
        }
        assert set(re.findall(r"(?:A549|B <i>):.*?\.\d", row[5])) == groups
    assert "highest phred possible" in page.text
    assert "their score_phred is too high" in page.text
    most = int((table["score_phred"] == table["score_phred"].max()).sum())
    assert f"can give: {most} allele" in page.text


def test_kinds_with_a_highest_rank_each_are_not_to_be_compared_above_the_smaller(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effect_counts, "OWN_KIND", 5)
    with_background(run, genome, chromosome, tmp_path, 60)
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(chromosome, 20))
    page = Page(scored(run, vcf, genome))
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t")["background_n"].dropna().unique()
    assert len(found) == 2
    assert len(re.findall("highest phred possible", page.text)) == 2
    assert re.search(r"Above \d+\.\d, which is the highest phred\s+of one of the two", page.text)
    assert "their score_phred is too high" not in page.text
    assert "B <i>" not in page.text


def test_targets_that_are_not_chosen_can_be_the_top_target(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    """Ranks are those of all targets: the page is the same but for the scores of the others."""
    with_background(run, genome, chromosome, tmp_path)
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(chromosome, 8))
    every = Page(scored(run, vcf, genome))
    some = Page(scored(run, vcf, genome, "--targets", "first"))
    for rows in (every.rows, some.rows):
        assert {row[3] for row in rows[1:]} == {"first", "second"}
    ranks = [
        {row[1]: (row[2], row[3], row[4][:7]) for row in page.rows[1:]} for page in (every, some)
    ]
    assert ranks[0] == ranks[1]
    assert some.text.count("<article") == len(some.rows) - 1


def test_every_link_of_the_page_is_to_a_part_of_it(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    page = Page(scored(run, write_vcf(tmp_path / "in.vcf", random_rows(chromosome)), genome))
    assert len(page.ids) == len(set(page.ids))
    inside = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(page.ids)
    assert {f"#logo-{place}" for place in range(1, 11)} <= set(inside)
    elsewhere = {link for link in page.links if not link.startswith(("#", "data:image/png"))}
    assert elsewhere == set()
    assert "<script" not in page.text
    assert "http" not in page.text.replace("http://www.w3.org", "")


def test_every_format_gives_the_same_page(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    """The page has all scores and targets; a table may have some."""
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(chromosome, 2))
    expected = scored(run, vcf, genome).read_text()
    for out, options in [
        ("out.h5ad", ["--scores", "ref"]),
        ("out.vcf.gz", []),
        ("out", ["--format", "deepsea"]),
    ]:
        assert scored(run, vcf, genome, *options, out=out).read_text() == expected


def test_names_from_files_are_text_of_the_page(
    genome: Path, chromosome: str, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    evil = "<script>alert(1)</script>&\"'$x^2$"
    (run / "targets.tsv").write_text(f"name\nfirst {evil}\nsecond {evil}\n")
    base = chromosome[499]
    rows = [("chr1", 500, evil, base, other_base(base))]
    page = Page(scored(run, write_vcf(tmp_path / "in.vcf", rows), genome))
    assert "<script" not in page.text
    assert html.escape(f"first {evil}", quote=False)[:20] in page.text
    assert evil in page.rows[1][1]
    assert evil in page.rows[1][2]


def test_a_page_of_no_scored_allele_says_so(run: Path, genome: Path, tmp_path: Path) -> None:
    vcf = write_vcf(tmp_path / "in.vcf", [("chr1", 500, ".", "N", "A")])
    page = Page(scored(run, vcf, genome, "--allow-none-scored"))
    assert page.rows == []
    assert "No allele was scored: its allele was not scored (ambiguous)" in page.text
    empty = Page(scored(run, write_vcf(tmp_path / "in.vcf", []), genome))
    assert "No allele was scored, because the input has none" in empty.text


def test_an_allele_without_effect_has_a_page(
    run: Path, genome: Path, chromosome: str, tmp_path: Path
) -> None:
    """A model of which every output is constant: no letter, no range of the axes."""
    import torch

    from bioq.runs.weights import save_weights

    model = bioq.load(run)
    with torch.no_grad():
        for weights in model.parameters():
            weights *= 0
    save_weights(model.network, run / "model.safetensors")
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(chromosome, 4))
    page = Page(scored(run, vcf, genome))
    assert "tallest letter 0<" in page.text
    assert '<use href="#' not in page.text


def test_wrong_reports_are_refused_before_any_work(
    run: Path, genome: Path, chromosome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vcf = write_vcf(tmp_path / "in.vcf", random_rows(chromosome, 4))
    start = ["variants", str(run), str(vcf), "--genome", str(genome)]
    start += ["--out", str(tmp_path / "out.tsv"), "--report"]
    (tmp_path / "top.html").write_text("kept")
    for options, message in [
        ([str(tmp_path / "top.pdf")], "top.pdf: expected a name that ends in .html"),
        ([str(tmp_path / "top.html")], "top.html: exists"),
        ([str(tmp_path / "no" / "top.html")], "no"),
        ([str(tmp_path / "new.html"), "--ray", "127.0.0.1:1"], "--report with --ray"),
        ([str(tmp_path / "new.html"), "--report-top", "0"], "--report-top 0, expected 1 to 1,000"),
    ]:
        assert main([*start, *options]) in (1, 2)
        assert message in capsys.readouterr().err
    assert main([*start[:-1], "--report-top", "5"]) == 2
    assert "--report-top 5 belongs to a report; add --report" in capsys.readouterr().err
    assert (tmp_path / "top.html").read_text() == "kept"
    assert not (tmp_path / "out.tsv").exists()
