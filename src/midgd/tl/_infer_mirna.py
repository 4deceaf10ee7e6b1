from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.results import Details, check_key, mirna_var, obs_columns, result_uns, write_obsm
from midgd.adata.stream import Groups, pick_device, stream
from midgd.counts import CountView, read_counts
from midgd.features import align_genes
from midgd.infer import InferenceOptions, Predictor
from midgd.reference import Reference, load
from midgd.tl._copy import copy_of
from midgd.tl._judge import InMemory, answer_rows
from midgd.tl._modality import mrna_of
from midgd.tl._output import PartialOutput
from midgd.tl._request import Request
from midgd.tl._to_file import made_with, obs_of
from midgd.tl._zero_shot import with_zero_shot

if TYPE_CHECKING:
    from mudata import MuData


def infer_mirna(
    adata: AnnData | MuData | pd.DataFrame,
    reference: str | Path | Reference = "default",
    *,
    layer: str | None = None,
    use_raw: bool = False,
    gene_symbols: str | None = None,
    level: str | None = "mature",
    units: str = "log1p_cpm",
    groupby: str | None = None,
    uncertainty: bool = False,
    key_added: str = "mirna",
    device: str = "auto",
    batch_size: int | None = None,
    copy: bool = False,
    refine: int | None = None,
    output: str | Path | None = None,
    counts: str = "check",
    sample_kind: str = "auto",
    modality: str | None = None,
    zero_shot: bool | Sequence[str] = False,
) -> AnnData | MuData | pd.DataFrame | None:
    r"""Infer the miRNA profile of cells or samples from their mRNA counts.

    The latent of every cell is found by maximum a posteriori from its counts (Zamani et al. 2026); its miRNA is read
    from the latent and from the cell's denoised profile (:mod:`midgd.nn.readout`). Values are predictions: they show
    which miRNAs go with this mRNA in the training samples, not what was measured in this cell.

    Parameters
    ----------
    adata
        AnnData with counts (in memory or backed), MuData, of which the modality with the mRNA is used and gets the
        results, or a DataFrame of counts, cells x genes. Raw counts, TPM and RSEM
        are fine; log-normalised or scaled values are refused. Only genes are counted: what ``var`` calls antibodies,
        guides or peaks (``feature_types``) is left out. The docs have a table of inputs.
    reference
        Name of a reference, path of a saved one, or a loaded :class:`~midgd.reference.Reference`.
    layer
        Layer that holds the counts; default ``X``.
    use_raw
        Take the counts from ``adata.raw``.
    gene_symbols
        Column of ``var`` with symbols or Ensembl ids; default ``var_names``.
    level
        ``"mature"`` (hsa-miR-21-5p) or ``"stem-loop"`` (hsa-mir-21); None for the finest that the reference has.
    units
        ``"log1p_cpm"`` (natural log of 1 + counts per million miRNA reads), ``"cpm"`` or ``"share"``.
    groupby
        Column of ``obs``: counts are summed per group first, every cell gets its group's values, and the table of
        groups goes to ``uns[key_added]["groups"]``. Recommended below about 500 counts a cell.
    uncertainty
        Also write standard deviations: the model's errors on held-out samples of the same depth, wider for rows that
        are unlike the samples it knows. :func:`midgd.get.interval` makes intervals of them.
    key_added
        Name of the results; an earlier result of the same name is replaced. Anything else there is replaced with a
        warning.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    batch_size
        Rows read at a time; None chooses by memory. It does not change the result.
    copy
        Return a copy of the AnnData with the results instead of writing into it; of a backed AnnData, a copy in memory.
    refine
        Upper limit of the optimiser's steps per cell; None goes on to the optimum. 0 takes the encoder's guess: about
        twice as fast, and close (the model card has the loss). Out-of-domain scores and deviations are measured at
        the optimum: below 5 steps they are too high.
    output
        File ``.zarr`` or ``.h5ad`` to write the results to, chunk by chunk, instead of into ``adata``: an AnnData of
        miRNAs with ``obsm["X_midgd"]``, ``obsm["mirna_weights"]`` (an array; the names of its columns are in ``uns``),
        ``obs["mirna_ood"]`` and, with ``uncertainty=True``, ``layers["sd"]``. Called again after an interruption of any
        kind, it goes on where it stopped (the counts must be the same: only their names and shape are compared); until
        then the rows are in the folder ``<output>.partial``.
    counts
        ``"check"`` refuses values that are no counts by their scale, and rows of several scales. ``"trust"`` takes
        the values as they are (missing, infinite and negative ones are still errors).
    sample_kind
        What a row is: ``"cell"``, or ``"tissue"`` for bulk samples and spots. Scores and standard deviations are
        measured by the errors on such samples; the inferred values do not depend on it. ``"auto"`` takes ``"cell"``
        where most of the first 256 rows (or groups) are nearest to a kind of cell, or have fewer than about 300 counts,
        which tell no kind: errors on cells are the larger ones. What was taken is in
        ``uns[key_added]["sample_kind"]``.
    modality
        Of a MuData, the modality with the mRNA; default: found by its name (``rna``, ``gex``) or feature types.
    zero_shot
        Add columns of mature miRNAs that were not measured in the training data: True for all that the reference can
        give, or a list of names. They are predicted from what is known of a miRNA without measuring it: its host gene,
        genes and miRNAs near it, its family, its sequence (:mod:`midgd.zeroshot`). They are less accurate than the
        others. ``var["zero_shot"]`` of :func:`midgd.get.mirna` flags them, ``var["evidence"]`` says what they rest on,
        and their accuracies and standard deviations are those of measured miRNAs that were left out with their kin.

    Returns
    -------
    None for AnnData and MuData (a copy with ``copy=True``) and with ``output=``; for a DataFrame a DataFrame of
    miRNAs, whose ``attrs["midgd"]`` has the fields ``ood``, ``nearest``, ``latent``, ``weights``, ``sd`` and
    ``provenance``. The AnnData gets

    ``obsm[key_added]``
        DataFrame float32, cells x miRNAs.
    ``obsm["X_midgd"]``, ``obsm[f"X_{key_added}"]`` for another ``key_added``
        Latents, cells x d, usable as ``use_rep`` of :func:`scanpy.pp.neighbors`.
    ``obs[f"{key_added}_ood"]``
        Out-of-domain score in [0, 1]. Above 0.5 a row is more unusual than 95 in 100 samples of known kinds at the same
        depth that the reference was not trained on: its counts do not fit, or it is like no kind of the reference
        (:mod:`midgd.infer.domain`). Near 1 it is unlike all training samples, or nearly empty.
    ``obs[f"{key_added}_nearest"]``, ``obs[f"{key_added}_nearest_probability"]``
        The kind of cell, tissue or tumour in the reference that the row is nearest to, and its probability among all of
        them: what the answer is built on. Near 1 the row is like that kind, at 0.3 it is like several or like none.
    ``obsm[f"{key_added}_weights"]``
        How each row's answer was made, six numbers from 0 to 1. ``deep_map``, ``shallow_map`` and ``counts_map`` are
        the parts of the map for deep samples, of the one for shallow samples and of the one from the counts as they
        are; they sum to 1. ``deep_map`` is near 1 where the counts of single genes can be trusted, and near 0 in
        shallow cells, whose answer rests on the latent. ``all_genes`` is the part that was answered from all genes and
        not from the core genes alone; ``kinds`` is how much of the profiles of known kinds was added. ``counts_kept``
        is the part of each count that was taken for molecules: 1 for UMIs and bulk samples, about 0.05 for reads of
        single cells (:mod:`midgd.infer.molecules`). Not for models without a readout.
    ``obsm[f"{key_added}_sd"]``
        Standard deviations in the same units, with ``uncertainty=True``.
    ``uns[key_added]``
        Parameters, reference and its hash, gene report, accession and held-out accuracy of each miRNA.

    Raises
    ------
    ValueError
        If the values are not counts, fewer than 500 genes match (200 where they are most of the query: a panel), or an
        argument is unknown. The AnnData is then unchanged.
    FileExistsError
        If ``output`` exists.
    BlockingIOError
        If another process writes the same ``output``.

    Examples
    --------
    >>> adata = midgd.datasets.pbmc68k_counts()  # doctest: +SKIP
    >>> midgd.tl.infer_mirna(adata, uncertainty=True)  # doctest: +SKIP
    >>> adata.obsm["mirna"]["hsa-miR-223-3p"].groupby(adata.obs["bulk_labels"]).mean()  # doctest: +SKIP
    """
    # 1. What is asked for: a wrong word must fail before the work, not after.
    model = load(reference)
    level = model.levels[0] if level is None else level
    request = Request(model, level, units, uncertainty, sample_kind, groupby, refine)
    check_key(key_added)
    if zero_shot is not False:
        request = with_zero_shot(request, zero_shot)
    # 2. Where the counts are, and where the answer goes.
    adata, copied = mrna_of(adata, modality, copy)
    _check_target(adata, copy, output, groupby)
    view = read_counts(adata, layer=layer, use_raw=use_raw, gene_symbols=gene_symbols, counts=counts)
    groups = _groups(adata, groupby)
    # 3. Its columns become the genes of the reference.
    alignment = align_genes(view.gene_names, model.genes, view.annotation)
    alignment.report.log()
    # 4. How latents and miRNAs are predicted, a chunk of rows at a time.
    options = None if refine is None else InferenceOptions(max_steps=refine)
    predictor = Predictor(model, alignment.present, device=pick_device(device), options=options, zero_shot=request.maps)
    rows = partial(stream, view, alignment, predictor, groups=groups, batch_size=batch_size)
    params: dict[str, object] = {"level": level, "units": units, "layer": layer, "use_raw": use_raw, "groupby": groupby}
    params |= {"refine": refine, "counts": counts, "sample_kind": sample_kind}
    uns = request.provenance(alignment.report, params)
    # 5. The answer to each row, into a file if that is asked for.
    if output is not None:
        with PartialOutput(Path(output), made_with(view, uns, uncertainty), len(view.obs_names)) as file:
            uns |= answer_rows(file, rows, request)
            obs = obs_of(adata, view).assign(**obs_columns(file.columns, uns, key_added))
            file.finish(obs, mirna_var(request.names, uns), result_uns(key_added, uns))
        return None
    answers = InMemory()
    uns |= answer_rows(answers, rows, request)
    # 6. Into the object of the user, which is unchanged until here.
    arrays = answers.columns
    if groups is not None:
        uns["groups"] = pd.DataFrame(arrays["values"], index=groups.names.astype(str), columns=request.names)
        arrays = {name: values[groups.codes] for name, values in arrays.items()}
    written = _write(adata, view, arrays, request.names, uns, key_added, copy and copied is None)
    return written if copied is None else copied


def _check_target(adata: AnnData | pd.DataFrame, copy: bool, output: str | Path | None, groupby: str | None) -> None:
    """Refuse before the work what cannot be written into: a backed AnnData keeps its matrix in its file."""
    if output is not None and groupby is not None:
        raise ValueError("output= writes one row per cell; groups are few: leave it out, their table is in uns.")
    if output is not None and copy:
        raise ValueError("output= writes to a file and copy=True returns a copy: choose one.")
    if output is None and isinstance(adata, AnnData) and adata.isbacked and (copy or adata.is_view):
        what = "copy=True cannot copy a backed AnnData" if copy else "a subset of a backed AnnData cannot take results"
        raise ValueError(f"{what}: call its to_memory() first, or write the results to a file with output=.")


def _groups(adata: AnnData | pd.DataFrame, groupby: str | None) -> Groups | None:
    if groupby is None:
        return None
    if not isinstance(adata, AnnData):
        raise TypeError("groupby= names a column of adata.obs and needs AnnData; sum the rows of a DataFrame yourself.")
    return Groups.from_obs(adata.obs, groupby)


def _write(
    data: AnnData | pd.DataFrame,
    view: CountView,
    arrays: dict[str, NDArray[np.float32]],
    names: list[str],
    uns: dict[str, Any],
    key: str,
    copy: bool,
) -> AnnData | pd.DataFrame | None:
    if isinstance(data, pd.DataFrame):
        values = pd.DataFrame(arrays["values"], index=view.obs_names, columns=names)
        values.attrs["midgd"] = Details(values, arrays, uns)
        return values
    target = copy_of(data) if copy else data
    write_obsm(target, arrays, names, uns, key)
    return target if copy else None
