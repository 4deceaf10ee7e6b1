"""Conversion of the paper's files: the same model, the same latents, the names that are given."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import midgd.tl
from midgd.infer import Predictor
from midgd.reference import Reference, convert_midgd_paper, load

D, K = 5, 4
N_GENES, N_MIRNAS, N_SAMPLES = 620, 30, 12
GENES = [f"GENE{i}" for i in range(N_GENES)]
MIRNAS = [f"hsa-mir-{i}" for i in range(N_MIRNAS)]
NAMES: dict[str, Any] = {"genes": GENES, "mirnas": MIRNAS}


def assert_same_shares(model: nn.Module, reference: Reference) -> None:
    z = torch.randn(50, D, generator=torch.Generator().manual_seed(1)) * 2
    with torch.no_grad():
        mirna, mrna = model.decoder(z)
        for expected, modality in ((mirna, "mirna"), (mrna, "mrna")):
            share = reference.decoder.log_share(z, modality).exp()
            torch.testing.assert_close(share, expected, atol=1e-7, rtol=1e-5)
        expected = model.gmm.log_prob(z)
        torch.testing.assert_close(reference.prior.log_prob(z), expected, atol=1e-4, rtol=1e-5)


def simulate(model: nn.Module, library: float = 20_000.0, n: int = N_SAMPLES) -> torch.Tensor:
    torch.manual_seed(3)
    with torch.no_grad():
        component = torch.multinomial(torch.softmax(model.gmm._weight, 0), n, replacement=True)
        z = model.gmm._mean[component] + torch.randn(n, D) * (0.5 * model.gmm._log_var[component]).exp()
        head = model.decoder.out_module_mrna
        mean, r = model.decoder(z)[1] * library, head.log_r.exp() + 1.0
        return torch.distributions.NegativeBinomial(r, logits=mean.log() - r.log()).sample()


# The same model ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("mirna", ["NB_Module", "ZINB_Module"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_same_shares_and_likelihood_after_saving(write, make, paper, tmp_path, mirna, legacy):
    model = make(mirna=getattr(paper, mirna))
    path = write(model, _use_new_zipfile_serialization=not legacy)
    convert_midgd_paper(path, **NAMES).save(tmp_path / "converted")
    reference = load(tmp_path / "converted")
    assert_same_shares(model, reference)
    assert reference.name == "1-tcga" and reference.levels == ("stem-loop",) and reference.readout is None
    assert reference.card["training"]["n_samples"] == 17
    x = torch.randint(0, 4, (6, N_MIRNAS)).float()
    share, head = torch.full_like(x, 1 / N_MIRNAS), model.decoder.out_module_mirna
    with torch.no_grad():
        expected = head.log_prob(x, share, 50.0)
        found = reference.decoder.head("mirna").log_prob(x, (share * 50.0).log())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("widths", "options"),
    [
        ((9, 16, 7), {}),
        ((8,), {"activation": nn.LeakyReLU}),
        ((8, 6), {"last": True}),
        ((6,), {"last": True}),
        ((6, 6), {"activation": lambda: nn.Sequential(nn.SiLU(), nn.Dropout(0.3), nn.Identity())}),
    ],
    ids=["widths differ", "leaky", "no last activation", "linear only", "dropout, nested"],
)
def test_same_shares_for_other_trunks(write, make, widths, options):
    model = make(widths, **options)
    assert_same_shares(model, convert_midgd_paper(write(model), **NAMES))


def test_module_list_half_precision_and_heads_without_bias(write, make):
    model = make()
    for head in (model.decoder.out_module_mirna, model.decoder.out_module_mrna):
        head.linear = nn.Linear(16, len(head.linear.bias), bias=False)
    model.half()
    model.decoder.main = nn.ModuleList(model.decoder.main)
    path = write(model)
    model.decoder.main = nn.Sequential(*model.decoder.main)
    assert_same_shares(model.float(), convert_midgd_paper(path, **NAMES))


def test_mixture_in_other_forms(write, make):
    model = make()
    gmm = model.gmm
    path = write(model)
    plain = convert_midgd_paper(path, **NAMES).prior
    weights = torch.softmax(gmm._weight.detach(), 0)
    gmm._weight = nn.Parameter(weights)
    gmm._neg_log_beta = nn.Parameter(-gmm._log_var.detach())
    del gmm._log_var
    other = convert_midgd_paper(write(model), **NAMES).prior
    z = torch.randn(9, D)
    torch.testing.assert_close(other.log_prob(z), plain.log_prob(z), atol=1e-4, rtol=1e-5)
    gmm._neg_log_beta = nn.Parameter(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    prior = convert_midgd_paper(write(model), **NAMES).prior
    torch.testing.assert_close(prior.neg_log_var[:, 0], torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert prior.neg_log_var.shape == (K, D)


def test_zero_inflation_by_a_layer_of_its_own(write, make):
    model = make()
    head = model.decoder.out_module_mirna
    del head.pi_logit
    head.dropout = nn.Linear(16, N_MIRNAS)
    reference = convert_midgd_paper(write(model), **NAMES)
    assert_same_shares(model, reference)
    with torch.no_grad():
        centre = torch.softmax(model.gmm._weight, 0) @ model.gmm._mean
        expected = head.dropout(model.decoder.main(centre))
    torch.testing.assert_close(reference.decoder.head("mirna").zero_logit, expected, atol=1e-5, rtol=1e-5)


# Latents -----------------------------------------------------------------------------------------------------------


def latents_of_the_paper(model: nn.Module, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The paper's procedure, sample by sample: the best component mean, then 50 steps of AdamW."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = [_latent_of_the_paper(model, x[None]) for x in counts]
    z = torch.cat(found)
    return z, objective(model, z, counts)


def objective(model: nn.Module, z: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    _, share = model.decoder(z)
    likelihood = model.decoder.out_module_mrna.log_prob(counts, share, counts.sum(1, keepdim=True)).sum(1)
    return likelihood + model.gmm.log_prob(z)


def _latent_of_the_paper(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    values = torch.cat([objective(model, mean[None], x) for mean in model.gmm._mean])
    z = model.gmm._mean[values.argmax()][None].clone().requires_grad_(True)
    optimiser = torch.optim.AdamW([z], lr=1e-2, betas=(0.5, 0.7))
    for _ in range(50):
        optimiser.zero_grad()
        (-objective(model, z, x).sum()).backward()
        optimiser.step()
    return z.detach()


@pytest.mark.slow
@pytest.mark.parametrize("library", [1_000.0, 100_000.0])
@pytest.mark.parametrize("mrna", ["NB_Module", "ZINB_Module"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU])
def test_latents_are_as_good_as_the_papers(write, make, paper, library, mrna, activation):
    model = make(mrna=getattr(paper, mrna), activation=activation)
    reference = convert_midgd_paper(write(model), **NAMES)
    counts = simulate(model, library)
    _, theirs = latents_of_the_paper(model, counts)
    prediction = Predictor(reference, np.arange(N_GENES))(counts.numpy())
    ours = objective(model, torch.from_numpy(prediction.latent), counts)
    assert (ours >= theirs - 1e-2).all()
    mirna, _ = model.decoder(torch.from_numpy(prediction.latent))
    np.testing.assert_allclose(prediction.share, mirna, atol=1e-5)


def test_cells_by_name(write, make, tmp_path):
    model = make()
    reference = convert_midgd_paper(write(model), **NAMES)
    counts = simulate(model, 5_000.0)
    order = np.random.default_rng(0).permutation(N_GENES)
    cells = [f"c{i}" for i in range(N_SAMPLES)]
    adata = ad.AnnData(counts.numpy()[:, order], pd.DataFrame(index=cells), pd.DataFrame(index=np.array(GENES)[order]))
    midgd.tl.infer_mirna(adata, reference, level="stem-loop", units="share")
    mirna, _ = model.decoder(torch.from_numpy(adata.obsm["X_midgd"]))
    np.testing.assert_allclose(adata.obsm["mirna"], mirna.detach(), atol=1e-5)
    assert list(adata.obsm["mirna"].columns) == MIRNAS and adata.obs["mirna_ood"].isna().all()
    with pytest.raises(ValueError, match="choose among"):
        midgd.tl.infer_mirna(adata, reference, level="mature")
    with pytest.raises(ValueError, match="no held-out errors"):
        midgd.tl.infer_mirna(adata, reference, level="stem-loop", uncertainty=True)
    again = load(reference.save(tmp_path / "saved"))
    after = midgd.tl.infer_mirna(adata, again, level="stem-loop", units="share", copy=True)
    np.testing.assert_array_equal(after.obsm["mirna"], adata.obsm["mirna"])


# Names -------------------------------------------------------------------------------------------------------------


def test_names_ids_and_levels(write, make):
    path = write(make())
    ids = [f"ENSG{i:011d}.3" for i in range(N_GENES)]
    reference = convert_midgd_paper(path, genes=ids, mirnas=[f"hsa-miR-{i}-5p" for i in range(N_MIRNAS)], name="mine")
    assert reference.name == "mine" and reference.levels == ("mature",)
    assert reference.genes.match(["ENSG00000000002", ids[3]]).tolist() == [2, 3]
    accessions = [f"MI{i:07d}" for i in range(N_MIRNAS)]
    options = {"ensembl": ids, "accessions": accessions, "level": "mature"}
    reference = convert_midgd_paper(path, **NAMES, **options)
    assert reference.genes.match(["ENSG00000000002", "GENE3"]).tolist() == [2, 3]
    assert reference.mirna_table("mature") == {"name": MIRNAS, "accession": accessions}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genes": GENES[:-1]}, "genes= has 619 names, decoder.out_module_mrna has 620 outputs"),
        ({"mirnas": [*MIRNAS, "x"]}, "mirnas= has 31 names, decoder.out_module_mirna has 30 outputs"),
        ({"genes": [*GENES[:-1], GENES[0]]}, "'GENE0' occurs twice"),
        ({"mirnas": [*MIRNAS[:-1], MIRNAS[0]]}, "'hsa-mir-0' occurs twice"),
        ({"ensembl": ["a"]}, "620 symbols but 1 Ensembl ids"),
        ({"level": "arm"}, "level='arm' is unknown"),
    ],
)
def test_names_that_do_not_fit(write, make, change, message):
    with pytest.raises(ValueError, match=message):
        convert_midgd_paper(write(make()), **NAMES | change)
