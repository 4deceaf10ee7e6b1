"""Reading and writing references; nothing in a file can run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from midgd._torch import apart
from midgd.nn import Decoder, DecoderSpec, GaussianMixture, LatentEncoder, ProfileReadout
from midgd.reference.reference import Arms, Calibration, Card, Reference

M = TypeVar("M", bound=torch.nn.Module)

FORMAT = 4
WEIGHTS, CARD = "weights.safetensors", "card.json"


def save(reference: Reference, path: Path) -> Path:
    """Write a reference folder under a temporary name, then move it into place."""
    if path.exists() and not (path / CARD).is_file():
        raise FileExistsError(f"{path} exists and is not a reference; choose a new folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        save_file(_tensors(reference), partial / WEIGHTS)
        card = _describe(reference) | {"sha256": _sha256(partial / WEIGHTS)}
        (partial / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
        partial.chmod(0o755)  # mkdtemp makes it private
        (partial / WEIGHTS).chmod(0o644)
        _exchange(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def _exchange(new: Path, path: Path) -> None:
    """Move a folder into the place of an older one, which comes back if that fails."""
    if not path.exists():
        os.replace(new, path)
        return
    older = new.with_name(new.name + ".old")
    os.replace(path, older)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(older, path)
        raise
    shutil.rmtree(older, ignore_errors=True)


@apart
def read(path: Path) -> Reference:
    """Read a reference folder; every inconsistency is a ValueError that names the file."""
    for name in (CARD, WEIGHTS):
        if not (path / name).is_file():
            raise FileNotFoundError(f"{path} is not a midgd reference: it has no {name}.")
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
        if card.get("format") != FORMAT:
            raise ValueError(f"its format is {card.get('format')!r}, this version of midgd reads {FORMAT}")
        digest = _sha256(path / WEIGHTS)
        if digest != card["sha256"]:
            raise ValueError(f"sha256 of {WEIGHTS} is {digest[:12]}…, the card says {str(card['sha256'])[:12]}…")
        return _build(card, load_file(path / WEIGHTS))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"The reference in {path} is damaged or was changed ({type(error).__name__}: {error})."
            " Copy or download it again."
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensors(reference: Reference) -> dict[str, Tensor]:
    """All arrays of a reference by name; the large matrices in half precision, which changes shares by 1e-3."""
    modules = {name: getattr(reference, name) for name in ("decoder", "prior", "readout", "encoder")}
    tensors = {
        f"{part}.{name}": value
        for part, module in modules.items()
        if module is not None
        for name, value in module.state_dict().items()
    }
    for part in ("arms", "calibration"):
        record = getattr(reference, part)
        if record is not None:
            for field in dataclasses.fields(record):
                tensors[f"{part}.{field.name}"] = torch.from_numpy(np.ascontiguousarray(getattr(record, field.name)))
    half = reference.card.get("half_precision", False)
    return {
        name: (value.half() if half and value.is_floating_point() and value.numel() > 100_000 else value).contiguous()
        for name, value in tensors.items()
    }


def _describe(reference: Reference) -> Card:
    spec = dataclasses.asdict(reference.decoder.spec)
    prior = reference.prior
    sizes = {
        "n_components": prior.n_components,
        "radius": prior.radius,
        "sharpness": prior.sharpness,
        "typical_sd": prior.typical_sd,
    }
    parts = {"readout": reference.readout, "encoder": reference.encoder}
    shapes = {name: None if module is None else module.sizes for name, module in parts.items()}
    return reference.card | {"format": FORMAT, "decoder": spec, "prior": sizes} | shapes


def _build(card: Card, tensors: dict[str, Tensor]) -> Reference:
    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix + "."): v for k, v in tensors.items() if k.startswith(prefix + ".")}

    if not all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point()):
        raise ValueError("some weights are not finite")
    sizes = {"mrna": len(card["genes"]["symbol"]), "mirna": len(card["mirnas"]["name"])}
    # Without memory and without random numbers: the weights are those of the file.
    with torch.device("meta"):
        empty_decoder = Decoder(DecoderSpec(**card["decoder"]), sizes)
        empty_prior = GaussianMixture(n_latent=empty_decoder.spec.n_latent, **card["prior"])
        empty_readout = None if card["readout"] is None else ProfileReadout(**card["readout"])
        empty_encoder = None if card["encoder"] is None else LatentEncoder(**card["encoder"])
    decoder, prior = _filled(empty_decoder, part("decoder")), _filled(empty_prior, part("prior"))
    readout = None if empty_readout is None else _filled(empty_readout, part("readout"))
    encoder = None if empty_encoder is None else _filled(empty_encoder, part("encoder"))
    if readout is not None and not ((readout.core_genes >= 0) & (readout.core_genes < sizes["mrna"])).all():
        raise ValueError("the readout names genes that the decoder does not have")
    for name, module in {"readout": readout, "encoder": encoder}.items():
        if module is None and part(name):
            raise ValueError(f"the card has no {name}, the weights have one")
    arms, calibration = part("arms"), part("calibration")
    return Reference(
        card,
        decoder,
        prior,
        readout,
        Arms(**_arrays(arms)) if arms else None,
        Calibration(**_arrays(calibration)) if calibration else None,
        encoder,
    )


def _arrays(tensors: dict[str, Tensor]) -> dict[str, Any]:
    # copies: safetensors maps the file, and a later change of the file must not reach a loaded reference
    return {name: tensor.numpy().copy() for name, tensor in tensors.items()}


def _filled(module: M, weights: dict[str, Tensor]) -> M:
    own = module.state_dict()
    cast = {
        name: value.to(own[name].dtype if name in own else value.dtype, copy=True) for name, value in weights.items()
    }
    if infinite := [name for name, value in cast.items() if not bool(torch.isfinite(value).all())]:
        raise ValueError(f"weights are too large for single precision: {infinite[0]}")
    module.load_state_dict(cast, assign=True)
    return module.eval().requires_grad_(False)
