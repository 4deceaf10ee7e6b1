"""New samples of a reference as AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.adata.names import outputs_of, positions
from midgd.adata.results import judged_as, provenance, result_arrays, write_obsm
from midgd.features import align_genes
from midgd.generate.draw import Generated, generate
from midgd.infer import Predictor
from midgd.infer.predict import sample_kind_of
from midgd.settings import logger

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from midgd.reference import Reference

KEY = "mirna"


def sample(
    reference: Reference,
    n: int,
    *,
    kind: str | Sequence[str] | None = None,
    guide: Mapping[str, float] | None = None,
    depth: float | None = None,
    level: str | None = None,
    whole: bool = False,
    seed: int = 0,
) -> AnnData:
    """Draw new samples with matched mRNA and miRNA.

    miRNA and mRNA go together as in the training samples: what a guide shows is association, not cause.

    Parameters
    ----------
    reference
        The trained model.
    n, kind, guide, depth, level, whole, seed
        See :meth:`midgd.reference.Reference.sample`.

    Returns
    -------
    AnnData of counts, n x genes of the reference.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n={n!r} must be a whole number of at least 1.")
    if depth is not None and not 0 < depth < 1e12:
        raise ValueError(f"depth={depth!r} must be the expected counts of a sample, above 0; None takes usual depths.")
    level = reference.levels[0] if level is None else level
    outputs, shifts = (None, None) if not guide else outputs_of(reference, guide, level, "guide")
    kinds = _kinds(reference, kind, n)
    drawn = generate(
        reference,
        int(n),
        np.random.default_rng(seed),
        kinds=kinds,
        outputs=outputs,
        shifts=shifts,
        depth=depth,
        whole=whole,
    )
    if not drawn.reached.all():
        missed = int((~drawn.reached).sum())
        logger.warning("the shifts of guide= were not reached in %d of %d samples", missed, n)
    params: dict[str, Any] = {"level": level, "units": "log1p_cpm", "seed": seed, "depth": depth, "whole": whole}
    if guide:
        params["guide"] = {str(name): float(shift) for name, shift in guide.items()}
    return _as_adata(reference, drawn, level, params)


def _kinds(reference: Reference, kind: str | Sequence[str] | None, n: int) -> NDArray[np.int64] | None:
    """Index of the kind of each sample."""
    if kind is None:
        return None
    names = [kind] * n if isinstance(kind, str) else list(kind)
    if len(names) != n:
        raise ValueError(f"kind= has {len(names)} names for n={n} samples: give one name for all, or one for each.")
    found = positions(names, reference.kind_names, "kind", f"kinds of reference {reference.name!r}")
    known = () if reference.density is None else np.unique(reference.density.kind)
    if absent := [name for name, index in zip(names, found, strict=True) if index not in known]:
        why = "has no density of its latents" if reference.density is None else f"has no sample of {absent[0]!r}"
        raise ValueError(f"kind= cannot be drawn: reference {reference.name!r} {why}.")
    return found


def _as_adata(reference: Reference, drawn: Generated, level: str, params: dict[str, Any]) -> AnnData:
    genes = reference.genes
    alignment = align_genes(genes.symbols, genes)
    # The signs and the nearest kind as a query of these counts gets them; latents and miRNA as they were drawn.
    prediction = Predictor(reference, np.arange(len(genes.symbols)))(drawn.counts)
    sample_kind = sample_kind_of(reference, prediction)
    arrays = result_arrays(reference, prediction, level, "log1p_cpm", False, sample_kind)
    # Mature miRNAs are not bound to their stem-loops here: that would take back part of what a guide asked for.
    arrays |= {"latent": drawn.latent, "values": drawn.mirna[:, reference.outputs(level)]}
    arrays.pop("weights", None)  # of the answer that was not taken
    obs = pd.DataFrame(index=[f"generated-{i}" for i in range(len(drawn.latent))])
    if reference.kind_names and (drawn.kind >= 0).any():
        names = pd.Index(reference.kind_names, dtype=str)
        obs["kind"] = pd.Categorical.from_codes(drawn.kind, names).remove_unused_categories()
    var = pd.DataFrame({"ensembl": list(genes.ensembl)}, index=list(genes.symbols))
    adata = AnnData(drawn.counts, obs=obs, var=var)
    uns = provenance(reference, alignment.report, level, params) | judged_as(reference, sample_kind)
    write_obsm(adata, arrays, reference.mirna_table(level)["name"], uns | {"generated": True}, KEY)
    return adata
