"""Are generated samples like real ones, does a guide do what it says, and does what_if agree with real pairs?

    python scripts/density.py --development models --development-only
    python benchmarks/generation.py models/development            # validation patients; --split test for the others

All samples that are compared with generated ones are of patients that the model has not seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from density import Data
from train_reference import HELD_OUT_CELLS

from midgd.generate.answer import Answers
from midgd.generate.change import smallest_change
from midgd.generate.draw import draw_counts, generate
from midgd.infer import Predictor
from midgd.infer.predict import domain_score
from midgd.infer.units import in_units
from midgd.metrics import auroc, log1p_cpm
from midgd.nn import GaussianMixture
from midgd.reference import Reference, load
from midgd.reference.density import LatentDensity, Latents

TARGETS = (
    *("hsa-mir-21", "hsa-mir-200c", "hsa-mir-142", "hsa-mir-143", "hsa-mir-10b", "hsa-mir-150", "hsa-mir-155"),
    *("hsa-mir-210", "hsa-mir-31", "hsa-mir-30a", "hsa-mir-135b", "hsa-mir-214", "hsa-mir-221", "hsa-mir-378a"),
    *("hsa-mir-130b", "hsa-mir-20b", "hsa-mir-363", "hsa-mir-193b", "hsa-mir-424", "hsa-mir-326", "hsa-mir-410"),
)
SHIFTS = (-1.4, 0.7, 1.4, 2.0)
WAYS = (
    *("real training samples", "genes drawn alone", "prior, exact draw", "prior, Langevin"),
    *("one Gaussian a kind", "density"),
)
PAIRS = 60  # at most, of one miRNA


class Real:
    """Held-out samples and those of the training, as the classifiers see them."""

    def __init__(self, model: Reference, split: str) -> None:
        self.data = data = Data()
        self.model, self.held_out, self.seen = model, data.split(split), data.split("train")
        self.common = np.flatnonzero(
            self.seen.mosaic["mrna"].measured.all(0) & self.held_out.mosaic["mrna"].measured.all(0)
        )
        stem = self.seen.mosaic["mirna"]
        self.stem_loops = np.flatnonzero(
            stem.measured.all(0)
            & ((np.expm1(stem.log_cpm) > 10).mean(0) > 0.3)
            & self.held_out.mosaic["mirna"].measured.all(0)
        )

    @cached_property
    def latents(self) -> tuple[np.ndarray, np.ndarray]:
        """Of held-out samples and of those of the training."""
        return tuple(samples.predicted(self.model).latent for samples in (self.held_out, self.seen))

    def views(self, held_out: bool) -> dict[str, np.ndarray]:
        samples = self.held_out if held_out else self.seen
        counts = samples.mosaic["mrna"]
        whole = counts.measured.all(1)
        return {
            "common genes": log1p_cpm(counts.counts[:, self.common]),
            "all genes": log1p_cpm(counts.counts[whole]),
            "miRNA": samples.mosaic["mirna"].log_cpm[:, self.stem_loops],
            "latents": self.latents[0 if held_out else 1],
        }

    def of_generated(self, drawn: Latents, counts: np.ndarray, mirna: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "common genes": log1p_cpm(counts[:, self.common]),
            "all genes": log1p_cpm(counts),
            "miRNA": mirna[:, self.stem_loops],
            "latents": drawn.latent,
        }


def told_apart(real: np.ndarray, other: np.ndarray, seed: int) -> dict[str, float]:
    """AUROC of classifiers, in five parts of which each is judged by a classifier that learned on the others."""
    rows = min(len(real), len(other))
    rng = np.random.default_rng(seed)
    x = np.vstack([values[rng.permutation(len(values))[:rows]] for values in (real, other)])
    label = np.r_[np.ones(rows), np.zeros(rows)].astype(bool)
    components = PCA(min(50, rows, x.shape[1]), random_state=0)
    classifiers = {
        "forest": RandomForestClassifier(200, min_samples_leaf=2, random_state=seed),
        "kernel": make_pipeline(StandardScaler(), components, SVC(C=3)),
        "linear": make_pipeline(
            StandardScaler(), components, StandardScaler(), LogisticRegression(C=0.1, max_iter=500)
        ),
    }
    found = {}
    for name, classifier in classifiers.items():
        method = "decision_function" if name == "kernel" else "predict_proba"
        cv = StratifiedKFold(5, shuffle=True, random_state=seed)
        score = cross_val_predict(classifier, x, label, cv=cv, method=method)
        found[name] = float(auroc(score if score.ndim == 1 else score[:, 1], label))
    return found


def annealed_langevin(prior: GaussianMixture, n: int, generator: torch.Generator) -> torch.Tensor:
    """Samples of a mixture by its score, smoothed with less and less noise (Song & Ermon 2019, algorithm 1)."""
    z = 4.0 * torch.randn(n, prior.n_latent, generator=generator)
    for noise in torch.logspace(np.log10(2.0), -2.0, 40):
        smooth = GaussianMixture(prior.n_components, prior.n_latent)
        smooth.load_state_dict(prior.state_dict())
        smooth.neg_log_var.data = -(prior.precision.reciprocal() + noise**2).log()
        step = 0.05 * smooth.precision.reciprocal().min()
        for _ in range(20):
            score = smooth.log_prob_and_grad(z)[1].detach()
            z = z + step * score + (2.0 * step).sqrt() * torch.randn(z.shape, generator=generator)
    return z.detach()


class Ways:
    """Ways to draw samples of the kinds of the training patients."""

    def __init__(self, real: Real) -> None:
        self.real, self.model = real, real.model
        assert self.model.density is not None, "run scripts/density.py first"
        self.density = self.model.density
        names = pd.Series(real.seen.labels.kind)
        self.kinds = np.array([self.model.kind_names.index(name) for name in names])
        # Components are in the order in which scripts/density.py made them.
        rows = real.data.samples(real.data.pairs.split("train"), HELD_OUT_CELLS)
        found = pd.factorize(pd.Series(rows.labels.kind) + "|" + pd.Series(rows.table), sort=True)[1]
        assert len(found) == len(self.density.mean)
        self.with_all_genes = np.array([name.endswith("tcga_counts_full") for name in found])

    def _counts(
        self, drawn: Latents, density: LatentDensity, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        answers = Answers(self.model)
        depths = self.density.draw_depths(drawn.component, rng)
        counts = draw_counts(self.model.decoder, density, drawn, depths, rng).toarray()
        with torch.no_grad():
            z = torch.from_numpy(drawn.latent)
            mirna = answers(z, answers.weights(z)).numpy() + density.deviations(len(z), rng)
        return counts, np.maximum(mirna, 0.0)

    def draw(self, name: str, n: int, seed: int) -> dict[str, np.ndarray]:
        views = self._draw(name, n, seed, self.density, self.kinds)
        # Samples with all genes come from one table, and so from some kinds only.
        weight = np.where(self.with_all_genes, self.density.weight, 1e-12).astype(np.float32)
        whole = self.real.seen.mosaic["mrna"].measured.all(1)
        of_table = self._draw(name, n, seed, replace(self.density, weight=weight), self.kinds[whole])
        return views | {"all genes": of_table["all genes"]}

    def _draw(
        self, name: str, n: int, seed: int, density: LatentDensity, of_kinds: np.ndarray
    ) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        kinds = rng.choice(of_kinds, n)
        if name.startswith("prior"):
            generator = torch.Generator().manual_seed(seed)
            prior = self.model.prior
            exact = name == "prior, exact draw"
            z = prior.sample(n, generator=generator) if exact else annealed_langevin(prior, n, generator)
            drawn = Latents(z.numpy().astype(np.float32), density.draw(n, rng, kinds).component, np.ones(n, np.float32))
            head = self.model.decoder.head("mrna")
            density = replace(density, dispersion=head.dispersion.numpy())
        else:
            if name == "one Gaussian a kind":
                own = np.ones_like(density.scale)
                density = replace(
                    density,
                    direction=density.direction[:0],
                    direction_of=density.direction_of[:0],
                    oddness=np.ones((1, 2), np.float32),
                    scale=own,
                )
            drawn = density.draw(n, rng, kinds)
        counts, mirna = self._counts(drawn, density, rng)
        return self.real.of_generated(drawn, counts, mirna)

    def independent(self, view: np.ndarray, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.stack([rng.choice(column, n) for column in view.T], 1)


def classified(real: Real, draws: int, names: Sequence[str]) -> Iterator[dict]:
    ways, held_out, seen = Ways(real), real.views(True), real.views(False)
    n = len(held_out["latents"])
    for name in names:
        for seed in range(draws):
            if name in ("real training samples", "genes drawn alone"):
                rng = np.random.default_rng(seed)
                own = {
                    key: view[rng.permutation(len(view))[:n]] if name[0] == "r" else ways.independent(view, n, seed)
                    for key, view in seen.items()
                }
            else:
                own = ways.draw(name, n, seed)
            for key, view in held_out.items():
                yield {"way": name, "view": key, "seed": seed} | told_apart(view, own[key], seed)


def agreement(real: Real) -> Iterator[dict]:
    """How means, deviations and correlations of genes and miRNAs agree with held-out samples."""
    ways, held_out = Ways(real), real.views(True)
    seen = real.views(False)
    n = 1000
    others: dict[str, dict[str, np.ndarray]] = {"real training samples": seen}
    others |= {name: ways.draw(name, n, 0) for name in ("prior, exact draw", "one Gaussian a kind", "density")}
    others["genes drawn alone"] = {key: ways.independent(view, n, 0) for key, view in seen.items()}
    for name, own in others.items():
        for key in ("common genes", "miRNA"):
            chosen = np.argsort(-seen[key].std(0))[:500]
            a, b = held_out[key], own[key]
            upper = np.triu_indices(len(chosen[: a.shape[1]]), 1)
            correlations = [np.corrcoef(view[:, chosen].T)[upper] for view in (a, b)]
            yield {
                "way": name,
                "view": key,
                "means": np.corrcoef(a.mean(0), b.mean(0))[0, 1],
                "sds": np.corrcoef(a.std(0), b.std(0))[0, 1],
                "sd ratio": np.median(b.std(0)[chosen] / np.maximum(a.std(0)[chosen], 1e-6)),
                "correlations": np.corrcoef(*correlations)[0, 1],
                "slope": np.polyfit(*correlations, 1)[0],
            }


def kinds_found(real: Real) -> dict[str, float]:
    """Whether generated samples are taken for the kind that they were drawn from, and real ones for theirs."""
    model, ways = real.model, Ways(real)
    drawn = generate(model, 500, np.random.default_rng(0), kinds=np.random.default_rng(1).choice(ways.kinds, 500))
    predicted = Predictor(model, np.arange(len(model.genes.symbols)))(drawn.counts)
    held_out = real.held_out.predicted(model)
    own = np.array([model.kind_names.index(name) for name in real.held_out.labels.kind])
    shares = [np.bincount(k, minlength=len(model.kind_names)) / len(k) for k in (predicted.kind, held_out.kind)]
    calibration = model.calibration or load().calibration
    judged = replace(model, calibration=calibration)
    scores = [domain_score(judged, prediction) for prediction in (predicted, held_out)]
    return {
        "generated, kind found again": float((predicted.kind == drawn.kind).mean()),
        "held out, kind found": float((held_out.kind == own).mean()),
        "difference of kind shares (half the sum)": float(np.abs(shares[0] - shares[1]).sum() / 2),
        "score above .5, generated": float((scores[0] > 0.5).mean()),
        "score above .5, held out": float((scores[1] > 0.5).mean()),
    }


def guided(real: Real, n: int = 100) -> Iterator[dict]:
    """What a guide does: the shift in the miRNA, in what is inferred from the counts, and the score."""
    model, ways = real.model, Ways(real)
    judged = replace(model, calibration=model.calibration or load().calibration)
    predictor = Predictor(model, np.arange(len(model.genes.symbols)))
    kinds = np.random.default_rng(1).choice(ways.kinds, n)
    density, answers = ways.density, Answers(model)
    # The same volume in all directions of the latent.
    size = float(np.sqrt((density.within**2).sum() / len(density.within)))
    blind = replace(density, within=(size * np.eye(model.prior.n_latent)).astype(np.float32))
    ways_to = {
        "most probable": (density, False),
        "whole by the latent": (density, True),
        "shortest": (blind, True),
    }
    names = model.card["mirnas"]["name"]

    rng = np.random.default_rng(0)
    begun = density.draw(n, rng, kinds)
    depths = density.draw_depths(begun.component, rng)

    def answer(drawn: Latents) -> tuple[np.ndarray, np.ndarray]:
        counts = draw_counts(model.decoder, density, drawn, depths, np.random.default_rng(1))
        prediction = predictor(counts)
        return in_units(prediction.share, "log1p_cpm"), domain_score(judged, prediction)

    inferred, score = answer(begun)
    yield {"way": "no guide", "shift": 0.0, "outside": (score > 0.5).mean(), "score": np.median(score)}
    for way, (metric, whole) in ways_to.items():
        for shift in SHIFTS:
            found = []
            for target in TARGETS[:7]:
                output = np.array([names.index(target)])
                wanted = np.array([shift], np.float32)
                change = smallest_change(answers, metric, begun.latent, output, wanted, whole=whole)
                after, own = answer(begun._replace(latent=change.latent))
                moved = change.mirna[:, output[0]], (after - inferred)[:, output[0]]
                found.append([m.mean() for m in moved] + [change.reached.mean(), (own > 0.5).mean(), np.median(own)])
            columns = ("shift found", "shift inferred", "reached", "outside", "score")
            yield {"way": way, "shift": shift} | dict(zip(columns, np.mean(found, 0), strict=True))


def pairs(real: Real) -> Iterator[dict]:
    """Real pairs of one kind and table that differ in a miRNA, against what_if and plain regressions."""
    model, density = real.model, Ways(real).density
    answers, names = Answers(model), model.card["mirnas"]["name"]
    labels = {
        id(s): pd.factorize(pd.Series(s.labels.kind) + "|" + pd.Series(s.table))[0] for s in (real.held_out, real.seen)
    }
    genes = {id(s): log1p_cpm(s.mosaic["mrna"].counts[:, real.common]) for s in (real.held_out, real.seen)}
    expressed = genes[id(real.seen)].mean(0) > 1.0
    blind = replace(density, within=np.eye(model.prior.n_latent, dtype=np.float32))
    group = labels[id(real.held_out)]
    one, other = np.triu_indices(len(group), 1)
    same = group[one] == group[other]
    one, other = one[same], other[same]
    mirna, seen_mirna = real.held_out.mosaic["mirna"].log_cpm, real.seen.mosaic["mirna"].log_cpm

    def within(values: np.ndarray) -> np.ndarray:
        table = pd.DataFrame(values)
        return (table - table.groupby(labels[id(real.seen)]).transform("mean")).to_numpy()

    centred_genes, centred = within(genes[id(real.seen)]), within(seen_mirna)
    for target in TARGETS:
        column = names.index(target)
        difference = mirna[one, column] - mirna[other, column]
        rows = np.flatnonzero(np.abs(difference) > 1.0)
        rows = np.random.default_rng(0).permutation(rows)[:PAIRS]
        if len(rows) < 10:
            continue
        low = np.where(difference[rows] > 0, other[rows], one[rows])
        high = np.where(difference[rows] > 0, one[rows], other[rows])
        size = np.abs(difference[rows])[:, None]
        unit = centred[:, column] / (centred[:, column] ** 2).sum()
        rest = np.setdiff1d(real.stem_loops, [column])
        truth = {
            "genes": (genes[id(real.held_out)][high] - genes[id(real.held_out)][low])[:, expressed],
            "miRNAs": (mirna[high] - mirna[low])[:, rest],
        }
        guesses = {
            "regression": {"genes": size * (unit @ centred_genes)[expressed], "miRNAs": size * (unit @ centred)[rest]}
        }
        for way, own, whole in (
            ("what_if", density, False),
            ("what_if, whole", density, True),
            ("shortest", blind, True),
        ):
            parts = [
                smallest_change(
                    answers, own, real.latents[0][[row]], np.array([column]), delta.astype(np.float32), whole=whole
                )
                for row, delta in zip(low, size, strict=True)
            ]
            moved = np.concatenate([part.log_share for part in parts])[:, real.common][:, expressed]
            guesses[way] = {"genes": moved, "miRNAs": np.concatenate([part.mirna for part in parts])[:, rest]}
        for way, guess in guesses.items():
            for what, real_difference in truth.items():
                each = [np.corrcoef(a, b)[0, 1] for a, b in zip(guess[what], real_difference, strict=True)]
                yield {"target": target, "way": way, "what": what, "pairs": len(rows)} | {
                    "single": np.mean(each),
                    "mean": np.corrcoef(guess[what].mean(0), real_difference.mean(0))[0, 1],
                    "slope": (guess[what] * real_difference).sum() / (guess[what] ** 2).sum(),
                    "error": ((guess[what] - real_difference) ** 2).sum() / (real_difference**2).sum(),
                }


def show(rows: Iterator[dict], index: list[str]) -> None:
    table = pd.DataFrame(rows)
    keep = table.select_dtypes("number").columns.difference(["seed"], sort=False)
    print(table.groupby(index, sort=False)[list(keep)].mean().round(3).to_string(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--only", nargs="+", choices=("kinds", "agreement", "pairs", "guide", "classifiers"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    real = Real(load(args.model), args.split)
    print(f"{len(real.held_out.mosaic)} samples, {len(real.common)} common genes, {len(real.stem_loops)} stem-loops")
    parts: dict[str, Callable[[], None]] = {
        "kinds": lambda: print(pd.Series(kinds_found(real)).round(3).to_string(), flush=True),
        "agreement": lambda: show(agreement(real), ["view", "way"]),
        "pairs": lambda: show(pairs(real), ["what", "way"]),
        "guide": lambda: show(guided(real), ["way", "shift"]),
        "classifiers": lambda: show(classified(real, args.draws, args.ways), ["view", "way"]),
    }
    for name in args.only or parts:
        parts[name]()


if __name__ == "__main__":
    main()
