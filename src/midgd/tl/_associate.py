from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.adata.holder import holder
from midgd.adata.obs import column, labels
from midgd.settings import logger
from midgd.tl._association import with_category, with_number, with_survival
from midgd.tl._replicates import benjamini_hochberg
from midgd.tl._values import log_values, optional

if TYPE_CHECKING:
    from mudata import MuData

KINDS = ("survival", "category", "continuous")
FEWEST = 3  # samples, or events


def associate(
    adata: AnnData | MuData,
    column_key: str,
    *,
    event: str | None = None,
    covariates: Sequence[str] = (),
    kind: str | None = None,
    mirnas: Sequence[str] | None = None,
    min_cpm: float = 10.0,
    key: str = "mirna",
) -> pd.DataFrame:
    """Associate each inferred miRNA with survival, a category or a number of the samples of a cohort.

    Rows must be samples that are independent of each other, one of each patient: cells are not
    (:func:`midgd.tl.rank_mirnas` takes samples of cells). What is found is an association with the mRNA programme that
    goes with the miRNA; the mRNA itself may show it as well.

    Parameters
    ----------
    adata
        A cohort after :func:`midgd.tl.infer_mirna`.
    column_key
        Column of ``obs``: labels, a number, or with ``event=`` the time of follow-up.
    event
        Column of ``obs`` that says whether the event (death, relapse) was seen: booleans, or 0 and 1.
    covariates
        Columns of ``obs`` in the Cox regression beside the miRNA (age, stage); labels become indicators. For survival
        only.
    kind
        ``"survival"``, ``"category"`` or ``"continuous"``. None: survival with ``event=``, continuous for numbers of
        more than two values, else category.
    mirnas
        Only these.
    min_cpm
        Without ``mirnas``, those of at least this mean, in counts per million.
    key
        ``key_added`` of the inference.

    Returns
    -------
    DataFrame, one row for each miRNA, smallest p-value first: ``pval``, ``pval_adj`` (Benjamini and
    Hochberg), ``n``, and

    - survival (Cox regression of lifelines): ``hazard_ratio`` for one standard deviation more of log CPM, its 95 %
      interval ``lower_95`` and ``upper_95``, and ``n_events``; NaN where the fit does not converge;
    - two categories (Welch's test): ``log2_difference`` of the second and the first, named in ``attrs["groups"]``;
    - more categories (Kruskal and Wallis): ``highest`` and ``log2_range`` of the means;
    - continuous: ``spearman``.

    Rows with a missing value in one of the columns are left out, which is logged. Nothing is written.

    Raises
    ------
    KeyError
        If a column, a miRNA or the inferred values are missing.
    ValueError
        If there are too few samples, groups or events, or the columns do not fit the kind.
    ImportError
        If lifelines is not installed, for survival.

    Examples
    --------
    >>> midgd.tl.associate(adata, "days", event="died", covariates=["age"]).head()  # doctest: +SKIP
    >>> midgd.tl.associate(adata, "sample_type").head()  # doctest: +SKIP
    """
    if isinstance(covariates, str):
        covariates = [covariates]
    adata = holder(adata, key)
    values = log_values(adata, key)
    names = {"column_key": column_key} | ({"event": event} if event is not None else {})
    columns = [column(adata.obs, name, argument) for argument, name in names.items()]
    columns += [column(adata.obs, name, "covariates") for name in covariates]
    kind = _kind(columns[0], event, kind)
    if covariates and kind != "survival":
        raise ValueError("covariates= are for survival: give event=, or compare within levels of the covariate.")
    known = pd.concat(columns, axis=1).notna().all(axis=1).to_numpy()
    if not known.all():
        logger.info("associate: %d of %d rows have missing values and are left out", (~known).sum(), len(known))
    if known.sum() < FEWEST:
        raise ValueError(
            f"{known.sum()} rows have values in {[c.name for c in columns]}, at least {FEWEST} are needed."
        )
    values = _chosen(values[known], mirnas, min_cpm)
    x, obs = np.asarray(values.X, np.float64), values.obs
    attrs: dict[str, object] = {"kind": kind, "column": column_key}
    if kind == "survival":
        time, died = _survival(obs, column_key, event)
        optional("lifelines", "midgd.tl.associate with event=")
        others = obs[list(covariates)]
        indicators = pd.get_dummies(others, drop_first=True, dtype=float) if covariates else others
        table = with_survival(x, time, died, indicators).assign(n_events=int(died.sum()))
    elif kind == "category":
        label = labels(obs, column_key, "column_key")
        if label.value_counts().min() < 2 or len(label.categories) < 2:
            raise ValueError(
                f"obs[{column_key!r}] needs at least two groups of two samples; it has {dict(label.value_counts())}."
            )
        attrs["groups"] = list(label.categories)
        table = with_category(x, label)
    else:
        table = with_number(x, pd.to_numeric(obs[column_key]).to_numpy(np.float64))
    table.index = values.var_names
    table = table.assign(pval_adj=benjamini_hochberg(table["pval"].to_numpy()), n=len(x)).sort_values("pval")
    table.attrs |= attrs
    return table


def _kind(values: pd.Series, event: str | None, kind: str | None) -> str:
    if kind not in (None, *KINDS):
        raise ValueError(f"kind={kind!r} is unknown; choose among {KINDS}.")
    if (kind == "survival") != (event is not None) and kind is not None:
        raise ValueError(
            "survival needs event=, the column that says whether the event was seen; other kinds have none."
        )
    if event is not None:
        return "survival"
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if kind == "continuous" and not is_number:
        raise ValueError(f"obs[{values.name!r}] holds no numbers ({values.dtype}): kind='category'?")
    return kind or ("continuous" if is_number and values.nunique() > 2 else "category")


def _chosen(values: AnnData, mirnas: Sequence[str] | None, min_cpm: float) -> AnnData:
    if mirnas is not None:
        if unknown := [name for name in mirnas if name not in values.var_names]:
            raise KeyError(f"{unknown[0]!r} is no inferred miRNA; names are for example {list(values.var_names[:3])}.")
        return values[:, list(mirnas)]
    present = np.asarray(values.X).mean(0) >= np.log1p(min_cpm)
    if not present.any():
        raise ValueError(f"no miRNA reaches min_cpm={min_cpm:g} on average; lower it.")
    return values[:, present]


def _survival(obs: pd.DataFrame, time: str, event: str | None) -> tuple[np.ndarray, np.ndarray]:
    if not pd.api.types.is_numeric_dtype(obs[time]):
        raise ValueError(f"obs[{time!r}] must be numbers, the time of follow-up; it is {obs[time].dtype}.")
    days = obs[time].to_numpy(np.float64)
    if (days < 0).any():
        raise ValueError(f"obs[{time!r}] has {(days < 0).sum()} negative times.")
    seen = obs[event]
    if not set(pd.unique(seen)) <= {0, 1}:
        raise ValueError(f"obs[{event!r}] must be True or False, or 1 and 0; it has {list(pd.unique(seen)[:4])}.")
    died = seen.to_numpy().astype(bool)
    if died.sum() < FEWEST:
        raise ValueError(f"obs[{event!r}] has {died.sum()} events, at least {FEWEST} are needed.")
    return days, died
