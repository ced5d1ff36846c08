"""Sites: stretches of high contributions, their motifs and positions, and how many are false."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from bioq import UsageError, dna
from bioq.interpretation import Site, find_sites
from bioq.motifs import Motif, jaspar_motifs

pytest.importorskip("memelite", reason="memelite is not installed")
pytest.importorskip("tangermeme", reason="tangermeme is not installed")

from tangermeme.seqlet import recursive_seqlets

CTCF = "CCACCAGGGGGCGC"  # MA1929 and its relatives


@pytest.fixture(scope="module")
def jaspar() -> list[Motif]:
    return jaspar_motifs()


def planted(
    rng: np.random.Generator, sites: dict[int, str], length: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """Return random codes with sites in them, and contributions that are high in the sites."""
    codes = rng.integers(0, 4, length).astype(np.uint8)
    contributions = rng.normal(0, 0.02, length)
    for start, bases in sites.items():
        codes[start : start + len(bases)] = dna.encode(bases)
        contributions[start : start + len(bases)] += rng.uniform(0.5, 1, len(bases))
    return codes, contributions


def near(sites: list[Site], start: int, end: int) -> list[Site]:
    return [site for site in sites if site.start < end and start < site.end]


def test_planted_sites_are_found_with_their_name_strand_and_sum(jaspar: list[Motif]) -> None:
    forward, reverse = CTCF, dna.decode(dna.reverse_complement(dna.encode(CTCF)))
    places = {300: forward, 1200: reverse}
    codes, contributions = planted(np.random.default_rng(0), places)
    sites = find_sites(codes, contributions, jaspar, target="open")
    assert [site.start for site in sites] == sorted(site.start for site in sites)
    strands = []
    for start in places:
        (site,) = near(sites, start, start + len(CTCF))
        assert site.start - 3 <= start <= site.start + 3
        assert abs(site.end - start - len(CTCF)) <= 3
        assert site.target == "open"
        assert site.motif == "CTCF"
        assert site.q < 0.05
        assert site.contribution == pytest.approx(contributions[site.start : site.end].sum())
        strands.append(site.strand)
    assert sorted(strands) == ["+", "-"]
    assert not [site for site in sites if site.motif and not near([site], 300, 314)
                and not near([site], 1200, 1214)]  # fmt: skip


def test_sites_that_lower_the_logit_are_found_too(jaspar: list[Motif]) -> None:
    codes, contributions = planted(np.random.default_rng(1), {500: CTCF})
    (raising,) = near(find_sites(codes, contributions, jaspar), 500, 514)
    (lowering,) = near(find_sites(codes, -contributions, jaspar), 500, 514)
    assert lowering.contribution == pytest.approx(-raising.contribution)
    assert (lowering.motif, lowering.strand) == (raising.motif, raising.strand)


def test_stretches_are_those_of_tangermeme_joined_across_small_gaps(jaspar: list[Motif]) -> None:
    codes, contributions = planted(np.random.default_rng(2), {200: CTCF, 900: "TGACTCA" * 3})
    contributions[206:209] = 0  # a long site with a weak part
    theirs = recursive_seqlets(contributions[None])
    ours = [site for site in find_sites(codes, contributions, jaspar) if site.contribution > 0]
    for start, end in zip(theirs["start"], theirs["end"], strict=True):
        assert any(site.start <= start and end <= site.end for site in ours)
    edges = {*theirs["start"], *theirs["end"]}
    assert {site.start for site in ours} | {site.end for site in ours} <= edges
    assert all(b.start - a.end > 4 for a, b in itertools.pairwise(ours))
    assert len(ours) < len(theirs)


def test_no_site_crosses_bases_that_were_not_explained(jaspar: list[Motif]) -> None:
    """Two regions joined with NaN between them have the sites of one long region."""
    codes, contributions = planted(np.random.default_rng(3), {400: CTCF, 993: CTCF})
    contributions[1000] = np.nan
    sites = find_sites(codes, contributions, jaspar)
    parts = near(sites, 990, 1010)
    assert len(parts) == 2
    assert parts[0].end <= 1000 < parts[1].start
    assert all(np.isfinite(site.contribution) for site in sites)
    left = find_sites(codes[:1000], contributions[:1000], jaspar)
    assert {(s.start, s.end) for s in near(left, 400, 414)} == {
        (s.start, s.end) for s in near(sites, 400, 414)
    }


def test_unknown_bases_match_nothing(jaspar: list[Motif]) -> None:
    codes, contributions = planted(np.random.default_rng(4), {400: CTCF})
    codes[:] = dna.UNKNOWN
    assert {site.motif for site in find_sites(codes, contributions, jaspar)} == {""}


@pytest.mark.parametrize("values", [np.zeros(300), np.full(300, np.nan), np.ones(10), np.ones(0)])
def test_contributions_without_a_stretch_have_no_site(
    values: np.ndarray, jaspar: list[Motif]
) -> None:
    assert find_sites(np.zeros(len(values), dtype=np.uint8), values, jaspar) == []


def test_a_site_of_scrambled_bases_has_no_name(jaspar: list[Motif]) -> None:
    """The null: the same contributions over the same bases in another order."""
    rng = np.random.default_rng(5)
    places = {50 + 60 * k: "".join(rng.permutation(list(CTCF))) for k in range(30)}
    codes, contributions = planted(rng, places)
    sites = [site for site in find_sites(codes, contributions, jaspar) if site.contribution > 1]
    assert len(sites) >= 25
    assert sum(bool(site.motif) for site in sites) <= 0.1 * len(sites)


@pytest.mark.parametrize("package", ["tangermeme.seqlet", "memelite"])
def test_a_missing_package_is_named_in_one_line(
    package: str, monkeypatch: pytest.MonkeyPatch, jaspar: list[Motif]
) -> None:
    codes, contributions = planted(np.random.default_rng(0), {300: CTCF})
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r"pip install 'bioq\[motifs\]'"):
        find_sites(codes, contributions, jaspar)


def test_finding_sites_leaves_pytorch_its_threads_prints_nothing_and_is_compiled_once(
    jaspar: list[Motif],
) -> None:
    """In a process of its own: Numba changes their number when it first runs."""
    find_sites(*planted(np.random.default_rng(0), {300: CTCF}), jaspar)
    code = (
        "import numpy, torch\n"
        "from bioq.interpretation import find_sites\n"
        "from bioq.motifs import jaspar_motifs\n"
        "values = numpy.random.default_rng(0).normal(size=500)\n"
        "find_sites(numpy.zeros(500, dtype='u1'), values, jaspar_motifs('JASPAR2024')[:40])\n"
        "from tangermeme import seqlet\n"
        "compiled = [f.stats for f in vars(seqlet).values() if hasattr(f, 'stats')]\n"
        "print(torch.get_num_threads(), sum(stats.cache_misses.total() for stats in compiled))\n"
        "assert any(stats.cache_hits for stats in compiled)"
    )
    printed = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"},
    )
    assert (printed.stdout, printed.stderr) == ("1 0\n", "")
