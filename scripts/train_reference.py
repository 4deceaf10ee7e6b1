"""Train the bundled reference: evaluate on held-out patients first, then fit on everything.

python scripts/train_reference.py            # minutes on 2 cores; writes src/midgd/reference/bundled/default
python scripts/train_reference.py --config parts.toml --output FOLDER     # other parts: prior = "gaussian"
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from cell_pairs import CellData, kinds_table, mean_cpm, with_pairs
from dev_data import DATA, Pairs, load_both_levels, load_pairs, load_unpaired
from names import current_matures, gene_table, mature_pairs, stem_loop_table
from strangers import HALVES, Half, left_out_accuracy, strangers

from midgd import __version__
from midgd.bench.cells import Kind
from midgd.infer.predict import at_level
from midgd.infer.units import in_units
from midgd.metrics import expressed, per_feature_correlation
from midgd.nn import HEADS
from midgd.reference import Calibration, Reference
from midgd.train import (
    HeldOut,
    MatureLevel,
    Modality,
    Mosaic,
    Parts,
    calibrate,
    fit,
    fit_encoder,
    fit_mature_level,
    fit_readout,
    read_parts,
)
from midgd.train.calibrate import predict_held_out
from midgd.train.recipe import ENCODER, N_COMPONENTS, OPTIONS, PARTS, READOUT, SPEC

BUNDLED = Path(__file__).parents[1] / "src/midgd/reference/bundled/default"
# Level of the output and its modality in the mosaic.
MODALITY_OF = {"stem-loop": "mirna", "mature": "mature"}
# Single cells that the development model has not seen, which tell how wrong it is on cells.
HELD_OUT_CELLS = ("citeseq", "zanini")
CELL_DEPTHS = (None, 3_000.0, 1_000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
CITATIONS = [
    "Zamani et al. 2026, bioRxiv 10.64898/2026.05.29.727918 (miDGD)",
    "Schuster & Krogh 2023, Bioinformatics 39:btad497 (deep generative decoder)",
    "TCGA Research Network, https://www.cancer.gov/tcga (open-access tier: training data)",
    "McCall et al. 2017, Genome Research 27:1769 (microRNAome)",
    "Juzenas et al. 2017, Nucleic Acids Research 45:9290 (miRNA of sorted blood cells)",
    "de Rie et al. 2017, Nature Biotechnology 35:872 (FANTOM5 miRNA atlas)",
    "Uhlen et al. 2015, Science 347:1260419 and 2019, Science 366:eaax9198 (Human Protein Atlas, CC BY-SA 3.0)",
    "GTEx Consortium 2020, Science 369:1318 (tissue means)",
    "Martens & Stunnenberg 2013, Haematologica 98:1487 (Blueprint); ENCODE Project Consortium 2012, Nature 489:57",
    "Lizio et al. 2015, Genome Biology 16:22 (FANTOM5 CAGE)",
    "Zanini et al. 2018, PNAS 115:E12363; Aizarani et al. 2019, Nature 572:199; Darmanis et al. 2015, PNAS 112:7285;"
    " Croote et al. 2018, Science 362:1306; Smillie et al. 2019, Cell 178:714 (single cells)",
    "10x Genomics, 10k PBMCs with surface proteins, v3 chemistry (single cells)",
    "Kozomara et al. 2019, NAR 47:D155 (miRBase v22 names)",
]
log = logging.getLogger("train_reference")


def train(
    mosaic: Mosaic,
    obs: pd.DataFrame,
    card: dict,
    levels: BothLevels,
    cells: CellData | None,
    parts: Parts,
    held_out: Collection[str] = (),
    without_tables: tuple[str, ...] = (),
    allowed: Callable[[Kind, int], bool] = lambda kind, study: True,
) -> tuple[Reference, Mosaic]:
    """A reference that has seen nothing of some patients, tables and kinds, and all that it has seen."""
    level = levels.fit(held_out)
    joined, labels = mosaic, None
    if cells is not None:
        joined, labels = with_pairs(mosaic, obs, cells.pairs(without_tables, allowed), level.arms)
        card = card | {"kinds_table": kinds_table(labels, cells)}
    n_components, options = parts.n_components(N_COMPONENTS), parts.train_options(OPTIONS)
    fitted = fit(joined, parts.spec(SPEC), n_components=n_components, options=options)
    log.info("decoder fitted on %d samples", len(joined))
    readout, experts = fit_readout(
        fitted.decoder,
        fitted.prior,
        joined,
        parts.readout_options(READOUT),
        level,
        levels.unpaired(held_out),
        labels,
    )
    return Reference(card, fitted.decoder, fitted.prior, readout, level.arms, kinds=experts), joined


@dataclass(frozen=True)
class BothLevels:
    """Counts of samples at both levels (with or without mRNA), their cohorts, links, the mature part of the card.

    Further samples have stem-loop counts alone; those come with their patients.
    """

    stem_loops: pd.DataFrame
    matures: pd.DataFrame
    cohort: pd.Series
    links: np.ndarray
    card: dict
    more_stem_loops: Modality
    patients: np.ndarray

    @classmethod
    def load(cls, stem_loops: list[str]) -> BothLevels:
        stem, counts, cohort = load_both_levels()
        mature, aliases = current_matures(counts)
        links, names = mature_pairs(stem_loops, mature)
        card = names.to_dict("list") | {"aliases": aliases}
        stem = stem.reindex(columns=stem_loops, fill_value=0)
        return cls(stem, mature[names["name"]], cohort, links, card, *load_unpaired(stem_loops))

    def fit(self, held_out: Collection[str] = (), *, without_cohort: str = "") -> MatureLevel:
        """The mature level of all samples but those of held-out patients and of one cohort."""
        inside = self._outside(held_out) & (self.cohort != without_cohort).to_numpy()
        stem_loops, matures = (table[inside].to_numpy(np.float32) for table in (self.stem_loops, self.matures))
        return fit_mature_level(stem_loops, matures, self.links)

    def unpaired(self, held_out: Collection[str]) -> dict[str, Modality]:
        """Profiles of other patients at each level, with or without mRNA."""
        return {
            "mirna": self.more_stem_loops.take(np.flatnonzero(~np.isin(self.patients, list(held_out)))),
            "mature": Modality.from_mask(self.matures[self._outside(held_out)].to_numpy(np.float32)),
        }

    def _outside(self, held_out: Collection[str]) -> np.ndarray:
        return ~self.matures.index.str[:12].isin(list(held_out))

    def of(self, samples: pd.Index) -> Modality:
        """Mature counts of the samples that have them."""
        counts = self.matures.reindex(samples)
        measured = np.repeat(counts.notna().all(axis=1).to_numpy()[:, None], counts.shape[1], axis=1)
        return Modality.from_mask(counts.fillna(0).to_numpy(np.float32), measured)


def blind_to(
    half: Half, pairs: Pairs, mosaic: Mosaic, card: dict, levels: BothLevels, cells: CellData, parts: Parts
) -> Reference:
    """A model that has seen nothing of half of the kinds and cohorts, nor of held-out patients and tables."""
    seen = pairs.split("train") & ~half.cohorts(pairs.obs)
    patients = set(pairs.obs["patient"][~seen])
    data = mosaic.take(seen), pairs.obs[seen]
    return train(*data, card, levels, cells, parts, patients, HELD_OUT_CELLS, half.allowed)[0]


def calibrations(
    development: Reference, blind: dict[Half, Reference], cells: CellData | None, mosaic: Mosaic, pairs: Pairs
) -> tuple[Calibration, Calibration | None]:
    """Held-out errors of tissues and of cells: of known kinds, and of kinds and cohorts that a model has not seen."""
    held_out, seen = pairs.split("val") | pairs.split("test"), mosaic.take(pairs.split("train"))
    # Evidence depends on the number of genes: samples of few genes are compared with their like.
    most_genes = mosaic["mrna"].measured.mean(1) > 0.5
    tissues = [
        HeldOut(development, mosaic.take(held_out & part))
        for part in (most_genes, ~most_genes)
        if (held_out & part).any()
    ]
    if cells is None:
        return calibrate(*tissues), None
    single, samples = [], np.random.default_rng(2)
    # Droplets tell what is usual at any depth, plates what it is at that of their reads.
    for tables, depths, reads in ((("citeseq",), CELL_DEPTHS, False), (("zanini",), (None,), True)):
        found, _ = cells.single_cells(tables, development.arms, mean_cpm(seen), samples=samples)
        single.append(HeldOut(development, found, depths, all_molecules=reads))
    for half, model in blind.items():
        own = strangers(model, half, cells, seen, mosaic.take(held_out & half.cohorts(pairs.obs)))
        tissues, single = tissues + own["tissue"], single + own["cell"]
    return calibrate(*tissues), calibrate(*single)


def accuracies(reference: Reference, test: Mosaic, everything: Mosaic) -> dict[str, pd.DataFrame]:
    """By level, Spearman correlation of every miRNA over held-out samples, as measured and at 1,000 counts."""
    shares = {
        name: predict_held_out(reference, test, depth, np.random.default_rng(1)).share
        for name, depth in (("bulk", None), ("umi_1000", 1_000.0))
    }
    return {level: accuracy(reference, test, shares, level, everything[name]) for level, name in MODALITY_OF.items()}


def accuracy(
    reference: Reference, mosaic: Mosaic, shares: dict[str, np.ndarray], level: str, counted: Modality
) -> pd.DataFrame:
    """Correlations of a level, over the samples that counted it.

    Of miRNAs above 1 CPM in more than 10 % of all samples that counted them.
    """
    table = pd.DataFrame(index=reference.mirna_table(level)["name"])
    rows = mosaic[MODALITY_OF[level]].present
    truth, measured = mosaic[MODALITY_OF[level]].log_cpm[rows], mosaic[MODALITY_OF[level]].measured[rows].all(0)
    scored = measured & expressed(counted.log_cpm[counted.present])
    for name, share in shares.items():
        predicted = in_units(at_level(reference, share[rows], level), "log1p_cpm")
        table[name] = np.where(scored, per_feature_correlation(truth, predicted), np.nan)
    return table


def chosen_parts(config: Path | None) -> Parts:
    """The parts of the bundled reference, or those of a configuration."""
    parts = PARTS if config is None else read_parts(config, PARTS)
    if parts.readout == "none":
        raise ValueError(f"{config}: readout='none' has no mature miRNAs and no kinds; a reference has both.")
    if not HEADS[parts.spec(SPEC).likelihood("mrna")].rates_scatter:
        raise ValueError(f"{config}: a Poisson likelihood of mRNA has no evidence, by which held-out errors are told.")
    return parts


def base_card(pairs: Pairs, matures: dict, parts: Parts = PARTS) -> dict:
    obs = pairs.obs
    options, readout = parts.train_options(OPTIONS), parts.readout_options(READOUT)
    assert readout is not None  # after chosen_parts
    return {
        "name": "default",
        "version": __version__,
        "description": "TCGA tumours and normal tissue beside them; cells, lines and normal tissues as label pairs",
        "licence": "BSD-3-Clause",
        "half_precision": True,
        "genes": gene_table(pairs.genes),
        "mirnas": {"level": "stem-loop"} | stem_loop_table(pairs.stem_loops),
        "matures": matures,
        "training": {
            "n_samples": len(obs),
            "cohorts": {str(k): int(v) for k, v in obs["cohort"].value_counts().items()},
            "tables": {str(k): int(v) for k, v in obs["table"].value_counts().items()},
            "n_components": parts.n_components(N_COMPONENTS),
            "options": asdict(options),
            "readout": asdict(readout),
            "encoder": None if parts.encoder == "none" else asdict(ENCODER),
            "parts": parts.card,
        },
        "citations": CITATIONS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=BUNDLED)
    parser.add_argument(
        "--development",
        type=Path,
        help="folder for the models that held-out samples judge, which benchmarks/trust.py reads",
    )
    parser.add_argument("--config", type=Path, help="TOML with names of parts, see midgd.train.Parts")
    args = parser.parse_args()
    try:
        parts = chosen_parts(args.config)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    start = time.perf_counter()
    pairs = load_pairs()
    levels = BothLevels.load(pairs.stem_loops)
    card = base_card(pairs, levels.card, parts)
    mosaic = Mosaic(pairs.mosaic.modalities | {"mature": levels.of(pairs.obs.index)})

    held_out = pairs.split("val") | pairs.split("test")
    inside = pairs.split("train")
    cells = None
    if (DATA / "cells").is_dir():
        cells = CellData.load(card["genes"], levels.card["name"], pairs, mosaic, levels.fit())
    else:
        log.warning("no folder cells/ in %s: trained on TCGA alone, without kinds of cells", DATA)
    patients = set(pairs.obs["patient"][held_out])
    outside = mosaic.take(inside), pairs.obs[inside]
    development, _ = train(*outside, card, levels, cells, parts, patients, without_tables=HELD_OUT_CELLS)
    log.info("development model after %.0f s", time.perf_counter() - start)
    blind = {}
    if cells is not None:
        blind = {half: blind_to(half, pairs, mosaic, card, levels, cells, parts) for half in map(Half, HALVES)}
        log.info("models of half of the kinds after %.0f s", time.perf_counter() - start)
    calibration, cell_calibration = calibrations(development, blind, cells, mosaic, pairs)
    development = replace(development, calibration=calibration, cell_calibration=cell_calibration)
    if args.development is not None:
        development.save(args.development / "development")
        for half, model in blind.items():
            model.save(args.development / f"half{half.number}")
    tables = accuracies(development, mosaic.take(pairs.split("test")), mosaic)
    if cells is not None:
        for level, correlation in left_out_accuracy(blind, cells, outside[0], MODALITY_OF).items():
            tables[level]["cells_left_out"] = correlation
    for level, table in tables.items():
        log.info("held-out Spearman, %s: %s", level, table.mean().round(4).to_dict())

    final, joined = train(mosaic, pairs.obs, card | {"accuracy": _accuracy_card(tables)}, levels, cells, parts)
    encoder = None if parts.encoder == "none" else fit_encoder(final.decoder, final.prior, joined, ENCODER)
    final = replace(final, calibration=calibration, cell_calibration=cell_calibration, encoder=encoder)
    path = final.save(args.output)
    size = sum(f.stat().st_size for f in path.iterdir()) / 2**20
    log.info("wrote %s (%.1f MiB) after %.0f s", path, size, time.perf_counter() - start)


def _accuracy_card(tables: dict[str, pd.DataFrame]) -> dict:
    return {
        "what": "Spearman correlation over held-out test patients of all cohorts, model trained on the train split;"
        " cells_left_out: over kinds of cells at 2,000 counts, models that have seen none of the kind's lineage",
        "mean": {level: table.mean().round(4).to_dict() for level, table in tables.items()},
        "per_mirna": {
            level: {name: [None if np.isnan(v) else round(float(v), 3) for v in table[name]] for name in table}
            for level, table in tables.items()
        },
    }


if __name__ == "__main__":
    main()
