"""An encoder that guesses the latent of a query: the start of the search for the optimum, not its end.

The model of the paper has none, and the maximum a posteriori stays the definition of a latent. The encoder is trained
on latents that were found so (:func:`midgd.train.fit_encoder`) and saves the optimiser most of its steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Standard deviations at which features are cut off: the start for a query that is unlike all training samples stays
# near their latents. Chosen by hand.
LIMIT = 6.0


class LatentEncoder(nn.Module):
    """From the start features of :mod:`midgd.infer.start`, (n, n_features), to latents (n, n_latent).

    A linear map and a perceptron with two hidden layers, on standardised features.

    Parameters
    ----------
    n_features, n_latent
        Sizes of input and output.
    n_hidden
        Width of the hidden layers.
    """

    def __init__(self, n_features: int, n_latent: int, n_hidden: int = 256) -> None:
        super().__init__()
        self.n_hidden = n_hidden
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.linear = nn.Linear(n_features, n_latent)
        self.hidden = nn.Sequential(
            nn.Linear(n_features, n_hidden),
            nn.SiLU(),
            nn.Linear(n_hidden, n_hidden),
            nn.SiLU(),
            nn.Linear(n_hidden, n_latent),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments that make an encoder of this shape."""
        n_features, n_latent = self.linear.in_features, self.linear.out_features
        return {"n_features": n_features, "n_latent": n_latent, "n_hidden": self.n_hidden}

    def forward(self, features: Tensor) -> Tensor:
        """Latents, (n, n_latent).

        Parameters
        ----------
        features
            (n, n_features) from :meth:`midgd.infer.start.Starts.features`.

        Returns
        -------
        (n, n_latent) latents, from which the search for the optimum starts.
        """
        standard = ((features - self.mean) / self.scale).clamp(-LIMIT, LIMIT)
        return self.linear(standard) + self.hidden(standard)
