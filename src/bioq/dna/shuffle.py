"""Shuffled sequences that keep the number of each pair of neighbouring bases."""

from collections.abc import Iterator

import numpy as np

from bioq import dna
from bioq.options import of_type, whole_number


def dinucleotide_shuffles(codes: dna.Bytes, number: int, rng: np.random.Generator) -> dna.Bytes:
    """Return shuffled copies of a sequence, with its dinucleotides.

    Each copy has as many AA, AC, ... TT as the sequence, and its first and last base. All sequences
    with these properties are equally likely. An unknown base keeps its position; the bases between
    two unknown bases are shuffled among themselves.

    A sequence is a path through the graph that has the bases as vertices and an edge for each pair
    of neighbours. A random path that uses the same edges leaves each base last by an edge of a
    random tree towards the last base; its other edges are in random order. Source: Altschul &
    Erickson 1985, with the tree drawn as by Kandel et al. 1996, by Wilson's walks (1996).

    Args:
        codes: The sequence: `(length,)`, 0 to 4.
        number: Number of copies.
        rng: Generator of the random numbers, such as `numpy.random.default_rng(0)`.

    Returns:
        uint8 `(number, length)`.

    Raises:
        BioqError: For codes of another type or shape.
        UsageError: For a number below 0 and for another generator.
    """
    codes = dna.checked_codes(codes, axes=1)
    number = whole_number("number", number, least=0)
    of_type("rng", rng, np.random.Generator, "a generator of numpy.random.default_rng")
    shuffled = np.repeat(codes[None], number, axis=0)
    for start, end in _known(codes):
        followers = _followers(codes[start:end])
        first, last = int(codes[start]), int(codes[end - 1])
        for row in shuffled:
            row[start:end] = _random_path(followers, first, last, rng)
    return shuffled


def _known(codes: dna.Bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each stretch without unknown bases, of at least two bases."""
    unknown = np.flatnonzero(codes == dna.UNKNOWN).tolist()
    for before, after in zip([-1, *unknown], [*unknown, len(codes)], strict=True):
        if after - before > 2:
            yield before + 1, after


def _followers(codes: dna.Bytes) -> list[dna.Bytes]:
    """Return, for each base, the bases that follow it in a sequence: four arrays `(n,)`."""
    return [codes[1:][codes[:-1] == base] for base in range(4)]


def _random_path(
    followers: list[dna.Bytes], first: int, last: int, rng: np.random.Generator
) -> list[int]:
    """Return the bases of a random path from `first` to `last` that uses all followers."""
    final = _random_tree(followers, last, rng)
    ways = []  # of each base, the bases to go to, in reverse order
    for base, bases in enumerate(followers):
        rest = bases
        if base in final:
            rest = np.delete(bases, np.flatnonzero(bases == final[base])[0])
        way = rng.permutation(rest).tolist()
        ways.append([final[base], *way] if base in final else way)
    path = [first]
    at = first
    for _ in range(sum(map(len, followers))):
        at = ways[at].pop()
        path.append(at)
    return path


def _random_tree(followers: list[dna.Bytes], root: int, rng: np.random.Generator) -> dict[int, int]:
    """Return the base to which each base is left last: a random tree towards the root.

    From each base a random walk leads to the tree; of each base the step that was taken last stays,
    which erases the loops of the walk.
    """
    leaving = [bases[bases != base].tolist() for base, bases in enumerate(followers)]
    tree: dict[int, int] = {}
    for start in range(4):
        if not leaving[start]:
            continue
        steps: dict[int, int] = {}
        at = start
        while at != root and at not in tree:
            steps[at] = leaving[at][rng.integers(len(leaving[at]))]
            at = steps[at]
        at = start
        while at != root and at not in tree:
            tree[at] = steps[at]
            at = steps[at]
    return tree
