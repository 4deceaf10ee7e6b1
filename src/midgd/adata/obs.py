"""Columns of ``obs`` that a user names."""

from __future__ import annotations

import pandas as pd


def column(obs: pd.DataFrame, name: str, argument: str) -> pd.Series:
    """A column of ``obs``, or an error that lists what there is."""
    if name not in obs:
        raise KeyError(f"{argument}={name!r} is not a column of obs; it has {list(obs.columns)}.")
    return obs[name]


def labels(obs: pd.DataFrame, name: str, argument: str) -> pd.Categorical:
    """A column of labels without missing ones, as categories that occur; their order is kept."""
    values = column(obs, name, argument)
    if values.isna().any():
        raise ValueError(
            f"obs[{name!r}] is missing for {values.isna().sum():,} of {len(obs):,} rows; fill it in or drop them."
        )
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return pd.Categorical(values.astype(str))  # type: ignore[return-value]
    kept = values.cat.remove_unused_categories()
    return pd.Categorical(kept.astype(str), categories=list(kept.cat.categories.astype(str)))
