"""Files that cannot be converted: what is wrong is named."""

from __future__ import annotations

import math
import pickle
import zipfile
from typing import Any

import pytest
import torch
from torch import nn

from midgd.reference import convert_midgd_paper

D, K = 5, 4
N_GENES, N_MIRNAS = 620, 30
NAMES: dict[str, Any] = {
    "genes": [f"GENE{i}" for i in range(N_GENES)],
    "mirnas": [f"hsa-mir-{i}" for i in range(N_MIRNAS)],
}


def _hidden_head(model):
    model.decoder.out_module_mirna.linear = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, N_MIRNAS))


def _softplus_head(model):
    model.decoder.out_module_mrna.activation = "softplus"


def _other_slope(model):
    model.decoder.main[1] = nn.LeakyReLU(0.2)


def _mixed(model):
    model.decoder.main[1] = nn.LeakyReLU()


def _unknown_layer(model):
    model.decoder.main[1] = nn.Tanh()


def _no_log_r(model):
    del model.decoder.out_module_mrna.log_r


def _no_pi(model):
    del model.decoder.out_module_mirna.pi_logit


def _latent_pi(model):
    model.decoder.out_module_mrna = type(model.decoder.out_module_mirna)(16, N_GENES)
    del model.decoder.out_module_mrna.pi_logit
    model.decoder.out_module_mrna.dropout = nn.Linear(16, N_GENES)


def _no_mixture(model):
    del model.gmm._log_var


def _full_covariance(model):
    model.gmm._log_var = nn.Parameter(torch.zeros(K, D, D))


def _no_trunk(model):
    del model.decoder.main


def _no_head(model):
    del model.decoder.out_module_mirna


def _wrong_width(model):
    model.decoder.main[2] = nn.Linear(16, 15)


def _not_finite(model):
    model.decoder.out_module_mrna.linear.bias.data[3] = math.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_hidden_head, "out_module_mirna has 2 linear layers to its shares"),
        (_softplus_head, "out_module_mrna.activation is softplus"),
        (_other_slope, "negative slope 0.2"),
        (_mixed, "mixes the activations"),
        (_unknown_layer, "decoder.main.1 is Tanh"),
        (_no_log_r, "no log_r in decoder.out_module_mrna"),
        (_no_pi, "no zero inflation of decoder.out_module_mirna"),
        (_latent_pi, "Zero inflation of the mRNA head depends on the latent"),
        (_no_mixture, "no Gaussian mixture"),
        (_full_covariance, "diagonal covariances only"),
        (_no_trunk, "no decoder.main"),
        (_no_head, "no mirna head"),
        (_wrong_width, "the mrna head takes 16 values, linear layer 1 of decoder.main gives 15"),
        (_not_finite, "not finite"),
    ],
)
def test_what_was_not_found_is_named(write, make, damage, message):
    model = make()
    damage(model)
    path = write(model)
    with pytest.raises(ValueError, match=message) as error:
        convert_midgd_paper(path, **NAMES)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_cut_files(write, make, legacy):
    path = write(make(), _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"tcga\.pth is not a complete file of torch\.save"):
            convert_midgd_paper(path, **NAMES)


def test_other_files(write, make, tmp_path):
    with pytest.raises(FileNotFoundError):
        convert_midgd_paper(tmp_path / "nothing.pth", **NAMES)
    path = write(make().state_dict())
    with pytest.raises(ValueError, match="holds a state dict"):
        convert_midgd_paper(path, **NAMES)
    with zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps(0))
    with pytest.raises(ValueError, match="compressed"):
        convert_midgd_paper(tmp_path / "c.pth", **NAMES)
