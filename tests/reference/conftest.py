"""Files of the paper's format, made here by modules written for these tests under the names that the files carry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

D, K = 5, 4
N_GENES, N_MIRNAS = 620, 30
GENES = [f"GENE{i}" for i in range(N_GENES)]
MIRNAS = [f"hsa-mir-{i}" for i in range(N_MIRNAS)]


class NB_Module(nn.Module):
    def __init__(self, n_in, n):
        super().__init__()
        self.linear = nn.Linear(n_in, n)
        self.log_r = nn.Parameter(torch.randn(1, n))
        self.scaling = "softmax"

    def forward(self, h):
        return torch.softmax(self.linear(h), -1)

    def log_prob(self, x, share, library):
        mean, r = share * library, self.log_r.exp() + 1.0
        nb = torch.distributions.NegativeBinomial(r, logits=mean.log() - r.log())
        return nb.log_prob(x)


class ZINB_Module(NB_Module):
    def __init__(self, n_in, n):
        super().__init__(n_in, n)
        self.pi_logit = nn.Parameter(torch.randn(1, n))

    def log_prob(self, x, share, library):
        pi = torch.sigmoid(self.pi_logit)
        p = super().log_prob(x, share, library).exp() * (1 - pi)
        return torch.where(x > 0, p, p + pi).log()


class Decoder(nn.Module):
    def __init__(self, widths, activation=nn.ReLU, mirna=ZINB_Module, mrna=NB_Module, last=False):
        super().__init__()
        layers = []
        for n_in, n_out in zip([D, *widths[:-1]], widths, strict=True):
            layers += [nn.Linear(n_in, n_out), activation()]
        self.main = nn.Sequential(*(layers[:-1] if last else layers))
        self.out_module_mirna = mirna(widths[-1], N_MIRNAS)
        self.out_module_mrna = mrna(widths[-1], N_GENES)

    def forward(self, z):
        h = self.main(z)
        return self.out_module_mirna(h), self.out_module_mrna(h)


class GaussianMixture(nn.Module):
    def __init__(self):
        super().__init__()
        self._mean = nn.Parameter(torch.randn(K, D))
        self._log_var = nn.Parameter(torch.randn(K, D) * 0.3 - 1.0)
        self._weight = nn.Parameter(torch.randn(K))
        self.prior = torch.distributions.Normal(torch.zeros(1), torch.ones(1))
        self.device = torch.device("cpu")
        self.seen = {1, 2}

    def log_prob(self, z):
        normal = torch.distributions.Normal(self._mean, (0.5 * self._log_var).exp())
        each = normal.log_prob(z[:, None]).sum(-1)
        return torch.logsumexp(torch.log_softmax(self._weight, 0) + each, 1)


class RepresentationLayer(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.z = nn.Parameter(torch.randn(n, D))


class DGD(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.decoder, self.gmm = decoder, GaussianMixture()
        self.train_rep, self.val_rep = RepresentationLayer(17), RepresentationLayer(3)


MODULES = {
    "base.dgd.DGD": [DGD],
    "base.model.decoder": [Decoder],
    "base.dgd.nn": [NB_Module, ZINB_Module],
    "base.dgd.latent": [GaussianMixture, RepresentationLayer],
}
for _path, _classes in MODULES.items():
    for _class in _classes:
        _class.__module__ = _path


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Save a module as the paper's code does; afterwards nothing of that code can be imported."""

    def save(module, name="1-tcga.pth", **options):
        with monkeypatch.context() as patch:
            parents = [path.rsplit(".", i)[0] for path in MODULES for i in range(path.count(".") + 1)]
            for path in sorted(set(parents)):
                patch.setitem(sys.modules, path, ModuleType(path))
            for path, classes in MODULES.items():
                for cls in classes:
                    setattr(sys.modules[path], cls.__name__, cls)
            torch.save(module, tmp_path / name, **options)
        assert not [name for name in sys.modules if name.split(".")[0] == "base"]
        return tmp_path / name

    return save


def _make(widths=(16, 16), seed=0, **options):
    torch.manual_seed(seed)
    return DGD(Decoder(list(widths), **options)).eval()


@pytest.fixture
def make() -> Callable[..., DGD]:
    """Function that gives a model of the paper's structure with random weights."""
    return _make


@pytest.fixture
def paper() -> Any:
    """The classes of the models, and the names of their outputs."""
    return SimpleNamespace(NB_Module=NB_Module, ZINB_Module=ZINB_Module, genes=GENES, mirnas=MIRNAS)
