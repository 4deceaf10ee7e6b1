"""Log likelihood of training samples and its gradients, on CPUs by compiled loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from midgd.nn import CountHead, NegativeBinomialHead
from midgd.nn.loops import Loops, loops_for


class Measured(NamedTuple):
    """Samples of a minibatch that measured the same features.

    Attributes
    ----------
    rows
        (k,) which rows of the minibatch.
    counts
        (k, n_measured) their counts.
    features
        (n_measured,) indices of the features that they measured; None for all.
    """

    rows: Tensor
    counts: Tensor
    features: Tensor | None

    @property
    def library(self) -> Tensor:
        """(k, 1) sums of the counts, above 0."""
        return self.counts.sum(1, keepdim=True).clamp_min(1e-8)


def log_likelihood(head: CountHead, features: Tensor, groups: Sequence[Measured]) -> Tensor:
    """Log likelihood of all samples together; their expected counts add up to those that were counted.

    Parameters
    ----------
    head
        Of the modality.
    features
        (n, n_inputs) of the decoder.
    groups
        The samples that have the modality.

    Returns
    -------
    A scalar, in nats.
    """
    loops = loops_for(head)
    if loops is None:
        parts = [
            head.log_prob(g.counts, g.library.log() + head.log_share(features[g.rows], g.features), g.features).sum()
            for g in groups
        ]
        return torch.stack(parts).sum() if parts else features.new_zeros(())
    assert isinstance(head, NegativeBinomialHead)  # which has loops
    # One product of matrices for all groups, and so one for the gradient of the weights.
    return cast(Tensor, _Compiled.apply(head.logits(features), head.dispersion, groups, loops))


class _Compiled(torch.autograd.Function):
    """The same from logits (n, F) and dispersions (F,), with gradients that are known when the value is."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, dispersion: Tensor, groups: Sequence[Measured], loops: Loops) -> Tensor:
        logits, total = logits.detach(), 0.0
        gradient = torch.zeros_like(logits)
        score = torch.zeros_like(dispersion) if ctx.needs_input_grad[1] else None
        for group in groups:
            rows, counts, measured, library = *group, group.library
            whole = measured is None
            columns, own = (slice(None), loops) if measured is None else (measured, loops.only(measured))
            part = logits[rows] if whole else logits[rows[:, None], columns]
            if score is not None:
                score[columns] += own.dispersion_score(part, counts, library)
            value, of_logits = own.log_likelihood(part, counts, library)
            gradient[rows if whole else (rows[:, None], columns)] = of_logits
            total += float((value.double() + own.log_binomial(counts)).sum())
        ctx.save_for_backward(gradient, score)
        return logits.new_tensor(total)

    @staticmethod
    def backward(ctx: Any, *of_value: Tensor) -> tuple[Tensor | None, ...]:
        gradient, score = ctx.saved_tensors
        return gradient.mul_(of_value[0]), None if score is None else score * of_value[0], None, None
