"""Which mature miRNA comes from which stem-loop, by miRBase."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

#: Human miRNAs of the current release (22.1) of miRBase (Kozomara et al. 2019, Nucleic Acids Research 47:D155).
MIRBASE = "https://www.mirbase.org/download/hsa.gff3"
_COLUMNS = ["type", "attributes"]  # the third and the ninth of a GFF3 file


def read_mirbase(path: Path) -> pd.DataFrame:
    """Links between stem-loops and mature miRNAs.

    Parameters
    ----------
    path
        GFF3 file of miRBase. A feature ``miRNA`` names its stem-loop by ``Derives_from``.

    Returns
    -------
    One row per link: ``precursor`` and ``mature`` (names), ``mimat`` and ``mi`` (their accessions).

    Raises
    ------
    ValueError
        If the file is not such a table.
    """
    try:
        table = pd.read_csv(path, sep="\t", comment="#", header=None, usecols=[2, 8], names=_COLUMNS, dtype=str)
    except ValueError as error:
        raise ValueError(f"{path} is not the GFF3 file of miRBase: {error}. Delete it to get it again.") from error
    found = {key: table["attributes"].str.extract(rf"(?:^|;){key}=([^;]+)")[0] for key in ("ID", "Alias", "Name")}
    stem = table["type"] == "miRNA_primary_transcript"
    names = pd.Series(found["Name"][stem].to_numpy(), index=found["ID"][stem].to_numpy())
    origin = table["attributes"].str.extract(r"(?:^|;)Derives_from=([^;]+)")[0]
    mature = (table["type"] == "miRNA") & origin.isin(names.index)
    if not mature.any():
        raise ValueError(f"{path} has no miRNA with its stem-loop; delete it to get miRBase's file again.")
    # The second locus of a mature miRNA has an ID of its own (MIMAT0000062_1); its Alias is the accession.
    columns = {"precursor": origin.map(names), "mature": found["Name"], "mimat": found["Alias"], "mi": origin}
    return pd.DataFrame(columns)[mature].reset_index(drop=True)
