"""The parts of the paper's model, found in the records of its file by name and shape."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from midgd._text import shown
from midgd.reference.paper.records import Record, TensorRecord, walk

ACTIVATIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "SiLU": "silu"}
LEAKY_SLOPE = 0.01  # torch's default, and the one of midgd.nn
NO_EFFECT = {"Identity", "Dropout"}  # when a model is used
NAMES = {
    "mrna": re.compile(r"mrna|(?<!mi)rna|gene", re.IGNORECASE),
    "mirna": re.compile(r"mi_?rna|mir", re.IGNORECASE),
}
HEAD = re.compile(r"^(ZI)?NB|NegativeBinomial", re.IGNORECASE)
LOG_R = re.compile(r"_?log_?(r|theta|disp\w*)", re.IGNORECASE)
ZERO = re.compile(r"(^|_)(pi|drop\w*|zero\w*|zi|inflat\w*)(_|$)", re.IGNORECASE)
MEAN = re.compile(r"_?(mean|mu)s?", re.IGNORECASE)
LOG_VAR = re.compile(r"_?(?P<negative>neg_?)?log_?(var\w*|beta)", re.IGNORECASE)
WEIGHT = re.compile(r"_?(weight|pi)s?", re.IGNORECASE)


# Many times what the paper's models have; a reader must end on any file.
MAX_LAYERS, MAX_HEADS, MAX_ATTRIBUTES = 300, 16, 100_000
MAX_GROWTH, SMALL = 8, 1 << 22  # a product of maps may have so many times their numbers; small ones always


def check_growth(made: int, given: int) -> None:
    """Refuse to make much more numbers than a file has: padding and products of narrow layers grow.

    Parameters
    ----------
    made
        Numbers that would be made.
    given
        Numbers that the file has.

    Raises
    ------
    ValueError
        If it is more than :data:`MAX_GROWTH` times as many.
    """
    if made > MAX_GROWTH * given + SMALL:
        raise ValueError(
            f"Its layers differ too much in width: of {given:,} numbers it would make {made:,}, more than {MAX_GROWTH}"
            " times as many."
        )


@dataclass(frozen=True)
class Affine:
    """``x @ weight.T + bias`` with weight (n_out, n_in) and bias (n_out,)."""

    weight: Tensor
    bias: Tensor

    def then(self, other: Affine) -> Affine:
        """One map for this and another after it.

        Parameters
        ----------
        other
            The map that comes after this one.

        Returns
        -------
        The product, computed in float64.

        Raises
        ------
        ValueError
            If it would be far larger than the two.
        """
        check_growth(len(other.bias) * self.weight.shape[1], self.weight.numel() + other.weight.numel())
        first, second = (Affine(m.weight.double(), m.bias.double()) for m in (self, other))
        return Affine((second.weight @ first.weight).float(), (second.weight @ first.bias + second.bias).float())


@dataclass(frozen=True)
class Trunk:
    """Hidden layers, one activation for all, and a last map without one, if there is one."""

    hidden: list[Affine]
    activation: str
    last: Affine | None


@dataclass(frozen=True)
class Head:
    """Map to the logits of shares, log dispersions (n,), and for a zero-inflated head its logits (n,)."""

    shares: Affine
    log_r: Tensor
    zero_logit: Tensor | None
    zero_map: Affine | None = None  # zero inflation that depends on the latent

    @property
    def likelihood(self) -> str:
        """Name of the likelihood in :data:`midgd.nn.HEADS`."""
        return "nb" if self.zero_logit is None and self.zero_map is None else "zinb"


@dataclass(frozen=True)
class Mixture:
    """Means (K, d), negative log variances (K, d) and the logits of weights (K,)."""

    means: Tensor
    neg_log_var: Tensor
    weight_logits: Tensor


def read_trunk(model: Record) -> Trunk:
    """Layers of ``decoder.main``, in order.

    Parameters
    ----------
    model
        The module in the file.

    Returns
    -------
    Hidden layers and their activation.

    Raises
    ------
    ValueError
        If there is none, or it has layers that midgd does not know.
    """
    found = [r for path, r in _records(model) if re.search(r"(^|\.)decoder\.main$", path)]
    found = found or [r for path, r in _records(model) if path.endswith("main")]
    if not found:
        _missing("decoder.main", "the layers that all heads share", model)
    hidden: list[Affine] = []
    kinds: list[str] = []
    pending: Affine | None = None
    for layer in _layers(found[0], "decoder.main"):
        if isinstance(layer, Affine):
            pending = layer if pending is None else pending.then(layer)
        elif pending is None:
            raise ValueError(f"decoder.main applies {layer} where a linear layer is expected.")
        else:
            hidden.append(pending)
            kinds.append(layer)
            pending = None
    if len(set(kinds)) > 1:
        raise ValueError(f"decoder.main mixes the activations {sorted(set(kinds))}; midgd has one for all layers.")
    if not hidden and pending is None:
        _missing("linear layer in decoder.main", "the layers that all heads share", model)
    return Trunk(hidden, kinds[0] if kinds else "leaky_relu", pending)


def _layers(root: Record, where: str) -> Iterator[Affine | str]:
    """Linear maps and names of activations of a module and the modules inside it, in order."""
    stack, n_attributes = [(where, root)], 0
    for _ in range(MAX_LAYERS):
        if not stack:
            return
        path, record = stack.pop()
        kind, attributes = record.kind, record.attributes()
        n_attributes += len(attributes)
        if n_attributes > MAX_ATTRIBUTES:
            break
        if kind == "Linear":
            yield _affine(record, path)
        elif kind in ("Sequential", "ModuleList"):
            inner = [(f"{path}.{name}", child) for name, child in attributes.items() if isinstance(child, Record)]
            stack += reversed(inner)
        elif kind == "LeakyReLU" and attributes.get("negative_slope", LEAKY_SLOPE) != LEAKY_SLOPE:
            slope = shown(attributes["negative_slope"])
            raise ValueError(f"{path} is LeakyReLU with negative slope {slope}; midgd has {LEAKY_SLOPE} only.")
        elif kind in ACTIVATIONS:
            yield ACTIVATIONS[kind]
        elif kind not in NO_EFFECT:
            raise ValueError(f"{path} is {kind}; midgd can convert Linear, {', '.join(ACTIVATIONS)} and Dropout.")
    raise ValueError(f"{where} has more than {MAX_LAYERS} layers.")


def _affine(record: Record, where: str) -> Affine:
    weight, bias = (record.attributes().get(name) for name in ("weight", "bias"))
    if not isinstance(weight, TensorRecord) or len(weight.size) != 2:
        raise ValueError(f"{where} is a Linear without a weight matrix.")
    n_out = weight.size[0]
    if isinstance(bias, TensorRecord) and bias.size != (n_out,):
        raise ValueError(f"{where} has a bias of shape {bias.size} beside a weight of shape {weight.size}.")
    return Affine(weight.tensor(), bias.tensor() if isinstance(bias, TensorRecord) else torch.zeros(n_out))


def read_head(model: Record, modality: str, names: Sequence[str]) -> Head:
    """One head of the model.

    Parameters
    ----------
    model
        The module in the file.
    modality
        ``"mrna"`` or ``"mirna"``.
    names
        Names of its features, as the user gives them.

    Returns
    -------
    The maps to shares and, with zero inflation, to chances of a zero, and the dispersions.

    Raises
    ------
    ValueError
        If the head is not there, or is not one that midgd can convert.
    """
    record, where = _find_head(model, modality, len(names))
    linears = {path: r for path, r in _records(record) if r.kind == "Linear"}
    to_zero = {path for path in linears if any(ZERO.search(part) for part in path.split("."))}
    to_shares = [path for path in linears if path not in to_zero]
    if len(to_shares) != 1:
        raise ValueError(
            f"{where} has {len(to_shares)} linear layers to its shares; midgd can convert a head with exactly one."
            f" Found: {', '.join(list(linears)[:10]) or 'none'}."
        )
    _check_softmax(record, where)
    shares = _affine(linears[to_shares[0]], f"{where}.{to_shares[0]}")
    n = len(shares.bias)
    if n != len(names):
        argument = "genes" if modality == "mrna" else "mirnas"
        raise ValueError(
            f"{argument}= has {len(names):,} names, {where} has {n:,} outputs; give the names in the model's order."
        )
    log_r = _vector(record, LOG_R, n)
    if log_r is None:
        _missing(f"log_r in {where}", f"a tensor of {n:,} values", record)
    if not record.kind.upper().startswith("ZI"):
        return Head(shares, log_r, None)
    zero_maps = [_affine(linears[path], f"{where}.{path}") for path in linears if path in to_zero]
    zero, zero_map = _vector(record, ZERO, n), next((m for m in zero_maps if len(m.bias) == n), None)
    if zero is None and zero_map is None:
        _missing(f"zero inflation of {where}", f"a tensor or a linear layer of {n:,} outputs", record)
    return Head(shares, log_r, zero, None if zero is not None else zero_map)


def _find_head(model: Record, modality: str, n_names: int) -> tuple[Record, str]:
    """By name (``out_module_mirna``), failing that by the number of outputs."""
    heads = {path: r for path, r in _records(model) if HEAD.search(r.kind)}
    if len(heads) > MAX_HEADS:
        raise ValueError(f"The file has {len(heads)} heads, midgd can convert a model of two.")
    other = "mirna" if modality == "mrna" else "mrna"
    last = {path: path.rsplit(".", 1)[-1] for path in heads}
    named = [p for p in heads if NAMES[modality].search(last[p]) and not NAMES[other].search(last[p])]
    sized = [p for p, r in heads.items() if _vector(r, LOG_R, n_names) is not None]
    for found in (named, sized):
        if len(found) == 1:
            return heads[found[0]], found[0]
    _missing(f"{modality} head", f"an NB_Module or ZINB_Module named like out_module_{modality}", model)


def _check_softmax(record: Record, where: str) -> None:
    """Refuse heads that say that their outputs are scaled by something other than softmax."""
    for path, value in [*_records(record), *record.attributes().items()]:
        kind = value.kind if isinstance(value, Record) else value if isinstance(value, str) else ""
        is_activation = "activation" in path if isinstance(value, str) else isinstance(value, Record)
        if is_activation and kind.lower() in ("sigmoid", "softplus", "relu", "leakyrelu", "leaky_relu", "silu", "exp"):
            raise ValueError(f"{where}.{path} is {kind}; midgd can convert heads that are one linear map and softmax.")


def read_mixture(model: Record) -> Mixture:
    """The prior: the record that has means, log variances and weights.

    Parameters
    ----------
    model
        The module in the file.

    Returns
    -------
    Means, variances and weights.

    Raises
    ------
    ValueError
        If it has none.
    """
    for _, record in sorted(_records(model), key=lambda item: item[0].split(".")[-1] != "gmm"):
        tensors = {k: v for k, v in record.attributes().items() if isinstance(v, TensorRecord)}
        means = next((t for name, t in tensors.items() if MEAN.fullmatch(name) and len(t.size) == 2), None)
        log_var = next(((m, t) for name, t in tensors.items() if (m := LOG_VAR.fullmatch(name))), None)
        weight = next((t for name, t in tensors.items() if WEIGHT.fullmatch(name)), None)
        if means is not None and log_var is not None and weight is not None:
            return _mixture(means.tensor(), log_var[1].tensor(), log_var[0]["negative"] is not None, weight.tensor())
    _missing("Gaussian mixture", "tensors like _mean (K, d), _log_var and _weight", model)


def _mixture(means: Tensor, log_var: Tensor, negative: bool, weight: Tensor) -> Mixture:
    n_components = len(means)
    if log_var.numel() == n_components:  # one variance for all dimensions
        log_var = log_var.reshape(-1, 1)
    if weight.numel() != n_components or log_var.ndim != 2 or log_var.shape not in ((n_components, 1), means.shape):
        raise ValueError(
            f"The Gaussian mixture has means {tuple(means.shape)}, log variances {tuple(log_var.shape)} and weights"
            f" {tuple(weight.shape)}; midgd can convert diagonal covariances only."
        )
    weight = weight.flatten()
    # Probabilities, if they look like it: a softmax of them would not be the mixture.
    is_share = bool((weight > 0).all()) and abs(float(weight.sum()) - 1.0) < 1e-4
    signed = log_var if negative else -log_var
    return Mixture(means, signed.expand_as(means).contiguous(), weight.log() if is_share else weight)


def n_training_samples(model: Record, n_latent: int) -> int:
    """Rows of the largest representation; 0 if the file has none.

    Parameters
    ----------
    model
        The module in the file.
    n_latent
        Number of dimensions of the latent.

    Returns
    -------
    Rows of the largest representation; 0 if the file has none.
    """
    z = [r.attributes().get("z") for _, r in _records(model) if "Representation" in r.kind]
    return max((t.size[0] for t in z if isinstance(t, TensorRecord) and t.size[1:] == (n_latent,)), default=0)


def _vector(record: Record, pattern: re.Pattern[str], n: int) -> Tensor | None:
    """A tensor of n values, or of one for all, by name; those of linear layers do not count."""
    for path, tensor in walk(record):
        name = path.rsplit(".", 1)[-1]
        if isinstance(tensor, TensorRecord) and pattern.search(name) and tensor.numel in (1, n):
            return tensor.tensor().flatten().expand(n).contiguous()
    return None


def _records(model: Record) -> list[tuple[str, Record]]:
    return [(path, record) for path, record in walk(model) if isinstance(record, Record)]


def _missing(what: str, description: str, model: Record) -> NoReturn:
    known = [f"{path} {value.kind}" for path, value in walk(model) if isinstance(value, Record)]
    listed = "; ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    raise ValueError(f"The file has no {what} ({description}), or more than one. Modules in it: {listed or 'none'}.")
