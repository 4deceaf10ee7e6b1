"""A small world with known answers: pairs, a reference trained on them, and cells to infer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings as hypothesis_settings
from numpy.typing import NDArray
from scipy import sparse

from midgd.settings import settings

# The same examples in every run: what fails, fails for everyone, on a busy machine too.
# `pytest --hypothesis-profile=default` draws new ones.
hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis_settings.load_profile("repeatable")

if TYPE_CHECKING:  # torch is slow to import: only the tests that use it should wait
    from midgd.reference import Reference
    from midgd.train import Mosaic

REAL_GENES = (
    *("A2M", "ACTB", "ALB", "APOA1", "B2M", "BRCA1", "CD14", "CD19", "CD3D", "CD3E", "CD4", "CD68", "CD8A", "CDH1"),
    *("COL1A1", "COL3A1", "EGFR", "EPCAM", "ERBB2", "ESR1", "FN1", "FTL", "GAPDH", "GATA3", "HBB", "IL7R", "KLK3"),
    *("KRT18", "KRT5", "KRT8", "LYZ", "MKI67", "MS4A1", "MYC", "NKG7", "PECAM1", "PTEN", "PTPRC", "S100A8", "S100A9"),
    *("SFTPC", "SPARC", "TG", "TP53", "TPO", "TUBB", "TYMS", "UMOD", "VIM", "XIST"),
)
# Stem-loop to the mature miRNAs of its two arms; loci that share a mature sequence among them.
TWO_ARMS = ("21", "22", "223", "142", "150", "155", "122", "205", "375", "210", "145", "143", "126", "10b", "31", "96")
TWO_ARMS += ("182", "183", "30a", "30d", "141", "200c", "429", "222", "221", "146a", "148a", "192", "34a", "93", "425")
SHARED = {"hsa-let-7a-1": "hsa-let-7a", "hsa-let-7a-2": "hsa-let-7a", "hsa-let-7a-3": "hsa-let-7a"}
SHARED |= {"hsa-mir-16-1": "hsa-miR-16", "hsa-mir-16-2": "hsa-miR-16", "hsa-mir-92a-1": "hsa-miR-92a"}
SHARED |= {"hsa-mir-92a-2": "hsa-miR-92a", "hsa-mir-125b-1": "hsa-miR-125b", "hsa-mir-125b-2": "hsa-miR-125b"}
COHORTS = ("AAA", "BBB", "CCC")
N_GENES, N_SAMPLES, N_CELLS, N_FACTORS = 600, 120, 60, 4


@dataclass(frozen=True)
class Toy:
    """Simulated pairs: the shares of genes and miRNAs are log-linear in four factors.

    `mrna` (120, 600), `mirna` (120, 40) and `mature` (120, n_mature) are float32 counts of whole numbers; `obs` has
    `cohort`, `patient` and `split` (train or test); `arms` are (stem-loop, mature) index pairs.
    """

    genes: list[str]
    ensembl: list[str]
    stem_loops: list[str]
    matures: list[str]
    arms: NDArray[np.int64]
    obs: pd.DataFrame
    factors: NDArray[np.float64]
    gene_loadings: NDArray[np.float64]
    mirna_loadings: NDArray[np.float64]
    mrna: NDArray[np.float32]
    mirna: NDArray[np.float32]
    mature: NDArray[np.float32]

    @property
    def train(self) -> NDArray[np.bool_]:
        return (self.obs["split"] == "train").to_numpy()

    def mosaic(self, rows: NDArray[np.bool_] | None = None) -> Mosaic:
        """The pairs, or some of them, as a midgd.train.Mosaic with everything measured."""
        from midgd.train import Modality, Mosaic

        counts = {"mrna": self.mrna, "mirna": self.mirna, "mature": self.mature}
        mosaic = Mosaic({name: Modality.from_mask(values) for name, values in counts.items()})
        return mosaic if rows is None else mosaic.take(rows)

    @property
    def card(self) -> dict[str, Any]:
        """What a reference trained on these pairs says about itself, before it is saved."""
        return {
            "name": "toy",
            "version": "0.0.1",
            "genes": {"symbol": self.genes, "ensembl": self.ensembl, "aliases": {"HER2": "ERBB2", "P53": "TP53"}},
            "mirnas": {
                "level": "stem-loop",
                "name": self.stem_loops,
                "accession": [f"MI90{i:05d}" for i in range(len(self.stem_loops))],
                "aliases": {"hsa-mir-142a": "hsa-mir-142"},
            },
            "matures": {
                "name": self.matures,
                "accession": [f"MIMAT90{i:05d}" for i in range(len(self.matures))],
                "aliases": {"hsa-miR-21": "hsa-miR-21-5p"},
            },
            "training": {"n_samples": int(self.train.sum())},
        }


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.exp(logits - logits.max(1, keepdims=True))
    return share / share.sum(1, keepdims=True)


def negative_binomial(rng: np.random.Generator, mean: NDArray[np.float64], r: float) -> NDArray[np.float32]:
    return rng.poisson(rng.gamma(r, mean / r)).astype(np.float32)


def _loadings(rng: np.random.Generator, n: int, scale: float, spread: float) -> NDArray[np.float64]:
    """Row 0 is the intercept, the others belong to the factors."""
    return np.vstack([rng.normal(0.0, spread, n), rng.normal(0.0, scale, (N_FACTORS, n))])


def _arms(stem_loops: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    names: list[str] = []
    pairs = []
    for i, stem in enumerate(stem_loops):
        family = SHARED.get(stem, stem.replace("mir", "miR"))
        for name in (f"{family}-5p", f"{family}-3p"):
            if name not in names:
                names.append(name)
            pairs.append((i, names.index(name)))
    return names, np.array(pairs, np.int64)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Many small models: a second thread costs more than it brings, and much more on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def quiet() -> Iterator[None]:
    """No progress bars in the log of the tests."""
    before = settings.progress
    settings.progress = False
    yield
    settings.progress = before


@pytest.fixture(scope="session")
def toy_pairs() -> Toy:
    """120 bulk samples of 60 patients in three cohorts: 600 genes, 40 stem-loops and their mature arms."""
    rng = np.random.default_rng(7)
    genes = sorted([*REAL_GENES, *(f"GENE{i:04d}" for i in range(1, N_GENES - len(REAL_GENES) + 1))])
    stem_loops = sorted([*(f"hsa-mir-{name}" for name in TWO_ARMS), *SHARED])
    matures, arms = _arms(stem_loops)
    patient = np.arange(N_SAMPLES) // 2
    obs = pd.DataFrame({"cohort": [COHORTS[p % 3] for p in patient], "patient": [f"P{p:02d}" for p in patient]})
    obs["split"] = np.where(patient % 5 == 4, "test", "train")
    obs.index = [f"S{i:03d}" for i in range(N_SAMPLES)]
    factors = 0.7 * rng.normal(size=(N_SAMPLES, N_FACTORS))
    factors[:, :2] += 1.5 * rng.normal(size=(3, 2))[patient % 3]
    gene_loadings, mirna_loadings = _loadings(rng, N_GENES, 0.5, 1.0), _loadings(rng, len(stem_loops), 0.6, 1.5)
    design = np.column_stack([np.ones(N_SAMPLES), factors])
    library = rng.lognormal(13.0, 0.3, (N_SAMPLES, 1))
    mrna = negative_binomial(rng, library * softmax(design @ gene_loadings), 10.0)
    mirna = negative_binomial(rng, library * softmax(design @ mirna_loadings), 8.0)
    mature = _split_arms(rng, mirna, arms, len(matures))
    ensembl = [f"ENSG{90_000_000_000 + i}" for i in range(N_GENES)]
    return Toy(
        *(genes, ensembl, stem_loops, matures, arms, obs),
        *(factors, gene_loadings, mirna_loadings, mrna, mirna, mature),
    )


def _split_arms(
    rng: np.random.Generator, mirna: NDArray[np.float32], arms: NDArray[np.int64], n_mature: int
) -> NDArray[np.float32]:
    """Reads of stem-loops dealt out to their arms; the dominant arm has about nine in ten, some have none."""
    mature = np.zeros((len(mirna), n_mature), np.float32)
    fractions = rng.choice([0.9, 0.85, 0.1], mirna.shape[1])
    for stem, name in arms:
        part = fractions[stem] if (arms[arms[:, 0] == stem, 1] >= name).all() else 0.97 - fractions[stem]
        mature[:, name] += rng.binomial(mirna[:, stem].astype(np.int64), part)
    return mature


@pytest.fixture(scope="session")
def toy_reference_path(toy_pairs: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a saved reference with readout, arms and calibration, trained on the pairs of `toy_pairs.train`."""
    from midgd.nn import DecoderSpec
    from midgd.reference import Reference
    from midgd.train import (
        CellOptions,
        HeldOut,
        ReadoutOptions,
        SampleLabels,
        TrainOptions,
        calibrate,
        fit,
        fit_mature_level,
        fit_readout,
    )

    train = toy_pairs.mosaic(toy_pairs.train)
    spec = DecoderSpec(n_latent=6, n_hidden=12)
    fitted = fit(train, spec, n_components=3, options=TrainOptions(max_epochs=25, batch_size=16))
    level = fit_mature_level(toy_pairs.mirna[toy_pairs.train], toy_pairs.mature[toy_pairs.train], toy_pairs.arms)
    cohort = toy_pairs.obs["cohort"][toy_pairs.train].to_numpy(str)
    nothing = np.zeros(len(cohort), bool)
    labels = SampleLabels(cohort, cohort == "CCC", np.full(len(cohort), ""), nothing, np.ones(len(cohort), np.float32))
    options = ReadoutOptions(rank=12, cells=CellOptions((2_000.0, 500.0), panel_genes=300, n_mixtures=40))
    readout, kinds = fit_readout(fitted.decoder, fitted.prior, train, options, level, labels=labels)
    card = toy_pairs.card | {"kinds_table": {"name": list(labels.kinds), "group": ["tissue", "tissue", "cell"]}}
    plain = Reference(card, fitted.decoder, fitted.prior, readout, level.arms, kinds=kinds)
    calibration = calibrate(HeldOut(plain, toy_pairs.mosaic(~toy_pairs.train), (None, 10_000.0, 1_000.0)))
    return replace(plain, calibration=calibration).save(tmp_path_factory.mktemp("references") / "toy")


@pytest.fixture(scope="session")
def toy_reference(toy_reference_path: Path) -> Reference:
    """The reference of `toy_reference_path`, loaded; shared by all tests, so leave it as it is."""
    from midgd.reference import load

    return load(toy_reference_path)


@pytest.fixture(scope="session")
def toy_generative(toy_reference: Reference, toy_pairs: Toy) -> Reference:
    """`toy_reference` with the density of its training samples: a component for each cohort."""
    from midgd.generate.fit import fit_density
    from midgd.infer import Predictor
    from midgd.infer.units import in_units

    train = toy_pairs.mosaic(toy_pairs.train)
    found = Predictor(toy_reference, np.arange(N_GENES))(train["mrna"].counts)
    measured = np.hstack([train["mirna"].log_cpm, train["mature"].log_cpm])
    components = np.searchsorted(COHORTS, toy_pairs.obs["cohort"][toy_pairs.train].to_numpy(str))
    missed = measured - in_units(found.share, "log1p_cpm")
    density = fit_density(
        toy_reference.decoder, found.latent, train["mrna"], components, np.arange(len(COHORTS)), missed
    )
    return replace(toy_reference, density=density)


@pytest.fixture(scope="session")
def _toy_query(toy_pairs: Toy) -> ad.AnnData:
    rng = np.random.default_rng(11)
    cluster = np.arange(N_CELLS) % 3
    factors = 0.4 * rng.normal(size=(N_CELLS, N_FACTORS)) + 1.2 * rng.normal(size=(3, N_FACTORS))[cluster]
    design = np.column_stack([np.ones(N_CELLS), factors])
    library = rng.lognormal(8.0, 0.5, (N_CELLS, 1))
    counts = negative_binomial(rng, library * softmax(design @ toy_pairs.gene_loadings), 10.0)
    shown = rng.permutation(N_GENES)[: N_GENES - 40]
    unknown = [f"UNKNOWN{i}" for i in range(5)]
    x = sparse.csr_matrix(np.hstack([counts[:, shown], rng.poisson(1.0, (N_CELLS, 5))]).astype(np.float32))
    var = pd.DataFrame(index=[*(toy_pairs.genes[i] for i in shown), *unknown])
    var["ensembl"] = [*(toy_pairs.ensembl[i] for i in shown), *unknown]
    obs = pd.DataFrame({"cluster": pd.Categorical([f"c{c}" for c in cluster])}, index=[f"C{i}" for i in range(N_CELLS)])
    obsm = {"truth": pd.DataFrame(softmax(design @ toy_pairs.mirna_loadings), obs.index, toy_pairs.stem_loops)}
    return ad.AnnData(x, obs=obs, var=var, obsm=obsm)


@pytest.fixture
def toy_query(_toy_query: ad.AnnData) -> ad.AnnData:
    """60 cells of about 3,000 counts (sparse) in three clusters: 560 genes of the reference, shuffled, and 5 unknown.

    `var["ensembl"]` has the ids, `obsm["truth"]` the true shares of the stem-loops. A fresh copy for each test.
    """
    return _toy_query.copy()


def _helper(name: str) -> Any:
    """A module beside this file, which tests cannot import by name."""
    import importlib.util
    import sys

    if name != "golden" and not sys.platform.startswith("linux"):
        pytest.skip("needs fork, limits of a process and /proc")
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def at_every_event() -> Any:
    """Function of `crashes.py` that ends a process at each of its file events."""
    return _helper("crashes").at_every_event


@pytest.fixture(scope="session")
def outcome() -> Any:
    """Function of `bounded.py` that runs something with little time and memory."""
    return _helper("bounded").outcome


@pytest.fixture(scope="session")
def fuzzing() -> Any:
    """The module `fuzzing.py`."""
    return _helper("fuzzing")


@pytest.fixture(scope="session")
def golden() -> Any:
    """The module `golden.py`."""
    return _helper("golden")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty cache folder, no progress bars, no waiting between attempts to download."""
    monkeypatch.setattr(settings, "data_dir", tmp_path / "cache")
    monkeypatch.setattr(settings, "progress", False)
    monkeypatch.setattr("midgd.download.http.BACKOFF", 0.0)
    monkeypatch.setattr("midgd.download.http.CHUNK", 1024)
    return settings.data_dir


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def nowhere(unused_port: int) -> str:
    """Address at which nobody listens: the machine without a network."""
    return f"http://127.0.0.1:{unused_port}"
