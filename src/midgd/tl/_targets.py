"""Which genes a miRNA represses: from a table of the user, or from OmniPath."""

from __future__ import annotations

import numpy as np
import pandas as pd

from midgd.settings import settings

# Human miRNA and target pairs of miRTarBase, miRecords, TransmiR and others (Tuerei et al. 2016, Nat. Methods 13:966).
OMNIPATH = "https://omnipathdb.org/interactions?datasets=mirnatarget&organisms=9606&genesymbols=1&format=tsv"
FILE = "omnipath_mirna_targets.tsv"


def read_net(net: pd.DataFrame | None) -> pd.DataFrame:
    """Pairs as ``source``, ``target`` and ``weight``, each once; -1 where no weight is given."""
    if net is None:
        net = _omnipath()
    if not isinstance(net, pd.DataFrame) or not {"source", "target"} <= set(net.columns):
        columns = list(net.columns) if isinstance(net, pd.DataFrame) else type(net).__name__
        raise ValueError(
            f"net must be a DataFrame with the columns source (miRNA) and target (gene symbol), got {columns}."
        )
    pairs = net[["source", "target"]].astype(str)
    weight = net["weight"] if "weight" in net else -1.0
    pairs = pairs.assign(weight=weight).dropna().drop_duplicates(["source", "target"])
    weights = pairs["weight"].to_numpy(np.float64)
    if not np.isfinite(weights).all() or (weights > 0).all():
        raise ValueError("weights in net must be finite and negative for repression; leave the column out for -1.")
    return pairs


def _omnipath() -> pd.DataFrame:
    from midgd.download.fetch import fetch

    try:
        path = fetch(OMNIPATH, known_hash=None, folder=settings.data_dir, fname=FILE)
    except ConnectionError as error:
        raise ConnectionError(
            f"net=None needs OmniPath, which cannot be reached ({error.__cause__ or error}): give net=, a "
            "DataFrame with the columns source (miRNA) and target (gene symbol), "
            "for example from TargetScan or miRTarBase."
        ) from error
    table = pd.read_csv(path, sep="\t")
    return table.rename(columns={"source": "accession", "target": "uniprot"}).rename(
        columns={"source_genesymbol": "source", "target_genesymbol": "target"}
    )
