"""midgd as a method: the mosaic of every table that a scenario allows, as the bundled reference is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.cells.pairs import sample_labels
from midgd.bench.data import PAIRED, PairedData, each_once
from midgd.bench.methods.base import Extra, Floats, Mask

if TYPE_CHECKING:
    from midgd.train import Modality, Mosaic

UNPAIRED = ("mirna-only", "mature-only")


class Midgd:
    """Decoder, MAP latents and readout.

    Parameters
    ----------
    name
        Name in the table.
    mosaic
        Train on all tables of the scenario instead of its own training data alone.
    **parts
        Names of parts that are not the default, see :class:`midgd.train.Parts`: ``readout="none"`` answers with the
        miRNA head of the decoder.
    """

    def __init__(self, name: str = "midgd", *, mosaic: bool = True, **parts: str) -> None:
        self.name, self.uses_extra, self.parts = name, mosaic, parts

    def fit(self, train: PairedData, *, seed: int = 0, extra: Extra | None = None) -> None:
        """Train a reference on the genes of the widest table and the miRNAs of the scenario."""
        from midgd.reference import Reference, minimal_card
        from midgd.train import Parts, fit, fit_encoder, fit_readout
        from midgd.train.recipe import ENCODER, N_COMPONENTS, OPTIONS, READOUT, SPEC

        extra, parts = extra or {}, Parts(**self.parts)
        # Widest first: a sample is taken from the first table that has it.
        tables = sorted([train, *(extra[name] for name in PAIRED if name in extra)], key=lambda t: -len(t.genes))
        self.genes_ = tables[0].genes
        self.train_genes_ = train.genes
        mosaic, obs = self._samples(tables, train.mirnas)
        options = parts.train_options(replace(OPTIONS, seed=seed))
        fitted = fit(mosaic, parts.spec(SPEC), n_components=parts.n_components(N_COMPONENTS), options=options)
        readout, kinds = None, None
        if (how := parts.readout_options(replace(READOUT, seed=seed))) is not None:
            unpaired = _unpaired(extra, train.mirnas)
            readout, kinds = fit_readout(
                fitted.decoder, fitted.prior, mosaic, how, unpaired=unpaired, labels=sample_labels(_kinds(obs), obs)
            )
        encoder = fit_encoder(fitted.decoder, fitted.prior, mosaic, ENCODER) if parts.encoder == "mlp" else None
        card = minimal_card(self.name, self.genes_, train.mirnas)
        self.reference_ = Reference(card, fitted.decoder, fitted.prior, readout, encoder=encoder, kinds=kinds)

    def _samples(self, tables: list[PairedData], mirnas: pd.Index) -> tuple[Mosaic, pd.DataFrame]:
        """What it trains on, and its ``obs``."""
        return _mosaic(tables, self.genes_, mirnas)

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """log1p CPM, (n, n_mirnas)."""
        from midgd.infer.units import in_units

        return in_units(self._infer(x, genes_present).share, "log1p_cpm").astype(np.float64)

    def _infer(self, x: NDArray[Any], genes_present: Mask) -> Any:
        from midgd.infer.predict import Predictor

        position = self.genes_.get_indexer(self.train_genes_)
        columns = np.flatnonzero(genes_present & (position >= 0))
        order = columns[np.argsort(position[columns])]
        return Predictor(self.reference_, position[order])(np.asarray(x)[:, order])


class CalibratedMidgd(Midgd):
    """The same with intervals: some patients do not train but tell the errors, as for the bundled reference.

    Parameters
    ----------
    name
        Name in the table.
    held_out
        Fraction of the patients of the scenario's own training data that is kept for the errors.
    """

    def __init__(self, name: str = "midgd-calibrated", *, held_out: float = 0.2) -> None:
        super().__init__(name)
        self.held_out = held_out

    def fit(self, train: PairedData, *, seed: int = 0, extra: Extra | None = None) -> None:
        """Train on the other patients, then measure errors at several depths."""
        from midgd.train import HeldOut, calibrate

        patients = train.obs["patient"].astype(str)
        known = np.unique(patients)
        chosen = np.random.default_rng(seed).permutation(known)[: max(1, round(self.held_out * len(known)))]
        others = {
            name: table.subset(~table.obs["patient"].isin(chosen).to_numpy()) for name, table in (extra or {}).items()
        }
        kept = patients.isin(chosen).to_numpy()
        super().fit(train.subset(~kept), seed=seed, extra=others)
        held_out, _ = self._samples([train.subset(kept)], train.mirnas)
        self.reference_ = replace(self.reference_, calibration=calibrate(HeldOut(self.reference_, held_out), seed=seed))

    def predict_interval(self, x: NDArray[Any], genes_present: Mask, level: float) -> tuple[Floats, Floats]:
        """Lower and upper end of the central interval in log1p CPM, (n, n_mirnas), as :func:`midgd.get.interval`."""
        from midgd.infer.predict import uncertainty
        from midgd.infer.uncertainty import interval_ends
        from midgd.infer.units import in_units

        prediction = self._infer(x, genes_present)
        sd = uncertainty(self.reference_, prediction, self.reference_.levels[0], "log1p_cpm")
        tails = None if self.reference_.calibration is None else self.reference_.calibration.tails
        return interval_ends(in_units(prediction.share, "log1p_cpm"), sd, level, tails)


def _unpaired(extra: Extra, mirnas: pd.Index) -> dict[str, Modality] | None:
    """Samples with miRNA alone, of the level of the scenario; None without any."""
    from midgd.train import Modality

    tables = [extra[name] for name in UNPAIRED if name in extra and extra[name].mirnas.isin(mirnas).any()]
    return {"mirna": Modality.stack([(t.y, t.mirnas) for t in tables], mirnas)} if tables else None


def _kinds(obs: pd.DataFrame) -> NDArray[np.str_]:
    """Kind of every sample: its cohort (of label pairs the kind), and whether it is normal tissue beside a tumour."""
    cohort, sample_type = (obs[name].to_numpy(str) for name in ("cohort", "sample_type"))
    return np.where(sample_type == "normal_adjacent", np.char.add(cohort, " normal"), cohort)


def _mosaic(tables: list[PairedData], genes: pd.Index, mirnas: pd.Index) -> tuple[Mosaic, pd.DataFrame]:
    """Every sample once, from its first table, and their ``obs``."""
    from midgd.train import Modality, Mosaic

    fresh = each_once(tables)
    mrna = Modality.stack([(t.x, t.genes) for t in fresh], genes)
    mirna = Modality.stack([(t.y, t.mirnas) for t in fresh], mirnas)
    return Mosaic({"mrna": mrna, "mirna": mirna}), pd.concat([t.obs.astype(object) for t in fresh])
