"""Names for the card, after the tables in ../shared/data/knowledge (Ensembl, miRBase v22)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from dev_data import DATA
from numpy.typing import NDArray


def gene_table(symbols: list[str]) -> dict[str, object]:
    """Symbols of the training data with Ensembl ids and other names."""
    table = pd.read_csv(DATA / "knowledge/gene_id_map_ensembl_symbol_entrez_biotype.csv.gz")
    coding_first = table.sort_values("biotype", key=lambda b: b != "protein_coding", kind="stable")
    ensembl = coding_first.drop_duplicates("geneSymbol").set_index("geneSymbol")["ensemblID"].reindex(symbols)
    return {"symbol": symbols, "ensembl": ensembl.fillna("").tolist(), "aliases": _aliases(symbols)}


def _aliases(symbols: list[str]) -> dict[str, str]:
    """Former symbols (HGNC renamings frequent in single-cell data) of genes that the data has, in either direction."""
    renamed = pd.read_csv(Path(__file__).with_name("former_symbols.tsv"), sep="\t")
    own = set(symbols)
    both = [
        *zip(renamed["former"], renamed["current"], strict=True),
        *zip(renamed["current"], renamed["former"], strict=True),
    ]
    return {other: symbol for other, symbol in both if symbol in own and other not in own}


def stem_loop_table(names: list[str]) -> dict[str, object]:
    """Stem-loops of the counts (miRBase v16) by their v22 names, accessions ("" where v22 dropped them), old names."""
    known = _mirbase().drop_duplicates("precursor").set_index("precursor")["mi"]
    current = current_stem_loops(names)
    return {
        "name": current,
        "accession": known.reindex(current).fillna("").tolist(),
        "aliases": {old: new for old, new in zip(names, current, strict=True) if old != new},
    }


def current_stem_loops(names: list[str]) -> list[str]:
    """Names of v22. Since v16 a locus got a letter (203 is 203a) or a copy number (486 is 486-1), or lost one."""
    known = set(_mirbase()["precursor"])
    taken = set(names) & known
    result = []
    for name in names:
        free = [n for n in _successors(name) if n in known and n not in taken]
        result.append(name if name in known or not free else free[0])
        taken.add(result[-1])
    return result


def _successors(name: str) -> list[str]:
    match = re.fullmatch(r"(hsa-mir-\d+)(-\d+)?", name)
    if match is None:
        return []
    stem, copy = match[1], match[2] or ""
    letter = {"-1": "a", "-2": "b"}.get(copy, "")
    if copy:
        return [f"{stem}a{copy}", f"{stem}{letter}", stem]
    return [f"{stem}a", f"{stem}-1"]


def current_matures(counts: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Counts by v22 names (columns of one miRNA summed), and old name to new name."""
    by_name = dict(list(_mirbase().groupby("mature")))
    aliases = {old: new for old in counts if (new := _current_mature(old, by_name)) != old}
    return counts.rename(columns=aliases).T.groupby(level=0).sum().T, aliases


def mature_pairs(stem_loops: list[str], counts: pd.DataFrame) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Links (stem-loop, mature) and the mature miRNAs that have a stem-loop in the model and at least one read.

    Returns (n_pairs, 2) indices and a frame with ``name`` and ``accession``.
    """
    by_name = dict(list(_mirbase().groupby("mature")))
    position = {name: i for i, name in enumerate(current_stem_loops(stem_loops))}
    links, rows = [], []
    for name in counts.columns[(counts > 0).any().to_numpy()]:
        loci = [position[p] for p in by_name[name]["precursor"] if p in position] if name in by_name else []
        if loci:
            links += [(locus, len(rows)) for locus in loci]
            rows.append({"name": name, "accession": by_name[name]["mimat"].iloc[0]})
    return np.array(links), pd.DataFrame(rows)


def _current_mature(name: str, by_name: dict[str, pd.DataFrame]) -> str:
    """Name in v22; a name without arm becomes the arm with the older accession, which is the one it meant."""
    arms = [arm for arm in (f"{name}-3p", f"{name}-5p") if arm in by_name]
    if name in by_name or not arms:
        return name
    return min(arms, key=lambda arm: by_name[arm]["mimat"].iloc[0])


def _mirbase() -> pd.DataFrame:
    return pd.read_csv(DATA / "knowledge/mirbase_v22_precursor_to_mature.csv.gz")
