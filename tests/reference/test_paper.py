"""Files of the paper's format, made here by modules written for this test under the names that the files carry."""

from __future__ import annotations

import io
import math
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from types import ModuleType

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
NAMES = {"genes": GENES, "mirnas": MIRNAS}


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


def make(widths=(16, 16), seed=0, **options):
    torch.manual_seed(seed)
    return DGD(Decoder(list(widths), **options)).eval()


def assert_same_shares(model: DGD, reference: Reference) -> None:
    z = torch.randn(50, D, generator=torch.Generator().manual_seed(1)) * 2
    with torch.no_grad():
        mirna, mrna = model.decoder(z)
        for expected, modality in ((mirna, "mirna"), (mrna, "mrna")):
            share = reference.decoder.log_share(z, modality).exp()
            torch.testing.assert_close(share, expected, atol=1e-7, rtol=1e-5)
        expected = model.gmm.log_prob(z)
        torch.testing.assert_close(reference.prior.log_prob(z), expected, atol=1e-4, rtol=1e-5)


def simulate(model: DGD, library: float = 20_000.0, n: int = N_SAMPLES) -> torch.Tensor:
    torch.manual_seed(3)
    with torch.no_grad():
        component = torch.multinomial(torch.softmax(model.gmm._weight, 0), n, replacement=True)
        z = model.gmm._mean[component] + torch.randn(n, D) * (0.5 * model.gmm._log_var[component]).exp()
        head = model.decoder.out_module_mrna
        mean, r = model.decoder(z)[1] * library, head.log_r.exp() + 1.0
        return torch.distributions.NegativeBinomial(r, logits=mean.log() - r.log()).sample()


# The same model ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("mirna", [NB_Module, ZINB_Module])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_same_shares_and_likelihood_after_saving(write, tmp_path, mirna, legacy):
    model = make(mirna=mirna)
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
def test_same_shares_for_other_trunks(write, widths, options):
    model = make(widths, **options)
    assert_same_shares(model, convert_midgd_paper(write(model), **NAMES))


def test_module_list_half_precision_and_heads_without_bias(write):
    model = make()
    for head in (model.decoder.out_module_mirna, model.decoder.out_module_mrna):
        head.linear = nn.Linear(16, len(head.linear.bias), bias=False)
    model.half()
    model.decoder.main = nn.ModuleList(model.decoder.main)
    path = write(model)
    model.decoder.main = nn.Sequential(*model.decoder.main)
    assert_same_shares(model.float(), convert_midgd_paper(path, **NAMES))


def test_mixture_in_other_forms(write):
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


def test_zero_inflation_by_a_layer_of_its_own(write):
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


def latents_of_the_paper(model: DGD, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The paper's procedure, sample by sample: the best component mean, then 50 steps of AdamW."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = [_latent_of_the_paper(model, x[None]) for x in counts]
    z = torch.cat(found)
    return z, objective(model, z, counts)


def objective(model: DGD, z: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    _, share = model.decoder(z)
    likelihood = model.decoder.out_module_mrna.log_prob(counts, share, counts.sum(1, keepdim=True)).sum(1)
    return likelihood + model.gmm.log_prob(z)


def _latent_of_the_paper(model: DGD, x: torch.Tensor) -> torch.Tensor:
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
@pytest.mark.parametrize("mrna", [NB_Module, ZINB_Module])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU])
def test_latents_are_as_good_as_the_papers(write, library, mrna, activation):
    model = make(mrna=mrna, activation=activation)
    reference = convert_midgd_paper(write(model), **NAMES)
    counts = simulate(model, library)
    _, theirs = latents_of_the_paper(model, counts)
    prediction = Predictor(reference, np.arange(N_GENES))(counts.numpy())
    ours = objective(model, torch.from_numpy(prediction.latent), counts)
    assert (ours >= theirs - 1e-2).all()
    mirna, _ = model.decoder(torch.from_numpy(prediction.latent))
    np.testing.assert_allclose(prediction.share, mirna, atol=1e-5)


def test_cells_by_name(write, tmp_path):
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


def test_names_ids_and_levels(write):
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
def test_names_that_do_not_fit(write, change, message):
    with pytest.raises(ValueError, match=message):
        convert_midgd_paper(write(make()), **NAMES | change)


# Models that cannot be converted -----------------------------------------------------------------------------------


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
    model.decoder.out_module_mrna = ZINB_Module(16, N_GENES)
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
def test_what_was_not_found_is_named(write, damage, message):
    model = make()
    damage(model)
    path = write(model)
    with pytest.raises(ValueError, match=message) as error:
        convert_midgd_paper(path, **NAMES)
    assert str(path) in str(error.value)


# Files that must not be trusted ------------------------------------------------------------------------------------


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class Id(tuple):
    """What goes into a persistent id."""


class Persistent(pickle.Pickler):
    """Writes ids as torch does for storages."""

    def persistent_id(self, obj):
        return tuple(obj) if isinstance(obj, Id) else None


def hostile_file(path, content, protocol=2, legacy=False):
    stream = io.BytesIO()
    Persistent(stream, protocol).dump(content)
    data = content if isinstance(content, bytes) else stream.getvalue()
    if legacy:
        head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        path.write_bytes(b"".join([*head, data, pickle.dumps([], 2)]))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", data)
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["alone", "nested", "persistent id", "state"])
@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (os.system, "touch {}", r"(posix|nt)\.system"),
        (eval, "open({!r}, 'w')", r"(builtins|__builtin__)\.eval"),
        (open, "{}", r"\w+\.open"),
        (torch.load, "{}", r"torch\.\w+\.load"),
    ],
    ids=["system", "eval", "open", "torch.load"],
)
def test_nothing_runs(tmp_path, function, argument, named, where, protocol, legacy):
    trace = tmp_path / "trace"
    call = Call(function, argument.format(str(trace)))
    content = {
        "alone": call,
        "nested": OrderedDict(a=[{"b": (call,)}]),
        "persistent id": [Id([call])],
        "state": torch.nn.Identity(),
    }[where]
    if where == "state":
        content.hook = call
    path = hostile_file(tmp_path / "x.pth", content, protocol, legacy)
    with pytest.raises(ValueError, match=named) as error:
        convert_midgd_paper(path, **NAMES)
    assert str(path) in str(error.value) and not trace.exists()


GLOBAL = b"\x80\x02c%s\n%s\n"


@pytest.mark.parametrize(
    "data",
    [
        GLOBAL % (b"torch", b"FloatStorage") + b"}X\x01\x00\x00\x00aK\x01sb.",  # a state for a class
        GLOBAL % (b"torch._utils", b"_rebuild_tensor_v2") + b"}X\x01\x00\x00\x00aK\x01sb.",
        GLOBAL % (b"collections", b"OrderedDict") + b"N}X\x05\x00\x00\x00itemsK\x01s\x86b.",
        GLOBAL % (b"builtins", b"set") + b"N}X\x05\x00\x00\x00itemsK\x01s\x86b.",
        GLOBAL % (b"torch._utils", b"_rebuild_tensor_v2") + b"(X\x01\x00\x00\x00aK\x01tR.",
        b"\x80\x02cbuiltins\ngetattr\n.",
        b"\x80\x04\x8c\x04base\x8c\x11os.path.os.system\x93.",
        b"\x80\x02X\x03\x00\x00\x00abcQ.",
        b"\x80\x02\x82\x01.",  # extension registry
        b"\x80\x02K\x01)R.",  # a call of a number
        b"",
        b"nonsense",
    ],
)
def test_no_pickle_leaves_a_trace_or_an_odd_error(tmp_path, data):
    with pytest.raises(ValueError, match=r"x\.pth"):
        convert_midgd_paper(hostile_file(tmp_path / "x.pth", data), **NAMES)


def test_tensors_stay_inside_their_storage(tmp_path):
    storage = Id(("storage", torch.FloatStorage, "0", "cpu", 4))

    class Tensor:
        def __init__(self, *where):
            self.where = where

        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (storage, *self.where, False, OrderedDict())

    with pytest.raises(ValueError, match="no item named 'x/data/0'"):
        convert_midgd_paper(hostile_file(tmp_path / "x.pth", Tensor(1, (3,), (1,))), **NAMES)
    for where in [(2, (3,), (1,)), (0, (10**12,), (0,)), (0, (2, 3), (3, 1)), (-1, (2,), (1,)), (0, (2, 2), ())]:
        with pytest.raises(ValueError, match=r"larger than its storage|not described as torch"):
            convert_midgd_paper(hostile_file(tmp_path / "x.pth", Tensor(*where)), **NAMES)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_cut_files(write, legacy):
    path = write(make(), _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    for size in (0, 3, 100, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"tcga\.pth is not a complete file of torch\.save"):
            convert_midgd_paper(path, **NAMES)


def test_other_files(write, tmp_path):
    with pytest.raises(FileNotFoundError):
        convert_midgd_paper(tmp_path / "nothing.pth", **NAMES)
    path = write(make().state_dict())
    with pytest.raises(ValueError, match="holds a state dict"):
        convert_midgd_paper(path, **NAMES)
    with zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps(0))
    with pytest.raises(ValueError, match="compressed"):
        convert_midgd_paper(tmp_path / "c.pth", **NAMES)
