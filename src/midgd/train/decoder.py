"""Maximum a posteriori of decoder, mixture and the latents of all training samples, by minibatches."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from midgd.nn import Decoder, DecoderSpec, GaussianMixture
from midgd.settings import logger, settings
from midgd.train.checkpoint import load_checkpoint, save_checkpoint
from midgd.train.downsampling import downsample
from midgd.train.initialise import start_latents, start_weights
from midgd.train.likelihood import Measured, log_likelihood
from midgd.train.mosaic import Mosaic
from midgd.train.options import TrainOptions
from midgd.train.validate import held_out_log_likelihood

# Minibatches between steps of the dispersions: their gradient (digamma) costs as much as a matrix product.
DISPERSION_EVERY = 4
# Parts of the schedule in which the rates of the weights and of the latents rise. Chosen by hand (torch: 0.3).
RISE, RISE_OF_LATENTS = 0.2, 0.1
# Expected molecules of the mRNA of a minibatch with the objective "map_downsampled", drawn by chance; None is as
# measured. The depths at which the readout of the bundled reference learns.
DEPTHS = (None, 10_000.0, 1_000.0)


@dataclass
class Fit:
    """A trained model and its course.

    Attributes
    ----------
    decoder, prior
        The trained modules, in evaluation mode.
    latents
        (n_samples, n_latent) latents of the training samples, found from all their modalities. They are not part of
        a saved model.
    history
        ``"epoch"``, ``"objective"`` (negative log posterior per sample) and, with validation,
        ``"validation"`` pairs of (epoch, held-out miRNA log likelihood per sample, latents from mRNA only).
    """

    decoder: Decoder
    prior: GaussianMixture
    latents: NDArray[np.float32]
    history: dict[str, list[float]] = field(default_factory=dict)


def fit(
    mosaic: Mosaic,
    spec: DecoderSpec,
    *,
    n_components: int = 20,
    options: TrainOptions | None = None,
    validation: Mosaic | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, list[float]]], None] | None = None,
    device: torch.device | str = "cpu",
) -> Fit:
    """Train a model.

    Parameters
    ----------
    mosaic
        Training samples with at least the modality ``"mrna"``; of the others, the decoder has ``"mirna"``.
    spec, n_components
        Sizes of decoder and mixture.
    options
        Schedule.
    validation
        Held-out samples with both modalities, for early stopping.
    checkpoint
        File to write after every epoch and to resume from if it exists; a resumed run ends with the same weights
        as an uninterrupted one.
    on_epoch
        Called with the epoch and the history after each epoch.
    device
        Where to train.

    Returns
    -------
    Decoder, prior, latents and the history of the training.
    """
    options = options or TrainOptions()
    if options.early_stopping and validation is None:
        raise ValueError("early_stopping needs validation samples: pass validation=, or early_stopping=False.")
    mosaic.check()
    trainer = _Trainer(mosaic.only("mrna", "mirna"), spec, n_components, options, torch.device(device))
    if checkpoint is not None and checkpoint.exists():
        load_checkpoint(checkpoint, trainer)
        logger.info("resuming after epoch %d from %s", trainer.epoch, checkpoint)
    bar = tqdm(
        range(trainer.epoch, options.max_epochs), desc="train", disable=not settings.progress, leave=False, unit="epoch"
    )
    for epoch in bar:
        objective = trainer.run_epoch()
        bar.set_postfix(objective=f"{objective:.1f}")
        if validation is not None and (epoch + 1) % options.check_every == 0:
            held_out = held_out_log_likelihood(trainer.decoder, trainer.prior, validation)
            trainer.history.setdefault("validation_epoch", []).append(float(epoch))
            trainer.history.setdefault("validation", []).append(held_out)
            trainer.best.offer(held_out, trainer.modules)
        if checkpoint is not None:
            save_checkpoint(checkpoint, trainer)
        if on_epoch is not None:
            on_epoch(epoch, trainer.history)
        if options.early_stopping and trainer.best.misses >= options.patience:
            logger.info("stopped after epoch %d: no better held-out miRNA likelihood", epoch)
            break
    if options.early_stopping and trainer.best.weights is not None:
        _load(trainer.modules, trainer.best.weights)
    return trainer.result()


class _Trainer:
    """Modules, optimisers and schedules of one run; `state` is what a checkpoint holds."""

    def __init__(
        self, mosaic: Mosaic, spec: DecoderSpec, n_components: int, options: TrainOptions, device: torch.device
    ) -> None:
        self.mosaic, self.options, self.device = mosaic, options, device
        self.sizes = f"{spec}, {n_components} components"
        self.generator = np.random.default_rng(options.seed)
        n_alone = int((~mosaic["mrna"].present).sum())
        if options.objective == "mrna" and n_alone:
            raise ValueError(
                f"objective='mrna' learns latents from mRNA, which {n_alone} of {len(mosaic)} samples lack: leave them"
                " out, or choose another objective."
            )
        latents = start_latents(mosaic, spec.n_latent)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.decoder = Decoder(spec, mosaic.sizes)
            self.prior = GaussianMixture(n_components, spec.n_latent)
            start_weights(self.decoder, self.prior, mosaic, latents)
        self.decoder.to(device)
        self.prior.to(device)
        self.latents = nn.Embedding.from_pretrained(torch.from_numpy(latents).to(device), freeze=False, sparse=True)
        self.epoch = 0
        self.best = _Best()
        self.history: dict[str, list[float]] = {"objective": []}
        self._make_optimisers()

    def _make_optimisers(self) -> None:
        o = self.options
        self.dispersions = [p for name in self.decoder.heads for p in self.decoder.head(name).likelihood_parameters()]
        self.weights = [p for p in self.decoder.parameters() if all(p is not q for q in self.dispersions)]
        groups = [
            {"params": self.weights, "lr": o.lr_decoder, "weight_decay": o.weight_decay},
            {"params": self.dispersions, "lr": o.lr_dispersion},
            {"params": list(self.prior.parameters()), "lr": o.lr_prior},
        ]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, weight_decay=0.0, fused=True),
            torch.optim.SparseAdam(list(self.latents.parameters()), lr=o.lr_latent),
        ]
        steps = o.max_epochs * math.ceil(len(self.mosaic) / o.batch_size)
        cycle = torch.optim.lr_scheduler.OneCycleLR
        self.schedules: list[Any] = [
            cycle(self.optimisers[0], [o.lr_decoder, o.lr_dispersion, o.lr_prior], total_steps=steps, pct_start=RISE),
            cycle(self.optimisers[1], o.lr_latent, total_steps=steps, pct_start=RISE_OF_LATENTS),
        ]

    def run_epoch(self) -> float:
        """One pass over the samples; the mean negative log posterior per sample."""
        total = 0.0
        for step, rows in enumerate(self._batches()):
            for parameter in self.dispersions:
                parameter.requires_grad_(step % DISPERSION_EVERY == 0)
            loss = self._negative_log_posterior(rows)
            for optimiser in self.optimisers:
                optimiser.zero_grad()
            (loss / len(rows)).backward()
            nn.utils.clip_grad_norm_(self.weights, self.options.max_grad_norm)
            for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
                optimiser.step()
                schedule.step()
            total += loss.item()
        if not math.isfinite(total):
            raise FloatingPointError(
                f"training diverged in epoch {self.epoch}: the objective is {total}. Lower lr_decoder or lr_latent"
                f" (now {self.options.lr_decoder} and {self.options.lr_latent})."
            )
        self.epoch += 1
        self.history["objective"].append(total / len(self.mosaic))
        return self.history["objective"][-1]

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        order = self.generator.permutation(len(self.mosaic))
        for start in range(0, len(order), self.options.batch_size):
            yield order[start : start + self.options.batch_size]

    def _negative_log_posterior(self, rows: NDArray[np.int64]) -> Tensor:
        z = self.latents(torch.from_numpy(rows).to(self.device))
        features = self.decoder(z)
        log_posterior = self.prior.log_prob(z).sum()
        # The parameters' prior counts once per data set: here, the batch's part of it.
        log_posterior = log_posterior + self.prior.log_prior() * (len(rows) / len(self.mosaic))
        for name in self.mosaic.modalities:
            weight = self.options.modality_weights.get(name, 1.0)
            if self.options.objective == "balanced":
                weight *= self.mosaic["mrna"].n_features / self.mosaic[name].n_features
            seen = features.detach() if self.options.objective == "mrna" and name != "mrna" else features
            log_posterior = log_posterior + weight * self._log_likelihood(name, rows, seen)
        return -log_posterior

    def _log_likelihood(self, name: str, rows: NDArray[np.int64], features: Tensor) -> Tensor:
        modality, depth = self.mosaic[name], None
        if self.options.objective == "map_downsampled" and name == "mrna":
            depth = DEPTHS[int(self.generator.integers(len(DEPTHS)))]
        groups = []
        for positions, measured in modality.groups(rows):
            everything, of_group = len(measured) == modality.n_features, rows[positions]
            counts = modality.counts[of_group] if everything else modality.counts[np.ix_(of_group, measured)]
            arrays = positions, downsample(counts, depth, self.generator), measured
            in_batch, own, columns = (torch.from_numpy(array).to(self.device) for array in arrays)
            groups.append(Measured(in_batch, own, None if everything else columns))
        return log_likelihood(self.decoder.head(name), features, groups)

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"decoder": self.decoder, "prior": self.prior, "latents": self.latents}

    @cached_property
    def made_with(self) -> dict[str, str]:
        """What a resumed run must share with the one it goes on with."""
        return {"data": self.mosaic.fingerprint(), "sizes": self.sizes, "options": str(self.options)}

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        return {
            "made_with": self.made_with,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimisers": [o.state_dict() for o in self.optimisers],
            "schedules": [s.state_dict() for s in self.schedules],
            "generator": self.generator.bit_generator.state,
            "best": vars(self.best),
            "epoch": self.epoch,
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where a state was taken."""
        if other := [name for name, value in self.made_with.items() if state["made_with"][name] != value]:
            raise ValueError(f"it was made with other {' and '.join(other)}")
        _load(self.modules, state["modules"])
        for part, saved in zip(self.optimisers + self.schedules, state["optimisers"] + state["schedules"], strict=True):
            part.load_state_dict(saved)
        self.generator.bit_generator.state = state["generator"]
        self.best = _Best(**state["best"])
        self.epoch, self.history = state["epoch"], state["history"]

    def result(self) -> Fit:
        self.decoder.eval().requires_grad_(False)
        self.prior.eval().requires_grad_(False)
        latents = self.latents.weight.detach().cpu().numpy()
        return Fit(self.decoder.cpu(), self.prior.cpu(), latents, self.history)


@dataclass
class _Best:
    """The weights with the best held-out likelihood so far."""

    value: float = -math.inf
    misses: int = 0
    weights: dict[str, dict[str, Tensor]] | None = None

    def offer(self, value: float, modules: dict[str, nn.Module]) -> None:
        if value > self.value:
            self.value, self.misses = value, 0
            self.weights = {name: copy.deepcopy(module.state_dict()) for name, module in modules.items()}
        else:
            self.misses += 1


def _load(modules: dict[str, nn.Module], weights: dict[str, dict[str, Tensor]]) -> None:
    for name, module in modules.items():
        module.load_state_dict(weights[name])
