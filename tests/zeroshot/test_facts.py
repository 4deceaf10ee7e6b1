"""Descriptors and kinship against what was written into the small genome."""

from __future__ import annotations

import numpy as np
import pytest

from midgd.features.mirna import number_of
from midgd.zeroshot import describe, kin
from midgd.zeroshot.facts import CLUSTER, MATES, NEAR, SAME_NUMBER


@pytest.mark.parametrize(
    ("name", "number"),
    [("hsa-miR-181a-5p", 181), ("hsa-let-7a-2-3p", 7), ("hsa-mir-9-1", 9), ("hsa-miR-X", 0), ("MIR21", 0)],
)
def test_number(name, number):
    assert number_of(name) == number


def test_genes(world):
    host, near = (world.known.genes[name].toarray() for name in ("host", "near"))
    assert host[0, 0] == host[0, 1] == 1 and host[:, 16:].sum() == 0
    # hsa-miR-100: its own gene overlaps and is left out, the gene of its cluster mate is 1,420 bases away
    assert near[0, 0] == 0 and near[1, 0] > 0 and near[29].sum() == 0
    np.testing.assert_allclose(near[:, 0].sum(), 1)
    # hsa-miR-106 at 3,000,500: genes at 3 Mb and every 50 kb, weighted by distance, up to 400 kb
    m, start, end = world.names.index("hsa-miR-106-5p"), 3_000_500, 3_000_580
    places = world.facts.genes
    expected = np.zeros(len(places))
    for g, (chrom, left, right) in enumerate(places.itertuples(index=False)):
        distance = max(left - end, start - right, 0)
        expected[g] = np.exp(-distance / NEAR) * (chrom == "chr1") * (0 < distance < 4 * NEAR)
    np.testing.assert_allclose(near[:, m], expected / expected.sum(), rtol=1e-9)


def test_relatives(world):
    arm, cluster, family = (world.known.relatives[name].toarray() for name in ("arm", "cluster", "family"))
    a, b, c = (world.names.index(f"hsa-miR-{n}") for n in ("100-5p", "100-3p", "101-5p"))
    assert arm[:, a].nonzero()[0].tolist() == [b]
    assert cluster[c, a] == pytest.approx(np.exp(-2_000 / MATES)) and cluster[b, a] == 0
    assert set(cluster[:, a].nonzero()[0]) == {c, c + 1}
    for part in (arm, cluster, family):
        assert (np.diag(part) == 0).all()
    assert family[:, a].sum() == 0  # the other arm has the same number but is no family


def test_family_by_number_and_seed(world):
    sequences = dict(world.facts.sequences)
    first, other = world.facts.loci["mimat"].iloc[[0, 10]]
    sequences[other] = "A" + sequences[first][1:8] + "ACGUACGUACGUAC"
    facts = type(world.facts)(**{**world.facts.__dict__, "sequences": sequences})
    found = describe(["hsa-miR-100-5p", "hsa-miR-105-x"], world.names, facts).relatives["family"].toarray()
    assert found[10, 0] == 1.0 and found[[11, 12], 0].sum() == 0
    assert found[10, 1] == found[11, 1] == SAME_NUMBER  # no locus, but the number of hsa-miR-105-5p and -3p


def test_values_say_what_the_name_says(world):
    unknown = describe(["hsa-miR-4321a-3p"], world.names, world.facts)
    values = unknown.values[0]
    assert values[0] == 1 and values[1] == pytest.approx(np.log1p(4321) / 5 - 1) and np.isfinite(values).all()
    assert all(w.sum() == 0 for w in unknown.genes.values())
    assert world.known.values[0, 2] == 1 and world.known.values[1, 2] == 0  # conserved in vertebrates


def test_kin(world):
    names = world.names
    arms = kin(names, world.facts, family=False, cluster=False)
    np.testing.assert_array_equal(arms[::2], arms[1::2])
    assert len(set(arms)) == 12
    clusters = kin(names, world.facts, family=False)
    assert len(set(clusters)) == 6 and len(set(clusters[:4])) == 1
    far = world.facts.loci.assign(start=np.repeat(np.arange(12), 2) * (CLUSTER + 200))
    far["end"] = far["start"] + 80
    apart = type(world.facts)(**{**world.facts.__dict__, "loci": far})
    assert len(set(kin(names, apart, family=False))) == 12


def test_kin_by_seed(world):
    sequences = dict.fromkeys(world.facts.loci["mimat"].iloc[[0, 22]], "UAAAAAAAAC")
    facts = type(world.facts)(**{**world.facts.__dict__, "sequences": sequences})
    groups = kin(world.names, facts)
    assert groups[0] == groups[23] and groups[0] != groups[4]


def test_size_of_the_cluster(world):
    """Two stem-loops 2 kb apart are one cluster, those 1 Mb away are not."""
    column = 13
    np.testing.assert_allclose(world.known.values[:, column], np.log(2))
    alone = world.facts.loci[world.facts.loci["precursor"] == "hsa-mir-100"]
    facts = type(world.facts)(**{**world.facts.__dict__, "loci": alone})
    assert describe(["hsa-miR-100-5p"], [], facts).values[0, column] == 0
