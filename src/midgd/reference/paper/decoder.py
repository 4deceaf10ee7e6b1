"""The paper's layers as a :class:`midgd.nn.Decoder` that gives the same shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from midgd.nn import Decoder, DecoderSpec, GaussianMixture
from midgd.nn.count_head import CountHead
from midgd.reference.paper.parts import Affine, Head, Mixture, Trunk, check_growth

DISPERSION_FLOOR = 1.0  # the paper's r is exp(log_r) + 1


def build_prior(mixture: Mixture) -> GaussianMixture:
    """The mixture with these parameters.

    Parameters
    ----------
    mixture
        Means, variances and weights.

    Returns
    -------
    A mixture with these parameters.
    """
    prior = GaussianMixture(*mixture.means.shape)
    prior.load_state_dict(vars(mixture))
    return prior


@torch.no_grad()
def build_decoder(trunk: Trunk, heads: dict[str, Head], prior: GaussianMixture) -> Decoder:
    """The same maps in the layers that the decoder has.

    Parameters
    ----------
    trunk
        Layers that all heads share.
    heads
        Modality to head.
    prior
        The mixture, which tells the size of the latent.

    Returns
    -------
    The decoder.

    Raises
    ------
    ValueError
        If sizes do not follow from each other.
    """
    _check_sizes(trunk, heads, prior.n_latent)
    _check_padding(trunk, heads, prior.n_latent)
    spec = DecoderSpec(
        n_latent=prior.n_latent,
        n_hidden=max((len(layer.bias) for layer in trunk.hidden), default=0),
        n_layers=len(trunk.hidden),
        skip=not trunk.hidden,  # without hidden layers the heads see the latent, and nothing else
        likelihoods={modality: head.likelihood for modality, head in heads.items()},
        dispersion_floor=DISPERSION_FLOOR,
        activation=trunk.activation,
    )
    decoder = Decoder(spec, {modality: len(head.log_r) for modality, head in heads.items()})
    linears = [layer for layer in decoder.trunk if isinstance(layer, nn.Linear)]
    for linear, layer in zip(linears, trunk.hidden, strict=True):
        # Layers narrower than the widest are filled up with units that stay at 0 = activation(0).
        _fill(linear.weight, layer.weight)
        _fill(linear.bias, layer.bias)
    centre = torch.softmax(prior.weight_logits, 0) @ prior.means
    for modality, head in heads.items():
        _fill_head(decoder.head(modality), head, trunk.last, decoder(centre[None]))
    return decoder


def _check_sizes(trunk: Trunk, heads: dict[str, Head], n_latent: int) -> None:
    """Every map takes what the one before gives."""
    maps = [(f"linear layer {i} of decoder.main", layer) for i, layer in enumerate(trunk.hidden)]
    if trunk.last is not None:
        maps.append(("the last layer of decoder.main", trunk.last))
    size, before = n_latent, "the Gaussian mixture"
    for where, layer in maps:
        _check_size(where, layer, size, before)
        size, before = len(layer.bias), where
    for modality, head in heads.items():
        for head_map in (head.shares, head.zero_map):
            if head_map is not None:
                _check_size(f"the {modality} head", head_map, size, before)
    if heads["mrna"].zero_map is not None:
        raise ValueError("Zero inflation of the mRNA head depends on the latent; midgd has one value for each gene.")


def _check_padding(trunk: Trunk, heads: dict[str, Head], n_latent: int) -> None:
    """All hidden layers become as wide as the widest."""
    widest = max((len(layer.bias) for layer in trunk.hidden), default=0)
    n_outputs = sum(len(head.log_r) for head in heads.values())
    made = widest * (n_latent + max(len(trunk.hidden) - 1, 0) * widest) + (widest or n_latent) * n_outputs
    maps = [*trunk.hidden, *([trunk.last] if trunk.last is not None else []), *(head.shares for head in heads.values())]
    check_growth(made, sum(layer.weight.numel() for layer in maps))


def _check_size(where: str, layer: Affine, size: int, before: str) -> None:
    if layer.weight.shape[1] != size:
        raise ValueError(f"Sizes do not fit: {where} takes {layer.weight.shape[1]} values, {before} gives {size}.")


def _fill_head(target: CountHead, head: Head, last: Affine | None, features_at_centre: Tensor) -> None:
    shares = _after(last, head.shares)
    _fill(target.weight, shares.weight.T)
    target.bias.copy_(shares.bias)
    target.get_parameter("log_dispersion").copy_(head.log_r)
    zero_logit = head.zero_logit
    if head.zero_map is not None:
        # No part of the shares or of the latents: its value at the centre of the prior is near enough.
        zero = _after(last, head.zero_map)
        zero_logit = features_at_centre[0, : zero.weight.shape[1]] @ zero.weight.T + zero.bias
    if zero_logit is not None:
        target.get_parameter("zero_logit").copy_(zero_logit)


def _after(last: Affine | None, layer: Affine) -> Affine:
    return layer if last is None else last.then(layer)


def _fill(target: Tensor, values: Tensor) -> None:
    """Values into the first rows and columns, 0 elsewhere."""
    target.zero_()
    target[tuple(slice(n) for n in values.shape)] = values
