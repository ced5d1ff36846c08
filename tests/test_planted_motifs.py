"""A trained model has learned the motifs that were planted, and every job finds them again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trained_run import TrainedRun
from variant_cases import other_base, write_vcf

from bioq import dna
from bioq.variants import VariantJob, write_variants


@pytest.mark.parametrize("target", ["first", "second"])
def test_alleles_that_destroy_a_planted_motif_have_the_most_negative_diffs_of_its_target(
    trained: TrainedRun, tmp_path: Path, target: str
) -> None:
    motif = trained.motifs[target]
    start = 300
    bases = dna.decode(np.random.default_rng(11).integers(0, 4, 600).astype(np.uint8))
    bases = bases[:start] + motif + bases[start + len(motif) :]
    (tmp_path / "genome.fa").write_text(f">chr1\n{bases}\n")
    inside = range(start, start + len(motif))
    around = [position for position in range(285, 320) if position not in inside]
    rows = [
        ("chr1", position + 1, f"v{position}", bases[position], other_base(bases[position]))
        for position in [*around, *inside]
    ]
    gone = len(rows)
    rows.append(("chr1", start, "gone", bases[start - 1 : start + len(motif)], bases[start - 1]))
    out = tmp_path / "scores.tsv"
    vcf = write_vcf(tmp_path / "in.vcf", rows)
    write_variants(VariantJob(trained.run, vcf, tmp_path / "genome.fa"), out)
    table = pd.read_csv(out, sep="\t", keep_default_na=False)
    other = next(name for name in trained.motifs if name != target)
    diff, other_diff = (table[f"diff:{name}"].to_numpy(float) for name in (target, other))

    assert (table["status"] == "scored").all()
    hurts = np.array([int(name[1:]) in inside if name != "gone" else True for name in table["id"]])
    assert diff[gone] < -0.5
    assert table["top_target"][gone] == target
    assert hurts[diff.argmin()]
    assert abs(diff[hurts]).mean() > 3 * abs(diff[~hurts]).mean()
    assert abs(other_diff[hurts]).max() < 0.5 * -diff[gone]
