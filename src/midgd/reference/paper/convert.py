"""The published models of Zamani et al. 2026 as references; nothing in their files runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from midgd._text import one_line
from midgd.features import GeneVocabulary, MirnaVocabulary
from midgd.features.genes import HUMAN_GENE_ID
from midgd.features.mirna import mirna_level
from midgd.reference.paper.decoder import build_decoder, build_prior
from midgd.reference.paper.parts import n_training_samples, read_head, read_mixture, read_trunk
from midgd.reference.paper.torch_file import read_records
from midgd.reference.reference import Card, Reference

CITATION = "Zamani et al. 2026, bioRxiv 10.64898/2026.05.29.727918"


def convert_midgd_paper(
    path: str | Path,
    *,
    genes: Sequence[str],
    mirnas: Sequence[str],
    ensembl: Sequence[str] | None = None,
    accessions: Sequence[str] | None = None,
    level: str | None = None,
    name: str | None = None,
) -> Reference:
    """Convert a published model: a file of ``torch.save`` that holds the whole module.

    The file is read without running anything in it and without the authors' code. The reference decodes the same
    shares from the same latents, and its latents are maxima of the same posterior. It has no readout of single genes,
    no arms and no calibration, so there are no standard deviations and no out-of-domain scores.

    Parameters
    ----------
    path
        The file, of the zip format of torch or the older one.
    genes
        Names of the outputs of the mRNA head, in its order: symbols or Ensembl ids.
    mirnas
        Names of the outputs of the miRNA head, in its order.
    ensembl
        Ensembl ids of the genes, ``""`` where unknown; default: the names that are ids.
    accessions
        miRBase accessions of the miRNAs, ``""`` where unknown; default: none.
    level
        What the miRNAs are, ``"stem-loop"`` or ``"mature"``. Default: mature if most names have an arm
        (``-5p``, ``-3p``), else stem-loop.
    name
        Name of the reference; default: the name of the file.

    Returns
    -------
    The reference, in memory; :meth:`Reference.save` writes it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file names anything but tensors, containers and the classes of a model; if a part of the model is not
        found or has a form that cannot be converted (heads with hidden layers, mixed activations); or if the numbers
        of names and outputs differ.

    Examples
    --------
    >>> reference = midgd.reference.convert_midgd_paper("model.pt", genes=genes, mirnas=mirnas)  # doctest: +SKIP
    >>> reference.save("paper")  # doctest: +SKIP
    """
    path = Path(path)
    card = _card(genes, mirnas, ensembl, accessions, level) | {"name": name or path.stem}
    model = read_records(path)
    try:
        heads = {"mrna": read_head(model, "mrna", genes), "mirna": read_head(model, "mirna", mirnas)}
        prior = build_prior(read_mixture(model))
        decoder = build_decoder(read_trunk(model), heads, prior)
        if not all(bool(torch.isfinite(p).all()) for p in (*decoder.parameters(), *prior.parameters())):
            raise ValueError("Some of its weights are not finite.")
        card["training"] = {"n_samples": n_training_samples(model, prior.n_latent)}
    except (ValueError, RuntimeError, TypeError, LookupError, AttributeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} cannot be converted. {one_line(error, 2_000)}") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    card["converted_from"] = {"file": path.name, "sha256": digest}
    return Reference(card, decoder.eval().requires_grad_(False), prior.eval().requires_grad_(False))


def _card(
    genes: Sequence[str],
    mirnas: Sequence[str],
    ensembl: Sequence[str] | None,
    accessions: Sequence[str] | None,
    level: str | None,
) -> Card:
    if level not in (None, "stem-loop", "mature"):
        raise ValueError(f"level={level!r} is unknown; give 'stem-loop', 'mature' or None to tell by the names.")
    symbols, names = [str(g) for g in genes], [str(m) for m in mirnas]
    ids = [m.group() if (m := HUMAN_GENE_ID.search(g)) else "" for g in symbols] if ensembl is None else list(ensembl)
    known = [""] * len(names) if accessions is None else list(accessions)
    own = level or mirna_level(names)
    # Made here for their checks: a name that occurs twice is told now, not at the first query.
    GeneVocabulary(tuple(symbols), tuple(ids))
    MirnaVocabulary(tuple(names), tuple(known))
    return {
        "version": "",
        "genes": {"symbol": symbols, "ensembl": ids},
        "mirnas": {"level": own, "name": names, "accession": known},
        "citations": [CITATION],
    }
