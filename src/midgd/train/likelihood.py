"""Log likelihood of training samples and its gradients, on CPUs by compiled loops."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from midgd.nn import CountHead, NegativeBinomialHead
from midgd.nn.loops import Loops, loops_for


def log_likelihood(head: CountHead, features: Tensor, counts: Tensor, measured: Tensor | None = None) -> Tensor:
    """Log likelihood of all samples together; their expected counts add up to those that were counted.

    Parameters
    ----------
    head
        Of the modality.
    features
        (n, n_inputs) of the decoder.
    counts
        (n, n_measured) counts.
    measured
        (n_measured,) indices of the features that were measured; None for all.

    Returns
    -------
    A scalar, in nats.
    """
    library, loops = counts.sum(1, keepdim=True).clamp_min(1e-8), loops_for(head)
    if loops is None:
        return head.log_prob(counts, library.log() + head.log_share(features, measured), measured).sum()
    assert isinstance(head, NegativeBinomialHead)  # which has loops
    logits, dispersion = head.logits(features), head.dispersion
    if measured is not None:
        logits, dispersion, loops = logits[:, measured], dispersion[measured], loops.only(measured)
    return cast(Tensor, _Compiled.apply(logits, dispersion, counts, library, loops))


class _Compiled(torch.autograd.Function):
    """The same from logits (n, F) and dispersions (F,), with gradients that are known when the value is."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, dispersion: Tensor, counts: Tensor, library: Tensor, loops: Loops) -> Tensor:
        score = loops.dispersion_score(logits.detach(), counts, library) if ctx.needs_input_grad[1] else None
        value, gradient = loops.log_likelihood(logits.clone(), counts, library)
        ctx.save_for_backward(gradient, score)
        return (value.double() + loops.log_binomial(counts)).sum().float()

    @staticmethod
    def backward(ctx: Any, *of_value: Tensor) -> tuple[Tensor | None, ...]:
        gradient, score = ctx.saved_tensors
        return gradient * of_value[0], None if score is None else score * of_value[0], None, None, None
