"""The Variant page and its results, without a browser."""

import csv
import gzip
import html
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from test_variants import iupac_rows
from variant_cases import make_chromosome, read_tsv, write_vcf
from web_fixtures import SITE_START

from bioq import dna
from bioq.genome import open_genome
from bioq.plots.variants import plot_allele, plot_alleles
from bioq.variants import COLUMNS, VariantJob, VariantOptions, write_variants
from bioq.web import Service, create_app, open_service
from bioq.web.answers import Alleles
from bioq.web.pages.allele_table import Filter, chosen_rows, title_of

NUMBERS = [name for name, kind in COLUMNS.items() if kind == "number"]
OTHER = {"A": "G", "C": "T", "G": "A", "T": "C"}


@pytest.fixture
def vcf(genome: Path, tmp_path: Path) -> Path:
    """Substitutions over the planted motif, an indel, one at the contig's end and three faults."""
    with open_genome(genome) as opened:
        bases = dna.decode(opened.read("chr1", SITE_START, SITE_START + 11))
        first = dna.decode(opened.read("chr2", 0, 1))
    rows = [("chr1", SITE_START + n + 1, base, OTHER[base]) for n, base in enumerate(bases)]
    rows += [
        ("chr1", SITE_START + 1, bases[:3], bases[0]),
        ("chr2", 1, first, OTHER[first]),
        ("chr1", SITE_START + 1, OTHER[bases[0]], "ACGT"),
        ("chrNone", 5, "A", "C"),
        ("chr1", SITE_START + 2, bases[1], "<DEL>"),
    ]
    file = tmp_path / "few.vcf"
    file.write_text(
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\n"
        + "".join(f"{a}\t{pos}\tv{n}\t{ref}\t{alt}\n" for n, (a, pos, ref, alt) in enumerate(rows))
    )
    return file


@pytest.fixture
def expected(trained, genome: Path, vcf: Path, tmp_path: Path) -> pd.DataFrame:
    """What `bioq variants` writes for the same VCF."""
    out = tmp_path / "out.tsv"
    write_variants(VariantJob(trained.run, vcf, genome), out)
    return pd.read_csv(out, sep="\t", comment="#", keep_default_na=False, na_values="NA")


def upload(client: TestClient, content: bytes, name: str = "few.vcf") -> httpx2.Response:
    return client.post("/variant", files={"vcf": (name, content)})


def paste(client: TestClient, text: str) -> httpx2.Response:
    return client.post("/variant", files={"text": (None, text)})


def cells(page: str) -> list[list[str]]:
    """Return the text of the rows of a page's last table."""
    body = page[page.rindex("<tbody>") :]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return [
        [
            html.unescape(re.sub(r"<[^>]*>", "", cell)).replace("−", "-")
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def error_of(page: str) -> str:
    result = re.search(r'<p class="error"[^>]*role="alert">(.*?)</p>', page)
    assert result is not None
    return html.unescape(result[1])


def test_the_pages_show_what_the_command_line_writes(client, vcf, expected):
    answer = upload(client, vcf.read_bytes())
    assert answer.status_code == 200  # followed to the job
    address = str(answer.url)
    shown = {int(row[-1]): row for row in cells(client.get(f"{address}?sort=number").text)}
    assert len(shown) == len(expected) == 16
    for number, row in enumerate(expected.to_dict("records"), start=1):
        _, name, change, target, id, status, _ = shown[number]
        assert name == f"{row['chrom']}:{row['pos']}:{row['ref']}>{row['alt']}"
        assert (id, status.split(",")[0], target) == (row["id"], row["status"], row["top_target"])
        page = client.get(f"{address}/alleles/{number}").text
        if np.isnan(row["max_abs_diff"]):
            assert change == ""
            assert f"Not scored: {row['status']}." in page
            continue
        assert float(change) == pytest.approx(row[f"diff:{target}"], abs=5e-5)
        assert abs(float(change)) == pytest.approx(row["max_abs_diff"], abs=5e-5)
        scores = {cell[0]: [float(value) for value in cell[1:]] for cell in cells(page)}
        assert scores == {
            name: pytest.approx(
                [row[f"{score}:{name}"] for score in ("ref", "alt", "diff", "log2_odds_ratio")],
                abs=5.1e-5,
            )
            for name in ("first", "second")
        }


def test_a_substitution_in_the_planted_motif_is_the_largest_change_and_a_fall(client, vcf):
    first = cells(upload(client, vcf.read_bytes()).text)[0]
    assert first[3] == "first"
    assert float(first[2]) < -0.1
    assert first[1].startswith("chr1:25")


def test_statuses_are_counted_and_explained(client, vcf, expected):
    page = upload(client, vcf.read_bytes()).text
    assert "16 alleles, 13 scored." in page
    for status, count in expected["status"].value_counts().items():
        assert re.search(rf"<td>{count}</td><td[^>]*><a[^>]*>{status}</a></td>", page)
    assert "the genome has no contig of this name" in page


def test_a_wrong_ref_says_what_the_genome_has(client, vcf, expected):
    address = upload(client, vcf.read_bytes()).url
    row = expected[expected["status"] == "ref_mismatch"].iloc[0]
    page = client.get(f"{address}/alleles/{row.name + 1}").text
    assert f"The genome has <b>{row['genome_ref']}</b> at this position." in page
    assert f"ref_mismatch, genome has {row['genome_ref']}" in client.get(str(address)).text


def test_one_pasted_variant_leads_to_its_allele(client, vcf):
    line = vcf.read_text().splitlines()[2].split("\t")
    page = paste(client, f"{line[0]}:{int(line[1]):,}:{line[3]}>{line[4]}").text
    assert f"<h1>{line[0]}:{line[1]}:{line[3]}&gt;{line[4]}</h1>" in page
    assert [row[0] for row in cells(page)] == ["first", "second"]


def test_a_compressed_vcf_is_the_same(client, vcf):
    plain = cells(upload(client, vcf.read_bytes()).text)
    assert cells(upload(client, gzip.compress(vcf.read_bytes()), "few.vcf.gz").text) == plain


def test_the_table_is_what_the_files_hold(client, vcf, expected):
    answer = upload(client, vcf.read_bytes())
    for ending in ("tsv", "tsv.gz", "parquet"):
        content = client.get(f"{answer.url}/result.{ending}").content
        if ending == "parquet":
            result = pd.read_parquet(io.BytesIO(content))
        else:
            text = gzip.decompress(content) if ending == "tsv.gz" else content
            result = pd.read_csv(io.BytesIO(text), sep="\t", comment="#", keep_default_na=False)
        assert list(result["status"]) == list(expected["status"])
        np.testing.assert_allclose(
            pd.to_numeric(result["diff:first"], errors="coerce"), expected["diff:first"], atol=1e-6
        )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "there is no variant"),
        ("chr1:25:A>", "line 1: 'chr1:25:A>' is not a variant"),
        ("chr1 5 A C\nchr1 x A C", "line 2"),
        ("chr1:7:A>C\n" * 10_001, "10,001 alleles are more than the 10,000"),
    ],
)
def test_lines_with_a_fault_stay_in_the_form_with_what_is_wrong(client, text, line):
    answer = paste(client, text)
    assert answer.status_code == 422
    assert line in error_of(answer.text)
    assert 'aria-describedby="text-hint text-error"' in answer.text
    field = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", answer.text, re.DOTALL)
    assert html.unescape(field[1]) == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "the file is empty"),
        (b"BCF\x02\x02" + bytes(50), "VCF: is BCF"),
        (gzip.compress(b"BCF\x02\x02" + bytes(50), mtime=0), "VCF: is BCF"),
        (gzip.compress(gzip.compress(b"chr1\t5\t.\tA\tC\n", mtime=0), mtime=0), "compressed twice"),
        (b"chr1\t5\t.\tA\n", "VCF:1"),
        (b"chr1\t5\t.\tA\tC\n" * 10_001, "10,001 alleles are more than the 10,000"),
        (gzip.compress(b"#" * 1000, mtime=0)[:-20], "cut short"),
    ],
)
def test_a_file_with_a_fault_is_refused_and_does_not_stay(client, service, content, line):
    before = set(Path(service.jobs.new_folder()).parent.iterdir())
    answer = upload(client, content)
    assert answer.status_code == 422
    assert line in error_of(answer.text)
    assert 'aria-describedby="vcf-hint vcf-error"' in answer.text
    assert set(next(iter(before)).parent.iterdir()) == before


def test_a_file_that_expands_without_end_is_refused(service):
    limits = replace(service.limits, vcf_bytes=1 << 20)
    small = create_app(replace(service, limits=limits))
    with TestClient(small, base_url="http://127.0.0.1") as client:
        answer = upload(client, gzip.compress(b"#" * (64 << 20)), "bomb.vcf.gz")
    assert answer.status_code == 422
    assert "larger than 1 MiB decompressed" in error_of(answer.text)


def test_no_file_is_an_error_in_words(client):
    answer = client.post(
        "/variant",
        content=b'--x\r\nContent-Disposition: form-data; name="vcf"; filename=""\r\n'
        b"\r\n\r\n--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 422
    assert "no file is chosen" in error_of(answer.text)


def test_too_much_that_waits_is_told_to_come_back(client, service, monkeypatch):
    monkeypatch.setattr(service.queue, "_waiting_jobs", 0)
    answer = paste(client, "chr1:7:A>C")
    assert answer.status_code == 429
    assert "try again" in error_of(answer.text)
    assert answer.headers["retry-after"] == "5"


@pytest.fixture(scope="module")
def no_genome(trained) -> Iterator[TestClient]:
    with open_service(trained.run) as service:
        with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
            yield client


@pytest.fixture
def swapped(vcf: Path) -> Path:
    """The alleles of `vcf` with REF and ALT exchanged."""
    file = vcf.with_name("swapped.vcf")
    lines = []
    for line in vcf.read_text().splitlines():
        cells = line.split("\t")
        if "<DEL>" in line:
            continue
        if not line.startswith("#"):
            cells[3:5] = cells[4], cells[3]
        lines.append("\t".join(cells) + "\n")
    file.write_text("".join(lines))
    return file


@pytest.mark.parametrize("score_swapped", [False, True])
@pytest.mark.parametrize("field", ["vcf", "text"])
def test_swapped_alleles_are_scored_on_request_as_by_the_command(
    client, trained, genome, swapped, tmp_path, score_swapped, field
):
    out = tmp_path / "out.tsv"
    options = VariantOptions(score_swapped=score_swapped)
    write_variants(VariantJob(trained.run, swapped, genome, options=options), out)
    expected = read_tsv(out)
    assert (expected["status"] == "allele_swapped").sum() >= 10
    answer = client.post(
        "/variant",
        files={field: ("in.vcf" if field == "vcf" else None, swapped.read_bytes())},
        data={"score_swapped": "on"} if score_swapped else {},
    )
    table = client.get(f"{answer.url}/result.tsv").text
    result = pd.read_csv(io.StringIO(table), sep="\t", keep_default_na=False, na_values="NA")
    for column in expected.columns:
        if column in ("top_target", "top_diff"):
            continue  # of targets whose changes are nearly equal, either may be the first
        if ":" in column or column in NUMBERS:
            np.testing.assert_allclose(result[column], expected[column], atol=2e-5)
        else:
            assert result[column].tolist() == expected[column].tolist()
    page = html.unescape(answer.text)
    if score_swapped:
        assert "scored only on request, as here; the change is still ALT minus REF" in page
    else:
        assert "choose “Score alleles if the genome has ALT” in the form" in page
        number = expected["status"].tolist().index("allele_swapped") + 1
        one = client.get(f"{answer.url}/alleles/{number}").text
        assert "Not scored: allele_swapped." in one


def test_the_form_keeps_its_choices_when_it_refuses(client):
    asked = client.post(
        "/variant", files={"text": (None, "rubbish")}, data={"score_swapped": "on"}
    ).text
    assert asked.count('name="score_swapped" checked') == 2
    assert 'name="score_swapped" checked' not in paste(client, "rubbish").text


def test_without_a_genome_the_page_says_how_to_give_one(no_genome):
    page = no_genome.get("/variant")
    assert page.status_code == 200
    assert "--genome" in page.text
    assert "<form" not in page.text
    for answer in (paste(no_genome, "chr1:7:A>C"), upload(no_genome, b"chr1\t7\t.\tA\tC\n")):
        assert answer.status_code == 422
        assert "variants need a genome" in error_of(answer.text)


def test_examples_are_real_on_the_genome_and_show_what_can_happen(client):
    page = client.get("/variant").text
    one, several = map(html.unescape, re.findall(r'data-example="([^"]*)"', page))
    assert "<b>scored</b>" in paste(client, one).text
    rows = cells(paste(client, several).text)
    assert sorted(row[5].split(",")[0] for row in rows) == sorted(
        ["scored"] * 5 + ["ref_mismatch", "no_contig"]
    )
    filled = client.get("/variant?example=several").text
    field = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", filled, re.DOTALL)
    assert html.unescape(field[1]) == several


def test_iupac_codes_of_the_genome_are_shown_and_scored_as_by_the_command(trained, tmp_path):
    letters, rows = iupac_rows(make_chromosome(2000))
    genome = tmp_path / "iupac.fa"
    genome.write_text(f">1\n{letters}\n")
    vcf, out = write_vcf(tmp_path / "in.vcf", rows), tmp_path / "out.tsv"
    write_variants(VariantJob(trained.run, vcf, genome), out)
    expected = read_tsv(out)
    with open_service(trained.run, genome) as opened:
        with TestClient(create_app(opened), base_url="http://127.0.0.1") as client:
            answer = upload(client, vcf.read_bytes())
            table = cells(client.get(f"{answer.url}?sort=number").text)
            page = client.get(f"{answer.url}/alleles/2").text
            lines = [f"1:{row[1]}:{row[3]}>{row[4]}" for row in rows]
            api = client.post("/api/variants", json={"variants": lines}).json()["alleles"]
    assert "The genome has <b>M</b> at this position." in page
    assert len(table) == len(api) == len(expected) == 13
    for row, cell, allele in zip(expected.to_dict("records"), table, api, strict=True):
        has = f", genome has {row['genome_ref']}" if row["genome_ref"] else ""
        assert cell[-2] == row["status"] + has
        assert (allele["status"], allele["genome_ref"]) == (row["status"], row["genome_ref"])
        if row["status"] == "scored":
            for name in ("ref", "alt"):
                scores = [row[f"{name}:first"], row[f"{name}:second"]]
                assert allele["scores"][name] == pytest.approx(scores, abs=1e-5)


NAMES = [
    "HLA-A*01:01:01:01", "gi|251831106|ref|NC_012920.1|", "chr1,alt", '"q"', "scaf=1", "a&b;c%25",
    "1_(unplaced)", "[x]", "chr1:1-100", "-m", "a/b", "*x", "<z>", "a'b", "KI270728.1",
]  # fmt: skip


def test_a_contig_may_have_any_name_wherever_a_variant_or_region_is_typed(trained, tmp_path):
    bases, genome = make_chromosome(1500), tmp_path / "odd.fa"
    genome.write_text("".join(f">{name} text\n{bases}\n" for name in NAMES))
    ref, alt = bases[699], OTHER[bases[699]]
    with open_service(trained.run, genome) as opened:
        with TestClient(create_app(opened), base_url="http://127.0.0.1") as client:
            for name in NAMES:
                typed = [f"{name}:700:{ref}>{alt}", f"{name}-700-{ref}-{alt}"]
                typed += [f"{name} 700 {ref} {alt}", f"{name}\t700\trs1\t{ref}\t{alt}"]
                answer = client.post("/api/variants", json={"variants": typed}).json()
                found = [(allele["chrom"], allele["status"]) for allele in answer["alleles"]]
                assert found == [(name, "scored")] * 4
                page = paste(client, typed[0])
                assert page.status_code == 200
                assert (
                    f"<h1>{html.escape(typed[0])}</h1>".replace("&#x27;", "&#39;")
                    == re.search("<h1>.*</h1>", page.text.replace("&#34;", "&quot;")).group()
                )
                link = re.search(r'href="(/jobs/[^"]*/result.tsv)"', page.text).group(1)
                text = io.StringIO(client.get(link).text)
                table = pd.read_csv(text, sep="\t", quoting=csv.QUOTE_NONE)
                assert table["chrom"].str.removeprefix("'").tolist() == [name]
                region = {"region": f"{name}:700-703", "target": "first", "span_bp": 4}
                answer = client.post("/api/mutagenesis", json=region).json()
                assert (answer["bases"], answer["position"][0]) == (bases[699:703], 699)
                answer = client.post("/api/predict", json={"regions": [region["region"]]}).json()
                assert [window["name"] for window in answer["windows"]] == [name]
                page = client.post("/sequence", data={"text": region["region"]})
                assert page.status_code == 200


def test_what_a_visitor_wrote_is_escaped(client):
    content = b"<b>1</b>\t7\t<i>x</i>\tA\t<DEL>\n"
    assert "<b>1</b>" not in paste(client, content.decode()).text
    page = upload(
        client, b"chr1\t7\t<script>x</script>\tA\tC\n" * 2, "<script>alert(1)</script>.vcf"
    )
    assert page.status_code == 200
    for shown in (page.text, client.get(f"{page.url}?find=<script>x").text):
        assert "<script>alert" not in shown
        assert "<script>x" not in shown
    assert "&lt;script&gt;x&lt;/script&gt;" in page.text


@pytest.fixture(scope="module")
def many(service: Service) -> str:
    """The address of a job of 250 alleles."""
    bases = dna.decode(service.genome.read("chr2", 1000, 1250))
    lines = [f"chr2\t{1001 + n}\trs{n}\t{base}\t{OTHER[base]}" for n, base in enumerate(bases)]
    alleles = service.read_variant_lines("\n".join(lines))
    job = service.score_job(alleles, len(alleles), "many")
    job.future.result(timeout=60)
    return f"/jobs/{job.id}"


def test_thousands_of_alleles_come_in_pages_each_once(client, many):
    pages = [cells(client.get(f"{many}?page={number}&sort=position").text) for number in (1, 2, 3)]
    assert [len(rows) for rows in pages] == [100, 100, 50]
    assert [int(row[-1]) for rows in pages for row in rows] == list(range(1, 251))
    assert cells(client.get(f"{many}?page=99&sort=position").text) == pages[2]
    assert "Page 3 of 3" in client.get(f"{many}?page=99").text


def test_the_table_is_sorted_by_what_its_heading_says(client, many):
    rows = [row for n in (1, 2, 3) for row in cells(client.get(f"{many}?page={n}").text)]
    assert [int(row[0]) for row in rows] == list(range(1, 251))
    sizes = [abs(float(row[2])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    page = client.get(f"{many}?sort=change&up=1").text
    assert re.search(r'<th[^>]*aria-sort="ascending"><a[^>]*>largest change</a>', page)
    assert abs(float(cells(page)[0][2])) == sizes[-1]


def test_the_table_finds_places_and_ids(client, many):
    ids = {row[4] for row in cells(client.get(f"{many}?find=RS17").text)}
    assert ids == {"rs17", *(f"rs17{n}" for n in range(10))}
    assert len(cells(client.get(f"{many}?find=chr2:1101:").text)) == 1
    page = client.get(f"{many}?find=nothing+like+it").text
    assert "No allele matches" in page


def test_an_address_that_makes_no_sense_shows_the_first_page(client, many):
    assert cells(client.get(f"{many}?page=-1&sort=<x>&up=7").text) == cells(client.get(many).text)


@pytest.mark.parametrize("number", ["0", "251", "x", "9" * 30, "²"])
def test_an_allele_that_is_not_there_is_a_404(client, many, number):
    answer = client.get(f"{many}/alleles/{number}")
    assert answer.status_code == 404
    assert "there is no allele" in answer.text


def test_a_job_of_another_kind_has_no_alleles(client, service):
    windows = service.read_sequences("A" * service.window_bp, pad=False)
    job = service.predict_job(windows)
    job.future.result(timeout=60)
    assert client.get(f"/jobs/{job.id}/alleles/1").status_code == 404


def test_each_dot_leads_to_its_allele_or_its_row(client, many):
    page = client.get(many).text
    links = re.findall(r'<a href="(/jobs/[^"]*)" tabindex="-1"><title>([^<]*)</title>', page)
    assert len(links) == 250
    for address, title in links[:3]:
        name = title.split(": ")[0]
        assert f"<h1>{name}</h1>" in client.get(address).text
    allele = client.get(links[0][0]).text
    for row in re.findall(r'href="#(target-\d+)" tabindex', allele):
        assert f'<tr id="{row}">' in allele


def test_pages_hold_nothing_that_their_policy_forbids(client, many):
    for page in (client.get("/variant"), client.get(many), client.get(f"{many}/alleles/1")):
        assert not re.search(
            r"<style|\sstyle=|\son[a-z]+=|<script(?! type=\"module\" src=)", page.text
        )


def test_alleles_that_were_not_scored_come_last_and_only_those_asked_for():
    result = Alleles(Path(), 2)
    result.columns |= {
        "chrom": np.array(["2", "1", "2"], dtype=object),
        "pos": np.array([5, 9, 1]),
        "id": np.array([".", ".", "rs7"], dtype=object),
        "ref": np.array(["A", "C", "G"], dtype=object),
        "alt": np.array(["T", "T", "T"], dtype=object),
        "status": np.array(["scored", "no_contig", "scored"], dtype=object),
        "top_target": np.array(["x", "", "y"], dtype=object),
        "max_abs_diff": np.array([0.1, np.nan, 0.3]),
        "top_diff": np.array([0.1, np.nan, -0.2]),
        "score_phred": np.array([20.0, np.nan, 10.0]),
    }
    assert chosen_rows(result, Filter.of({})) == [0, 2, 1]
    assert chosen_rows(result, Filter.of({"up": "0"})) == [2, 0, 1]
    assert chosen_rows(result, Filter.of({"sort": "change"})) == [2, 0, 1]
    assert chosen_rows(result, Filter.of({"sort": "change", "up": "1"})) == [0, 2, 1]
    assert chosen_rows(result, Filter.of({"sort": "position"})) == [2, 0, 1]
    assert chosen_rows(result, Filter.of({"sort": "target", "up": "0"})) == [2, 0, 1]
    assert chosen_rows(result, Filter.of({"status": "no_contig"})) == [1]
    assert chosen_rows(result, Filter.of({"find": " RS7 "})) == [2]


def test_long_alleles_are_shortened_in_titles():
    columns = {
        "chrom": np.array(["1"]),
        "pos": np.array([7]),
        "ref": np.array(["A" * 500]),
        "alt": np.array(["C"]),
    }
    assert title_of(columns, 0, 24) == "1:7:AAAAA…>C"


def test_the_figure_of_an_allele_has_each_target_at_its_values():
    random = np.random.default_rng(0)
    ratio, diff = random.normal(0, 1, (2, 500))
    figure = plot_allele([f"t{n}" for n in range(500)], diff, ratio)
    small, large = (one.get_offsets() for one in figure.axes[0].collections)
    result = {(round(x, 9), round(y, 9)) for x, y in np.concatenate([small, large])}
    assert result == {(round(x, 9), round(abs(y), 9)) for x, y in zip(ratio, diff, strict=True)}
    assert len(large) == 300
    assert large[:, 1].min() >= small[:, 1].max()
    named = figure.axes[0].texts[0]
    assert named.get_text() == f"t{np.abs(diff).argmax()}"


def test_the_figure_of_alleles_leaves_out_what_was_not_scored_and_takes_any_name():
    figure = plot_alleles(["$x$", "$x$", "$y"], np.array([0.1, np.nan, 0.3]), ["$a$", "b", "$\\c$"])
    dots = figure.axes[0].collections[-1].get_offsets()
    assert sorted(map(tuple, dots)) == [(1.0, pytest.approx(0.1)), (3.0, pytest.approx(0.3))]
    assert [text.get_text() for text in figure.axes[0].texts] == ["$\\c$", "$a$"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["$x$", "$y"]


def test_nothing_changed_is_a_figure_too():
    assert plot_allele(["a", "b"], np.zeros(2), np.zeros(2)).axes[0].get_xlim() == (-1, 1)
    assert plot_alleles(["1"], np.array([np.nan]), ["a"]).axes[0].get_ylim() == (0, 1)
