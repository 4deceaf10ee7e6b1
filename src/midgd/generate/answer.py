"""What a reference answers at latents themselves, without counts: the mean of the samples that a latent stands for."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from midgd.infer.kinds import taken_for
from midgd.infer.weights import mixing_weights
from midgd.nn.readout import MILLION, Profiles, Weights
from midgd.reference.reference import Reference

# Molecules of a sample whose genes can all be trusted. What goes with so many does not change with more.
DEEP = 1e7


class Answers:
    """log1p CPM of the outputs of a reference, as a function of the latent alone.

    Parameters
    ----------
    reference
        The trained model.
    """

    def __init__(self, reference: Reference) -> None:
        self.decoder = copy.deepcopy(reference.decoder).cpu()
        self.readout = None if reference.readout is None else copy.deepcopy(reference.readout).cpu()
        self.kinds = None if reference.kinds is None else copy.deepcopy(reference.kinds).cpu()
        n_genes = self.decoder.head("mrna").n_features
        self.part_of_others = None if self.readout is None else self.readout.part_of_others(torch.arange(n_genes))

    def weights(self, z: Tensor, deep: Tensor | None = None) -> Weights | None:
        """How the parts of the answer are mixed at latents.

        Parameters
        ----------
        z
            (n, d) latents.
        deep
            (n,) part of the map for deep samples, from 0 to 1; None for samples whose counts can be trusted.

        Returns
        -------
        The weights of samples with all genes; the map from counts gets none. None for a reference without readout.
        """
        if self.readout is None:
            return None
        all_of_it = torch.ones(len(z)) if deep is None else deep
        taken = taken_for(self.kinds, z)
        of_kinds = taken.probabilities, taken.is_cell, taken.likeness
        found = mixing_weights(all_of_it, torch.full((len(z),), DEEP), self.part_of_others, *of_kinds)
        return found._replace(counts=torch.zeros(len(z)))

    def __call__(self, z: Tensor, weights: Weights | None) -> Tensor:
        """The answer.

        Parameters
        ----------
        z
            (n, d) latents.
        weights
            Of :meth:`weights`.

        Returns
        -------
        (n, n_outputs) log1p CPM; below 0 where the maps say less than nothing.
        """
        if self.readout is None or weights is None:
            return torch.log1p(self.decoder.log_share(z, "mirna").exp() * MILLION)
        profile = torch.log1p(self.decoder.log_share(z, "mrna").exp() * MILLION)
        added = None if self.kinds is None or weights.kinds is None else self.kinds.added(weights.kinds)
        return self.readout.unbounded(Profiles(profile), weights, added)

    def with_slopes(self, z: Tensor, weights: Weights | None, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """The answer, and how some outputs change with the latent.

        Parameters
        ----------
        z
            (n, d) latents.
        weights
            Of :meth:`weights`; they are held as they are.
        outputs
            (t,) indices of outputs.

        Returns
        -------
        (n, n_outputs) log1p CPM, and derivatives of the t outputs, (n, t, d).
        """
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            answer = self(leaf, weights)
            slopes = [
                torch.autograd.grad(answer[:, output].sum(), leaf, retain_graph=True)[0] for output in outputs.tolist()
            ]
        return answer.detach(), torch.stack(slopes, 1)
