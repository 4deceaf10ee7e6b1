"""What is known of miRNAs without measuring them, as numbers, and which miRNAs are kin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from midgd.features.mirna import number_of

#: Bases within which expression of genes and miRNAs goes together: measured, 100 kb beat 20 kb and 500 kb.
NEAR, REGION = 1e5, 3e6
# Distances in multiples of the above from which on a gene has no weight.
FARTHEST = 4.0
#: Two loci of one strand are a cluster up to this distance; mates are weighted by exp(-distance / 10 kb).
CLUSTER, MATES = 50_000, 10_000.0
# Weight of a miRNA of the same number beside one of the same seed, among relatives by family.
SAME_NUMBER = 0.3
#: Columns of the descriptors that say how old a miRNA is: its number, and whether it is conserved in vertebrates.
AGE = (1, 2)
PAIRS = ("GG", "CC", "UU", "AA", "CG", "UG", "GU", "CU")


@dataclass(frozen=True)
class MirnaFacts:
    """Facts about mature miRNAs, from miRBase and GENCODE.

    Parameters
    ----------
    loci
        One row per locus of a miRNA: ``mature``, ``mimat`` (accession), ``precursor``, ``chrom``, ``start``, ``end``,
        ``strand``.
    hosts
        Pairs of ``precursor`` and ``gene`` (index of a gene of the reference), for loci inside a gene on its strand.
    genes
        Places of the genes of the reference, in their order: ``chrom`` (empty if unknown), ``start``, ``end``.
    sequences
        Accession to mature sequence (A, C, G, U), of those that are known.
    intergenic
        Stem-loops that lie in no gene of any kind.
    conservation
        Accession to how far the family is conserved: 0 hardly, 1 in mammals, 2 in vertebrates.
    """

    loci: pd.DataFrame
    hosts: pd.DataFrame
    genes: pd.DataFrame
    sequences: Mapping[str, str]
    intergenic: frozenset[str] = frozenset()
    conservation: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Descriptors:
    """M miRNAs in numbers.

    Attributes
    ----------
    values
        (M, D) what the name, the accession, the sequence and the place say; the first column is 1.
    genes
        ``"host"``, ``"near"`` and ``"region"``: weights (n_genes, M) that sum to 1, or are all 0.
    relatives
        ``"arm"``, ``"cluster"`` and ``"family"``: weights (n_outputs, M), not scaled.
    """

    values: NDArray[np.float64]
    genes: dict[str, sparse.csc_matrix]
    relatives: dict[str, sparse.csc_matrix]

    def take(self, mirnas: NDArray[np.int64] | NDArray[np.bool_]) -> Descriptors:
        """Those of some of the miRNAs."""
        parts = [{k: v[:, mirnas] for k, v in part.items()} for part in (self.genes, self.relatives)]
        return replace(self, values=self.values[mirnas], genes=parts[0], relatives=parts[1])


def describe(names: Sequence[str], outputs: Sequence[str], facts: MirnaFacts) -> Descriptors:
    """Descriptors of miRNAs by name.

    Parameters
    ----------
    names
        M mature miRNAs, in the spelling of miRBase.
    outputs
        Mature miRNAs that the reference infers, of which relatives are sought. A miRNA is no relative of itself.
    facts
        Where they are looked up; a miRNA without an entry gets what its name says.
    """
    loci = {str(name): own for name, own in facts.loci.groupby("mature")}
    empty = facts.loci.iloc[:0]
    own = [loci.get(name, empty) for name in names]
    sizes = _cluster_sizes(facts.loci)
    values = np.array([_values(name, place, facts, sizes) for name, place in zip(names, own, strict=True)], np.float64)
    return Descriptors(values, _genes(own, facts), _relatives(names, own, outputs, facts))


def _chains(loci: pd.DataFrame, gap: float) -> list[list[str]]:
    """Stem-loops along the genome, cut where there are so many bases between two."""
    ordered = loci.drop_duplicates("precursor").sort_values(["chrom", "start"])
    found: list[list[str]] = []
    last = ("", 0)
    for precursor, chrom, start, end in zip(*(ordered[c] for c in ("precursor", "chrom", "start", "end")), strict=True):
        if not found or chrom != last[0] or start - last[1] >= gap:
            found.append([])
        found[-1].append(str(precursor))
        last = (chrom, end)
    return found


def _cluster_sizes(loci: pd.DataFrame) -> dict[str, int]:
    return {name: len(chain) for chain in _chains(loci, MATES) for name in chain}


def _values(name: str, loci: pd.DataFrame, facts: MirnaFacts, cluster_sizes: Mapping[str, int]) -> list[float]:
    """The descriptors of one miRNA, about of the size of 1."""
    number, accession = number_of(name), str(loci["mimat"].iloc[0]) if len(loci) else ""
    order = int(accession[5:]) if accession.startswith("MIMAT") else 50_000  # accessions grow with the year
    sequence, chromosomes = facts.sequences.get(accession, ""), set(loci["chrom"])
    seed, n = sequence[1:8], max(len(sequence), 1)
    known, conserved = bool(sequence), facts.conservation.get(accession, 0)
    return [
        1.0,
        np.log1p(number) / 5 - 1,
        float(conserved >= 2),
        float(conserved >= 1),
        *(float(number < limit) for limit in (500, 1_000, 3_000)),
        float(bool(re.search(r"\d[a-z]", name))),
        float(len(loci) > 1),
        float(name.endswith("-5p")),
        float(name.endswith("-3p")),
        np.log1p(order) / 4 - 2,
        float(order < 1_000),
        np.log(max((cluster_sizes[p] for p in loci["precursor"]), default=1)),
        float(bool(len(loci)) and set(loci["precursor"]) <= facts.intergenic),
        float("chrX" in chromosomes),
        float("chr19" in chromosomes),
        float("chr14" in chromosomes),
        float(known),
        *((4 * sequence.count(base) / n - 1) * known for base in "ACG"),
        *(float(sequence[:1] == base) for base in "UA"),
        (n - 22.0) * known,
        (4 * sum(base in "GC" for base in seed) / 7 - 2) * known,
        *(sum(sequence[i : i + 2] == pair for i in range(n - 1)) / 5 for pair in PAIRS),
    ]


def _genes(loci: Sequence[pd.DataFrame], facts: MirnaFacts) -> dict[str, sparse.csc_matrix]:
    shape = (len(facts.genes), len(loci))
    found: dict[str, list[tuple[NDArray[np.int64], int, NDArray[np.float64]]]] = {"host": [], "near": [], "region": []}
    chrom, start, end = (facts.genes[c].to_numpy() for c in ("chrom", "start", "end"))
    by_precursor = facts.hosts.groupby("precursor")["gene"].agg(list).to_dict()
    for m, own in enumerate(loci):
        hosts = np.unique([g for p in own["precursor"] for g in by_precursor.get(p, [])]).astype(np.int64)
        found["host"].append((hosts, m, np.ones(len(hosts))))
        for at, left, right in zip(own["chrom"], own["start"], own["end"], strict=True):
            there = np.flatnonzero(chrom == at)
            distance = np.maximum(np.maximum(start[there] - right, left - end[there]), 0.0).astype(np.float64)
            for name, scale in (("near", NEAR), ("region", REGION)):
                use = (distance > 0) & (distance < FARTHEST * scale)
                found[name].append((there[use], m, np.exp(-distance[use] / scale)))
    return {name: scaled(_matrix(parts, shape)) for name, parts in found.items()}


def _relatives(
    names: Sequence[str], loci: Sequence[pd.DataFrame], outputs: Sequence[str], facts: MirnaFacts
) -> dict[str, sparse.csc_matrix]:
    position = {name: i for i, name in enumerate(outputs)}
    known = facts.loci[facts.loci["mature"].isin(position)]
    index = known["mature"].map(position).to_numpy(np.int64)
    precursor, chrom, strand = (known[c].to_numpy() for c in ("precursor", "chrom", "strand"))
    middle = ((known["start"] + known["end"]) / 2).to_numpy()
    number = np.array([_number_name(name) for name in outputs])
    accession = facts.loci.drop_duplicates("mature").set_index("mature")["mimat"].to_dict()
    seed = np.array([facts.sequences.get(accession.get(name, ""), "")[1:8] for name in outputs])
    found: dict[str, list[tuple[NDArray[np.int64], int, NDArray[np.float64]]]] = {
        "arm": [],
        "cluster": [],
        "family": [],
    }
    for m, (name, own) in enumerate(zip(names, loci, strict=True)):
        others = np.array([other != name for other in outputs], bool)
        arms = np.isin(np.arange(len(outputs)), index[np.isin(precursor, own["precursor"].to_numpy())]) & others
        mates = np.zeros(len(outputs))
        for at, line, left, right in zip(own["chrom"], own["strand"], own["start"], own["end"], strict=True):
            distance = np.where((chrom == at) & (strand == line), np.abs(middle - (left + right) / 2), np.inf)
            np.maximum.at(mates, index, np.exp(-distance / MATES) * (distance < CLUSTER))
        own_seed = facts.sequences.get(accession.get(name, ""), "")[1:8]
        family = SAME_NUMBER * (number == _number_name(name)) + (seed == own_seed) * bool(own_seed)
        for kind, weight in (("arm", arms * 1.0), ("cluster", mates * ~arms), ("family", family * ~arms)):
            use = np.flatnonzero(weight * others)
            found[kind].append((use, m, weight[use]))
    return {kind: _matrix(parts, (len(outputs), len(names))) for kind, parts in found.items()}


def kin(names: Sequence[str], facts: MirnaFacts, *, family: bool = True, cluster: bool = True) -> NDArray[np.int64]:
    """Groups of kin, (M,): miRNAs of a stem-loop, and by choice of a family (number or seed) or of a cluster.

    Kinship is passed on: who is kin to one of a group is in the group.
    """
    own = facts.loci[facts.loci["mature"].isin(set(names))]
    accession = own.drop_duplicates("mature").set_index("mature")["mimat"].to_dict()
    nodes: dict[object, int] = {}
    edges: list[tuple[int, int]] = []

    def join(a: object, b: object) -> None:
        edges.append((nodes.setdefault(a, len(nodes)), nodes.setdefault(b, len(nodes))))

    for name in names:
        join(name, name)
        if family:
            join(name, ("number", _number_name(name)))
            if seed := facts.sequences.get(accession.get(name, ""), "")[1:8]:
                join(name, ("seed", seed))
    for name, precursor in zip(own["mature"], own["precursor"], strict=True):
        join(name, ("precursor", precursor))
    if cluster:
        for chain in _chains(own, CLUSTER):
            for first, second in pairwise(chain):
                join(("precursor", first), ("precursor", second))
    a, b = np.array(edges).T
    graph = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(len(nodes), len(nodes)))
    group = sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.array([group[nodes[name]] for name in names], np.int64)


def scaled(weights: sparse.csc_matrix) -> sparse.csc_matrix:
    """Weights whose columns sum to 1, or are all 0."""
    total = np.asarray(weights.sum(0)).ravel()
    return sparse.csc_matrix(weights @ sparse.diags(1.0 / np.where(total > 0, total, 1.0)))


def _matrix(
    parts: list[tuple[NDArray[np.int64], int, NDArray[np.float64]]], shape: tuple[int, int]
) -> sparse.csc_matrix:
    rows = np.concatenate([r for r, _, _ in parts]) if parts else np.zeros(0, np.int64)
    columns = np.concatenate([np.full(len(r), m) for r, m, _ in parts]) if parts else np.zeros(0, np.int64)
    values = np.concatenate([v for _, _, v in parts]) if parts else np.zeros(0)
    return sparse.csc_matrix((values, (rows, columns)), shape=shape)


def _number_name(name: str) -> str:
    """``let-7`` of hsa-let-7a-5p, ``mir-17`` of hsa-miR-17-5p."""
    return ("let-" if "-let-" in name else "mir-") + str(number_of(name))
