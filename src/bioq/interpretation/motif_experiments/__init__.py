"""Motif experiments: what putting a motif into DNA, or taking it out, changes in the predictions.

`bioq motif-effects RUN --motifs JASPAR2024:fungi --out FOLDER` writes the folder

    motif_effects.html   page: the strongest effects, pairs
    insertion.tsv        a row per motif and target: the motif put into background windows
    ablation.tsv         a row per motif and target: the motif's sites shuffled in their windows
    pairs.tsv            with --pair: the effect of two motifs beyond the sum, by distance

An effect is a change in the logit of a target, the mean over windows, with a 95 % interval
(Student's t, over windows). Beside each effect is that of a control: scrambled motifs, or other
places of the same windows. `insertion_effects` and `ablation_effects` list the columns; `job` has
the inputs and the results.
"""
