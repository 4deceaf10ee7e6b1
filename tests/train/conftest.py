from __future__ import annotations

import numpy as np
import pytest

from midgd.train import Modality, Mosaic


@pytest.fixture(scope="session")
def patchy(toy_pairs) -> Mosaic:
    """48 samples of 120 genes: the last 30 genes missing in a third of them, a few without mRNA or without miRNA."""
    mrna, mirna = toy_pairs.mrna[:48, :120].copy(), toy_pairs.mirna[:48].copy()
    seen = {"mrna": np.ones(mrna.shape, bool), "mirna": np.ones(mirna.shape, bool)}
    seen["mrna"][:16, 90:] = False
    seen["mrna"][44:] = False
    seen["mirna"][40:44] = False
    seen["mirna"][20:30, 35:] = False
    return Mosaic({"mrna": Modality.from_mask(mrna, seen["mrna"]), "mirna": Modality.from_mask(mirna, seen["mirna"])})


@pytest.fixture(scope="session")
def small(toy_pairs) -> Mosaic:
    """48 samples of 120 genes and 40 miRNAs, everything measured."""
    return Mosaic(
        {
            "mrna": Modality.from_mask(toy_pairs.mrna[:48, :120]),
            "mirna": Modality.from_mask(toy_pairs.mirna[:48]),
        }
    )
