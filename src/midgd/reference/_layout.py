"""Which tensors a reference has, by its card: what is written, and what is compared before anything is read.

A new module is a line in :data:`MODULES` and its sizes in :data:`midgd.reference._schema.CARD`; a new record of arrays
is a line in :data:`RECORDS`. Both are attributes of :class:`~midgd.reference.Reference` of the same name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from midgd._text import shown
from midgd.nn import Decoder, DecoderSpec, GaussianMixture, KindExperts, LatentEncoder, ProfileReadout
from midgd.reference.arms import Arms
from midgd.reference.density import LatentDensity
from midgd.reference.reference import N_TAILS, N_WIDENING, Calibration, Card, Reference
from midgd.zeroshot.maps import ZeroShotMaps

HALF_FROM = 100_000  # values; smaller arrays are always stored as they are
DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64}


def _sizes(card: Card) -> dict[str, int]:
    return {"mrna": len(card["genes"]["symbol"]), "mirna": len(card["mirnas"]["name"])}


def _kinds(sizes: Card) -> KindExperts:
    n_kinds, cells = sizes["n_kinds"], sizes.get("cells", [])
    if len(set(cells)) != len(cells) or any(index >= n_kinds for index in cells):
        raise ValueError(f"kinds.cells must be different numbers below {n_kinds}")
    return KindExperts(**sizes)


MODULES: dict[str, Callable[[Card], nn.Module | None]] = {
    "decoder": lambda card: Decoder(DecoderSpec(**card["decoder"]), _sizes(card)),
    "prior": lambda card: GaussianMixture(n_latent=card["decoder"]["n_latent"], **card["prior"]),
    "readout": lambda card: ProfileReadout(**card["readout"]) if card["readout"] else None,
    "encoder": lambda card: LatentEncoder(**card["encoder"]) if card["encoder"] else None,
    "kinds": lambda card: _kinds(card["kinds"]) if card.get("kinds") else None,
}


class Record(NamedTuple):
    """A dataclass of arrays, and the dimensions of each of its fields.

    A dimension is a number, or a name that must have the same size wherever it stands. Integers are indices; all
    other fields are float32. Fields with a default may be missing.
    """

    kind: Callable[..., Any]
    dimensions: Mapping[str, tuple[str | int, ...]]
    integers: tuple[str, ...] = ()


CALIBRATION = Record(
    Calibration,
    {
        **dict.fromkeys(("evidence", "reliability", "excess"), ("depths",)),
        "sd": ("depths", "outputs"),
        **dict.fromkeys(("misfit", "surprise", "ambiguity", "unlikeness"), ("depths", 2)),
        "widening": ("conditions",),
        "tails": ("tails",),
    },
)
RECORDS: dict[str, Record] = {
    "arms": Record(
        Arms,
        {"stem_loop": ("pairs",), "mature": ("pairs",), "fraction": ("pairs",)},
        integers=("stem_loop", "mature"),
    ),
    "calibration": CALIBRATION,
    "cell_calibration": CALIBRATION,
    "zero_shot": Record(
        ZeroShotMaps,
        {
            "basis": ("outputs", "factors"),
            "loadings": ("factors", "names"),
            "intercept": ("names",),
            **dict.fromkeys(("sd", "cell_sd"), (N_TAILS[1] // N_TAILS[0], "names")),
            **dict.fromkeys(("relative", "relative_of", "relative_weight"), ("relatives",)),
            **dict.fromkeys(("gene", "gene_of", "gene_weight"), ("genes",)),
        },
        integers=("relative", "relative_of", "gene", "gene_of"),
    ),
    "density": Record(
        LatentDensity,
        {
            "mean": ("components", "latents"),
            **dict.fromkeys(("weight", "kind"), ("components",)),
            **dict.fromkeys(("scale", "log_depth"), ("components", 2)),
            "within": ("latents", "latents"),
            "direction": ("directions", "latents"),
            "direction_of": ("directions",),
            "oddness": ("levels", 2),
            "dispersion": ("genes",),
            "mirna_factors": ("factors", "outputs"),
            "mirna_sd": ("outputs",),
        },
        integers=("kind", "direction_of"),
    ),
}


def describe(reference: Reference) -> Card:
    """The fields of the card from which :data:`MODULES` make modules of the same shapes."""
    prior = reference.prior
    return {
        "decoder": dataclasses.asdict(reference.decoder.spec),
        "prior": {name: getattr(prior, name) for name in ("n_components", "radius", "sharpness", "typical_sd")},
        "readout": None if reference.readout is None else reference.readout.sizes,
        "encoder": None if reference.encoder is None else reference.encoder.sizes,
        "kinds": None if reference.kinds is None else reference.kinds.sizes,
    }


def tensors(reference: Reference) -> dict[str, Tensor]:
    """All arrays of a reference by name; the large matrices in half precision, which changes shares by 1e-3."""
    found: dict[str, Tensor] = {}
    for part in MODULES:
        module = getattr(reference, part)
        if module is not None:
            found |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
    for part, record in RECORDS.items():
        values = getattr(reference, part)
        for name in record.dimensions if values is not None else ():
            if (array := getattr(values, name)) is not None:
                found[f"{part}.{name}"] = torch.from_numpy(np.ascontiguousarray(array))
    half = reference.card.get("half_precision", False)
    return {
        name: (value.half() if half and value.is_floating_point() and value.numel() > HALF_FROM else value).contiguous()
        for name, value in found.items()
    }


Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


def check_shapes(card: Card, found: Shapes) -> None:
    """Whether the weights have the tensors, types and shapes that go with a card; allocates nothing.

    Parameters
    ----------
    card
        A card that :func:`midgd.reference._schema.check_card` has seen.
    found
        Name to type (``"F32"``) and shape, from the header of the weights.

    Raises
    ------
    ValueError
        If not; names the tensor.
    """
    expected: dict[str, tuple[bool, tuple[int, ...]]] = {}
    with torch.device("meta"):
        for part, make in MODULES.items():
            module = make(card)
            state = {} if module is None else module.state_dict()
            expected |= {f"{part}.{k}": (v.is_floating_point(), tuple(v.shape)) for k, v in state.items()}
    for part, record in RECORDS.items():
        expected |= _shapes_of_record(part, record, found)
    for name, (is_float, shape) in expected.items():
        if name not in found:
            raise ValueError(f"the weights have no {name}, which the card asks for")
        dtype, own = found[name]
        if own != shape:
            raise ValueError(f"{name} has the shape {own} in the weights, by the card {shape}")
        if dtype not in DTYPES or DTYPES[dtype].is_floating_point != is_float:
            raise ValueError(f"{name} is of the type {shown(dtype)}")
    if unknown := sorted(found.keys() - expected.keys()):
        raise ValueError(f"the weights have {shown(unknown[0])}, which the card does not know")


def _shapes_of_record(part: str, record: Record, found: Shapes) -> dict[str, tuple[bool, tuple[int, ...]]]:
    """Shapes of a record if the weights have any of it; sizes that the card does not know are taken as they are."""
    present = [name for name in record.dimensions if f"{part}.{name}" in found]
    if not present:
        return {}
    sizes: dict[str, int] = {}
    expected = {}
    for name, dimensions in record.dimensions.items():
        if name not in present and _has_default(record.kind, name):
            continue
        own = found[f"{part}.{name}"][1] if name in present else ()
        for dimension, size in zip(dimensions, own, strict=False):
            if isinstance(dimension, str):
                sizes.setdefault(dimension, size)
        shape = tuple(d if isinstance(d, int) else sizes.get(d, 0) for d in dimensions)
        expected[f"{part}.{name}"] = (name not in record.integers, shape)
    return expected


def _has_default(kind: Callable[..., Any], name: str) -> bool:
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return fields[name].default is not dataclasses.MISSING


def build(card: Card, weights: Mapping[str, Tensor]) -> Reference:
    """The reference of a card and its weights, after :func:`check_shapes`.

    Raises
    ------
    ValueError
        If values are not finite or out of range.
    """
    values = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    for name, value in values.items():
        # After the cast: what float32 cannot hold is infinite now.
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"some values of {name} are not finite")

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix + "."): v for k, v in values.items() if k.startswith(prefix + ".")}

    modules = {name: make(card) for name, make in MODULES.items()}
    for name, module in modules.items():
        if module is not None:
            module.load_state_dict(part(name))
            module.eval().requires_grad_(False)
    arrays = {name: {k: v.numpy().copy() for k, v in part(name).items()} for name in RECORDS}
    records = {name: record.kind(**arrays[name]) if arrays[name] else None for name, record in RECORDS.items()}
    reference = Reference(card, **modules, **records)  # type: ignore[arg-type]
    _check_values(reference)
    return reference


def _check_values(reference: Reference) -> None:
    """Whether indices and numbers are in range, and the parts fit each other."""
    n_genes, n_mirnas = _sizes(reference.card).values()
    n_matures = len(reference.card.get("matures", {}).get("name", []))
    n_outputs = n_mirnas if reference.arms is None else n_mirnas + n_matures
    readout, encoder, arms, kinds = (getattr(reference, name) for name in ("readout", "encoder", "arms", "kinds"))
    if readout is not None:
        sizes = (readout.sizes["n_genes"], readout.sizes["n_mirnas"])
        if sizes != (n_genes, n_outputs):
            raise ValueError(f"the readout is for {sizes} genes and miRNAs, the card lists {(n_genes, n_outputs)}")
        core = readout.core_genes
        if not bool(((core >= 0) & (core < n_genes)).all()) or len(core.unique()) != len(core):
            raise ValueError("readout.core_genes names genes that the decoder does not have, or one of them twice")
    if encoder is not None:
        d, k = reference.prior.n_latent, reference.prior.n_components
        if (encoder.sizes["n_features"], encoder.sizes["n_latent"]) != (d + 2 * k + 2, d):
            raise ValueError(f"the encoder has the sizes {encoder.sizes}, which do not go with {d} latents")
        if not bool((encoder.scale > 0).all()):
            raise ValueError("encoder.scale must be positive")
    if arms is not None:
        inside = (arms.stem_loop >= 0) & (arms.stem_loop < n_mirnas) & (arms.mature >= 0) & (arms.mature < n_matures)
        if not inside.all() or len(np.unique(arms.mature)) != n_matures:
            raise ValueError("arms do not lead from the stem-loops of the card to each of its mature miRNAs")
        if (arms.fraction < 0).any() or (arms.fraction > 1.001).any():
            raise ValueError("arms.fraction must be from 0 to 1")
    if kinds is not None:
        own = {name: size for name, size in kinds.sizes.items() if name not in ("cells", "n_axes")}
        wanted = {"n_latent": reference.prior.n_latent, "n_kinds": len(reference.kind_names), "n_mirnas": n_outputs}
        if readout is None or own != wanted:
            raise ValueError(f"the kinds have the sizes {own}, by the card {wanted}, and they need a readout")
    _check_zero_shot(reference, n_genes, n_matures)
    _check_density(reference, n_genes, n_outputs)
    for name in ("calibration", "cell_calibration"):
        _check_calibration(name, getattr(reference, name), {n_outputs, n_mirnas + n_matures})


def _check_zero_shot(reference: Reference, n_genes: int, n_matures: int) -> None:
    maps, table = reference.zero_shot, reference.card.get("zero_shot")
    if (maps is None) != (table is None):
        raise ValueError("the card and the weights do not both have zero_shot")
    if maps is None or table is None:
        return
    if (len(maps), len(maps.basis)) != (len(table["name"]), n_matures):
        found = f"{len(maps)} miRNAs from {len(maps.basis)}"
        raise ValueError(f"zero_shot is for {found}, the card lists {len(table['name'])} from {n_matures}")
    for name, size in (("relative", n_matures), ("relative_of", len(maps)), ("gene", n_genes), ("gene_of", len(maps))):
        index = getattr(maps, name)
        if len(index) and (index.min() < 0 or index.max() >= size):
            raise ValueError(f"zero_shot.{name} must be numbers below {size}")
    if (maps.sd < 0).any() or (maps.cell_sd < 0).any():
        raise ValueError("zero_shot holds negative errors")


def _check_density(reference: Reference, n_genes: int, n_outputs: int) -> None:
    density = reference.density
    if density is None:
        return
    n_dispersions = n_genes if density.dispersion is None else len(density.dispersion)
    sizes = {"latents": density.mean.shape[1], "genes": n_dispersions, "outputs": len(density.mirna_sd)}
    wanted = {"latents": reference.prior.n_latent, "genes": n_genes, "outputs": n_outputs}
    if sizes != wanted or not len(density.mean) or not len(density.oddness):
        raise ValueError(f"the density has the sizes {sizes}, by the card {wanted}, or no components")
    for name in ("weight", "scale", "oddness", "dispersion"):
        values = getattr(density, name)
        if values is not None and not (values > 0).all():
            raise ValueError(f"density.{name} must be positive")
    if not (np.diag(density.within) > 0).all() or np.triu(density.within, 1).any():
        raise ValueError("density.within must be a lower triangle with a positive diagonal")
    if (density.mirna_sd < 0).any() or (density.log_depth[:, 1] < 0).any():
        raise ValueError("density holds negative deviations")
    if len(density.direction) and not (
        0 <= density.direction_of.min() <= density.direction_of.max() < len(density.mean)
    ):
        raise ValueError(f"density.direction_of must be numbers below {len(density.mean)}")
    n_kinds = len(reference.kind_names)
    if density.kind.min() < -1 or density.kind.max() >= n_kinds:
        raise ValueError(f"density.kind must be numbers below {n_kinds}, or -1")


def _check_calibration(name: str, calibration: Calibration | None, n_outputs: set[int]) -> None:
    if calibration is not None:
        if calibration.sd.shape[1] not in n_outputs:
            raise ValueError(f"{name}.sd is for {calibration.sd.shape[1]} miRNAs, the card lists {max(n_outputs)}")
        if not len(calibration.evidence) or (np.diff(calibration.evidence) < 0).any():
            raise ValueError(f"{name}.evidence must increase")
        if (calibration.evidence < 0).any() or (calibration.sd < 0).any():
            raise ValueError(f"{name} holds negative errors")
        for field, allowed in (("widening", N_WIDENING), ("tails", N_TAILS)):
            values = getattr(calibration, field)
            if values is not None and len(values) not in allowed:
                raise ValueError(f"{name}.{field} has {len(values)} numbers instead of {max(allowed)}")
