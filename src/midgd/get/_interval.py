from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.adata.holder import holder
from midgd.get._mirna import table_of
from midgd.get._units import checked_units
from midgd.infer.uncertainty import interval_ends
from midgd.infer.units import in_units, log1p_cpm_of, sd_in_units
from midgd.nn.readout import MILLION

if TYPE_CHECKING:
    from mudata import MuData


def interval(adata: AnnData | MuData, level: float = 0.9, key: str = "mirna") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Central prediction intervals of inferred miRNAs.

    An interval of 90 % holds the measured value of nine in ten cells and miRNAs, if the cells are as those by which the
    errors of the reference were measured: held-out samples of known kinds, and kinds that models had not seen. Its
    width depends on the miRNA, on the depth of the cell and on how well the reference knows cells like it
    (:mod:`midgd.infer.uncertainty`). For a single miRNA of a single kind of cell it may hold more or less often.
    Of miRNAs above 10 CPM in single donors of blood, 80 to 95 % held. Donors and protocols differ, and the intervals of
    cells have that in them, so two cells of one data set differ less than the interval of each makes believe.

    Parameters
    ----------
    adata
        After ``midgd.tl.infer_mirna(adata, uncertainty=True)``; of a MuData, its modality with the results is taken.
    level
        Part of the measured values that lie inside, between 0 and 1.
    key
        The ``key_added`` of the results.

    Returns
    -------
    Lower and upper ends, two DataFrames, cells x miRNAs, in the units of the results; never below 0.

    Raises
    ------
    KeyError
        If there are no results under this key, or they have no standard deviations (a smoothed map has none), or
        what ``uns`` says of them is lost.
    ValueError
        If ``level`` is not between 0 and 1, or the table was put together from parts in different units.

    Examples
    --------
    >>> midgd.tl.infer_mirna(adata, uncertainty=True)  # doctest: +SKIP
    >>> lower, upper = midgd.get.interval(adata, level=0.9)  # doctest: +SKIP
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level!r} must be between 0 and 1: the part of the measured values that lie inside.")
    adata = holder(adata, key)
    values = table_of(adata, key)
    uns: Mapping[str, Any] = adata.uns.get(key, {})
    if "smoothing" in uns:
        spots = uns.get("smoothed_from", "mirna")
        raise KeyError(
            f"{key!r} is a map of midgd.tl.smooth_spatial, of which no intervals are known: its '{key}_map_sd' says"
            f" only how little the spots around tell. Intervals of single spots: key={spots!r}."
        )
    sd = adata.obsm.get(f"{key}_sd")
    if not isinstance(sd, pd.DataFrame):
        raise KeyError(
            f"adata.obsm['{key}_sd'] holds no standard deviations: call"
            f" midgd.tl.infer_mirna(adata, uncertainty=True, key_added={key!r})."
        )
    if not uns:
        raise KeyError(
            f"adata.uns[{key!r}] is missing, which says how long the tails of the errors are: anndata.concat needs"
            " uns_merge='first'."
        )
    units = checked_units(values, uns, key)
    # On the log scale, where errors were measured; elsewhere an interval would reach below 0.
    centre = log1p_cpm_of(values.to_numpy(np.float32), units)
    log_sd = sd_in_units(sd.reindex(columns=values.columns).to_numpy(np.float32), centre, units, inverse=True)
    ends = interval_ends(centre, log_sd, level, uns.get("tails"))
    shares = [(np.expm1(end) / MILLION).astype(np.float32) for end in ends]
    lower, upper = (pd.DataFrame(in_units(share, units), values.index, values.columns) for share in shares)
    return lower, upper
