"""A small genome with known kin, and samples in which miRNAs follow their host genes and relatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from midgd.zeroshot import Descriptors, MirnaFacts, Rows, describe

N_GENES, N = 30, 80
# Clusters of two stem-loops 2 kb apart, 1 Mb from each other; every stem-loop has two arms.
STEMS = [f"hsa-mir-{100 + i}" for i in range(12)]


def _loci() -> pd.DataFrame:
    rows = []
    for i, stem in enumerate(STEMS):
        start = 1_000_000 * (i // 2) + 2_000 * (i % 2) + 500
        for arm in ("5p", "3p"):
            name = f"{stem.replace('mir', 'miR')}-{arm}"
            rows.append((name, f"MIMAT{len(rows):07d}", stem, "chr1", start, start + 80, "+"))
    return pd.DataFrame(rows, columns=["mature", "mimat", "precursor", "chrom", "start", "end", "strand"])


@dataclass(frozen=True)
class World:
    names: list[str]
    facts: MirnaFacts
    known: Descriptors
    rows: Rows
    visible: np.ndarray


@pytest.fixture(scope="module")
def world() -> World:
    """24 miRNAs of 12 stem-loops. Gene i is the host of stem-loop i for i < 8; the other four lie in no gene."""
    loci = _loci()
    starts = [1_000_000 * (i // 2) + 2_000 * (i % 2) for i in range(12)] + [3_000_000 + 50_000 * i for i in range(18)]
    genes = pd.DataFrame({"chrom": "chr1", "start": starts, "end": [s + 1_500 for s in starts]})
    genes.loc[29, "chrom"] = ""
    hosts = pd.DataFrame({"precursor": STEMS[:8], "gene": range(8)})
    rng = np.random.default_rng(3)
    sequences = {m: "".join(rng.choice(list("ACGU"), 22)) for m in loci["mimat"][:20]}
    facts = MirnaFacts(loci, hosts, genes, sequences, frozenset(STEMS[8:]), {"MIMAT0000000": 2})
    names = list(loci["mature"])
    known = describe(names, names, facts)
    factor = rng.normal(size=(N, 2))
    profile = rng.normal(size=(N, N_GENES)) + factor @ rng.normal(size=(2, N_GENES)) + 4
    stem = 1.5 * profile[:, :12] + 0.3 * factor @ rng.normal(size=(2, 12)) + 2
    target = np.repeat(stem, 2, axis=1) + 0.3 * rng.normal(size=(N, 24))
    outputs = target + 0.3 * rng.normal(size=target.shape)
    weight = rng.uniform(0.5, 1.0, N)
    rows = Rows(*(a.astype(np.float32) for a in (profile, outputs, target, weight)))
    visible = np.ones(24, bool)
    visible[5] = False
    return World(names, facts, known, rows, visible)
