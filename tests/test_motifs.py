"""Motifs are read as their sources give them, and filters start from them as DanQ-JASPAR's do."""

from functools import cache

import numpy as np
import pytest
import torch
from Bio import motifs as bio_motifs
from pyjaspar import jaspardb
from scipy.stats import entropy

from bioq import dna
from bioq.cli import main
from bioq.errors import BioqError, UsageError
from bioq.genome.builds import build_named
from bioq.models import ModelSizes, build_model
from bioq.models.motif_start import initialise_filters, most_informative, starting_motifs
from bioq.motifs import (
    Motif,
    collection_for,
    danq_jaspar_motifs,
    jaspar_motifs,
    motifs_from,
    read_meme,
)

MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0001.1 FIRST
letter-probability matrix: alength= 4 w= 3 nsites= 1000000 E= 0
 0.125000  0.250000  0.500000  0.125000
 1.000000  0.000000  0.000000  0.000000
 0.100000  0.200000  0.300000  0.400000
URL http://example.org

MOTIF second
letter-probability matrix: alength= 4 w= 2 nsites= 1000000 E= 0
 0.000000  0.000000  0.000000  1.000000
 0.010000  0.010000  0.970000  0.010000
"""


@cache
def jaspar_2016():
    return jaspar_motifs("JASPAR2016")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sharp(consensus, name="motif"):
    """A motif that allows one sequence only."""
    return Motif(name, name, np.eye(4)[dna.encode(consensus)])


def new_model(name="danq", **sizes):
    torch.manual_seed(0)
    small = {"filters": 8, "dense_units": 2} | ({} if name == "deepsea" else {"lstm_units": 2})
    return build_model(name, targets=1, window_bp=200, sizes=ModelSizes(**small | sizes)).eval()


def filters_of(model):
    return next(weight for weight in model.parameters() if weight.dim() == 3).detach().numpy()


# JASPAR


def test_jaspar_2016_core_vertebrates_are_519_motifs_in_the_order_of_their_ids():
    motifs = jaspar_2016()
    assert len(motifs) == 519
    ids = [motif.matrix_id for motif in motifs]
    assert ids == sorted(set(ids))
    assert [motif.name for motif in motifs if motif.matrix_id == "MA0139.1"] == ["CTCF"]


def test_jaspar_probabilities_equal_biopythons_normalised_counts():
    database = jaspardb(release="JASPAR2016")
    expected = database.fetch_motif_by_id("MA0139.1").counts.normalize()
    database.conn.close()
    ctcf = next(motif for motif in jaspar_2016() if motif.matrix_id == "MA0139.1")
    np.testing.assert_allclose(ctcf.probabilities, np.array([expected[b] for b in "ACGT"]).T)


@pytest.mark.parametrize("release", ["JASPAR2014", "JASPAR2016"])
def test_every_position_of_a_jaspar_motif_is_a_distribution(release):
    for motif in jaspar_motifs(release, tax_group="fungi"):
        assert motif.probabilities.shape == (len(motif), 4)
        assert (motif.probabilities >= 0).all()
        np.testing.assert_allclose(motif.probabilities.sum(axis=1), 1)


def test_danq_jaspar_adds_the_six_reverse_complements_that_its_filters_match():
    # motifs/DanQ-JASPAR_TOMTOM/tomtom.txt of DanQ: what filters 98, 101, 520 and 524 match
    motifs = danq_jaspar_motifs()
    assert len(motifs) == 525
    assert motifs[98].name == "CTCF"
    assert dna.decode(motifs[101].probabilities.argmax(axis=1).astype(np.uint8)) == (
        "CTTTGTTATGCAAAT"
    )
    assert [motif.name for motif in motifs[519:]] == [
        *("Gata1", "REST", "CTCF", "GATA1::TAL1", "ESRRB", "Pou5f1::Sox2"),
    ]
    assert dna.decode(motifs[524].probabilities.argmax(axis=1).astype(np.uint8)) == (
        "ATTTGCATAACAAAG"
    )


def test_an_unknown_jaspar_release_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"'JASPAR1999' is unknown.*JASPAR2024.*JASPAR2014"):
        jaspar_motifs("JASPAR1999")


def test_an_unknown_taxonomic_group_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"group 'yeast'.*CORE.*fungi, .*vertebrates"):
        jaspar_motifs("JASPAR2014", tax_group="yeast")


# Motif


def test_information_is_two_bits_less_the_entropy():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), 20)
    rows[0], rows[1] = [1, 0, 0, 0], 0.25
    bits = Motif("m", "m", rows).information_bits()
    np.testing.assert_allclose(bits, 2 - entropy(rows, base=2, axis=1), atol=1e-12)
    np.testing.assert_allclose(bits[:2], [2, 0], atol=1e-12)


def test_reverse_complement_of_a_motif_matches_the_reverse_complement_of_its_sequence():
    turned = sharp("AACGT").reverse_complement().probabilities
    assert dna.decode(turned.argmax(axis=1).astype(np.uint8)) == "ACGTT"


# MEME files and what users type


def test_meme_file_is_read_as_biopython_reads_it(tmp_path):
    path = tmp_path / "motifs.meme"
    path.write_text(MEME)
    result = read_meme(path)
    with open(path) as file:
        expected = bio_motifs.parse(file, "minimal")
    assert [motif.matrix_id for motif in result] == [motif.name for motif in expected]
    assert [motif.name for motif in result] == ["FIRST", "second"]
    for ours, theirs in zip(result, expected, strict=True):
        counts = np.array([theirs.counts[b] for b in "ACGT"]).T
        np.testing.assert_allclose(ours.probabilities, counts / 1_000_000, atol=1e-6)


def test_meme_file_from_windows_without_optional_fields_is_read(tmp_path):
    path = tmp_path / "motifs.meme"
    path.write_bytes(
        b"MEME version 5\r\n\r\nMOTIF m\r\nletter-probability matrix:\r\n0.33 0.33 0.33 0\r\n"
    )
    (motif,) = read_meme(path)
    np.testing.assert_allclose(motif.probabilities, [[1 / 3, 1 / 3, 1 / 3, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">CTCF\nACGT\n", "not in MEME format: it has no line 'MEME version ...'"),
        ("MEME version 4\n", "holds no motif"),
        ("", "not in MEME format"),
        (MEME.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY"), ":3: the alphabet is 'ACDEFG.*DNA"),
        (MEME.replace("w= 3", "w= 4"), ":11: the matrix has 3 rows .* has w= 4"),
        (MEME.replace("0.300000", "0.700000"), ":11: row 3 of the matrix is 0.1 0.2 0.7 0.4"),
        (MEME.replace("0.970000", "nan"), ":18: the matrix has 1 rows"),
        ("MEME version 4\nMOTIF m\nletter-probability matrix:\n", ":3: the matrix has no rows"),
        (MEME.replace("second", "MA0001.1 SECOND"), ":17: the motif ID 'MA0001.1' is in line 10 "),
        (MEME.replace("MOTIF second\n", ""), ":17: is a second matrix under one line MOTIF"),
    ],
)
def test_a_file_that_holds_no_proper_motifs_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "motifs.meme"
    path.write_text(text)
    with pytest.raises(BioqError, match=message) as caught:
        read_meme(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["motifs", "{run}", "{data}", "--against", "{meme}", "--out", "{out}"],
        ["motif-effects", "{run}", "{data}", "--motifs", "{meme}", "--out", "{out}"],
        ["attribution", "{run}", "ACGT", "--motifs", "{meme}", "--out", "{out}.bed"],
        ["serve", "{run}", "--motifs", "{meme}", "--port", "0"],
        ["train", "{data}", "--motifs", "{meme}", "--out", "{out}"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_refuses_two_motifs_of_one_id(words, trained, tmp_path, capsys):
    meme = tmp_path / "two.meme"
    meme.write_text(MEME.replace("second", "MA0001.1 SECOND"))
    given = {"run": trained.run, "data": trained.data, "meme": meme, "out": tmp_path / "out"}
    assert main([word.format(**given) for word in words]) == 1
    expected = f"bioq: {meme}:17: the motif ID 'MA0001.1' is in line 10 too; expected a different"
    assert capsys.readouterr().err.splitlines()[-1].startswith(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["two.meme"]


def test_a_binary_or_missing_meme_file_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\x00\x80")
    with pytest.raises(
        BioqError, match="binary:1: has the byte 0xFF, which is not UTF-8 text; expected motifs"
    ):
        read_meme(tmp_path / "binary")
    with pytest.raises(BioqError, match="missing: no such file"):
        read_meme(tmp_path / "missing")


def test_motifs_are_named_by_release_by_release_and_group_or_by_path(tmp_path):
    (tmp_path / "motifs.meme").write_text(MEME)
    assert len(motifs_from(str(tmp_path / "motifs.meme"))) == 2
    assert len(motifs_from("JASPAR2014")) == 205
    assert len(motifs_from("jaspar2014:fungi")) == 177


def test_text_that_names_no_motifs_is_refused():
    with pytest.raises(UsageError, match=r"'ctcf\.meme': neither a file nor a JASPAR release"):
        motifs_from("ctcf.meme")


def test_only_danq_jaspar_starts_from_motifs_unless_told_otherwise():
    assert starting_motifs("danq", None) == []
    assert starting_motifs("danq-jaspar", "none") == []
    assert len(starting_motifs("danq-jaspar", None)) == 525
    assert len(starting_motifs("deepsea", "JASPAR2014")) == 205


# Filters


def test_danq_jaspar_starts_exactly_its_525_filters_from_motifs_and_leaves_the_rest():
    model = new_model("danq-jaspar", filters=1024)
    before = filters_of(model).copy()
    bias_before = model.conv.bias.detach().numpy().copy()
    placed = initialise_filters(model, danq_jaspar_motifs(), generator=generator())
    after, bias = filters_of(model), model.conv.bias.detach().numpy()
    assert [motif_place.filter for motif_place in placed] == list(range(525))
    for motif_place in placed:
        stretch = slice(motif_place.start, motif_place.start + len(motif_place.motif))
        assert 3 <= motif_place.start <= 30 - len(motif_place.motif) - 3
        np.testing.assert_allclose(
            after[motif_place.filter][:, stretch],
            motif_place.motif.probabilities.T - 0.25,
            atol=1e-7,
        )
        before[motif_place.filter][:, stretch] = after[motif_place.filter][:, stretch]
    np.testing.assert_array_equal(after, before, "everything around the motifs is as it was")
    assert ((bias[:525] >= -1) & (bias[:525] < 0)).all()
    assert abs(bias[:525].mean() + 0.5) < 0.05
    np.testing.assert_array_equal(bias[525:], bias_before[525:])


def test_offsets_reach_both_ends_of_their_range():
    model = new_model("danq-jaspar", filters=1024)
    placed = initialise_filters(model, [sharp("A" * 20)] * 200, generator=generator())
    assert {motif_place.start for motif_place in placed} == {3, 4, 5, 6, 7}


@pytest.mark.parametrize("name", ["bioq", "danq", "danq-jaspar", "deepsea"])
def test_the_filter_of_a_motif_peaks_where_the_motif_is_planted(name):
    model = new_model(name, filters=64)
    motif = sharp("TGACTCAG", "AP1")
    (placed,) = initialise_filters(model, [motif], generator=generator())
    codes = np.random.default_rng(3).integers(0, 4, (20, 200), dtype=np.uint8)
    planted = np.random.default_rng(4).integers(30, 160, 20)
    for row, at in enumerate(planted):
        codes[row, at : at + len(motif)] = dna.encode("TGACTCAG")
    convolution = next(iter(model.children()))
    with torch.no_grad():
        activation = convolution(torch.from_numpy(dna.one_hot(codes)).float())[:, placed.filter]
    np.testing.assert_array_equal(activation.argmax(dim=1).numpy() + placed.start, planted)


def test_more_motifs_than_places_are_chosen_at_random_and_keep_their_order():
    motifs = [sharp("ACGT", str(number)) for number in range(100)]
    chosen = [
        [
            int(placed.motif.name)
            for placed in initialise_filters(new_model(filters=16), motifs, **g)
        ]
        for g in (
            {"generator": generator(1)},
            {"generator": generator(1)},
            {"generator": generator(2)},
        )
    ]
    assert len(chosen[0]) == 16 * 525 // 1024
    assert chosen[0] == sorted(set(chosen[0]))
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_a_motif_longer_than_the_filter_keeps_its_most_informative_stretch():
    rows = np.full((20, 4), 0.25)
    rows[9:15] = np.eye(4)[dna.encode("GATTAC")]
    motif = Motif("m", "m", rows)
    np.testing.assert_array_equal(most_informative(motif, 6).probabilities, rows[9:15])
    (placed,) = initialise_filters(new_model("deepsea"), [motif], generator=generator())
    assert (placed.start, len(placed.motif)) == (0, 8)
    assert placed.motif.information_bits().sum() == 12


def test_a_motif_nearly_as_long_as_the_filter_stays_inside_it():
    for length in (7, 8, 12, 13):
        model = new_model(filters=64, filter_width=13)
        for placed in initialise_filters(model, [sharp("A" * length)] * 20, generator=generator()):
            assert 0 <= placed.start <= 13 - length


def test_no_motif_at_all_is_refused():
    with pytest.raises(UsageError, match="no motif to start filters from"):
        initialise_filters(new_model(), [], generator=generator())


@pytest.mark.parametrize(
    ("build", "group"),
    [("sacCer3", "fungi"), ("ce11", "nematodes"), ("dm6", "insects"), ("GRCh38", "vertebrates")],
)
def test_the_collection_for_a_genome_build_has_the_motifs_of_its_species(build: str, group: str):
    assert build_named(build) is not None, "a build that BioQ knows"
    ids = [motif.matrix_id for motif in motifs_from(collection_for(build))]
    assert ids == [motif.matrix_id for motif in jaspar_motifs(tax_group=group)]


def test_the_collection_for_an_unknown_genome_is_that_of_vertebrates():
    assert collection_for("") == collection_for("unknown") == "JASPAR2024:vertebrates"
