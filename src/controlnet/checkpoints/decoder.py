"""A base's decoder that was trained along with a ControlNet, in a file of its own beside it.

Large data may unlock the base's decoder for the end of a training (paper, section 3.3; `sd_locked = False` in
the published trainer). What comes of it is a ControlNet and a changed base. The ControlNet is kept as ever,
and says in its note, under base.decoder, which decoder it wants; the decoder is the safetensors file beside
it: the base's own names (up_blocks, conv_norm_out, conv_out), in single precision, and a note of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from math import prod
from pathlib import Path
from shutil import copyfile
from typing import Any, Final

import torch
from torch import Tensor

from controlnet.backbones import Base
from controlnet.checkpoints.io import Source, look, read_object, write_tensors
from controlnet.checkpoints.note import origin_of, read_note
from controlnet.checkpoints.shipped import found
from controlnet.core.origin import Origin, fingerprint_of
from controlnet.errors import CheckpointError, SettingError
from controlnet.files import whole
from controlnet.tensorfiles.match import differences

FILE: Final = "decoder.safetensors"
_KEY: Final = "controlnet_decoder"
_BESIDE: Final = "*decoder*.safetensors"  # a state has two, the second one of the running mean

logger = logging.getLogger(__name__)


def save_decoder(
    path: str | Path, tensors: Mapping[str, Tensor], origin: Origin, metadata: Mapping[str, Any]
) -> str:
    """Write a decoder, whole or not at all, and return its fingerprint.

    tensors: by the network's own names. origin: the base as it was before; of it name and fingerprint are
    kept. The metadata (plan, step …) must be JSON.
    """
    made = fingerprint_of(tensors)
    base = {"name": origin.name, "fingerprint": origin.fingerprint}
    note = {"format": 1, "fingerprint": made, "base": base, "metadata": dict(metadata)}
    write_tensors(Path(path), tensors, {_KEY: json.dumps(note, sort_keys=True)}, torch.float32)
    return made


def read_decoder(path: str | Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read a decoder's tensors, in memory of their own; CheckpointError unless they fit `like`."""
    source = look(path)
    _note(source)
    shapes = {name: tuple(tensor.shape) for name, tensor in like.items()}
    problems = differences(shapes, {name: piece.shape for name, piece in source.pieces.items()})
    if problems:
        raise CheckpointError(
            f"{path} is not the decoder of this base: {problems}; wanted a base of the kind that it was "
            "trained with"
        )
    return {name: piece.load().clone() for name, piece in source.pieces.items()}


@torch.no_grad()
def add_decoder(base: Base, path: str | Path) -> None:
    """Give a base the decoder that was trained along with a ControlNet, in the base's precision.

    The base is as it was only when loaded anew; what else changes it, such as LoRA, comes afterwards. Raises
    CheckpointError, and changes nothing, for a file that is no decoder, or of another base.
    """
    note = _note(look(path))
    if base.decoder == note["fingerprint"]:
        return  # it is there: two ControlNets of one run share it
    if base.decoder:
        raise CheckpointError(
            f"{base.name!r} has been given another decoder ({base.decoder}) than {path}; load it anew"
        )
    wanted, got = note["base"], base.fingerprint()
    # In other precisions the fingerprint is another.
    comparable = base.dtype in (torch.float32, torch.float16) and wanted["fingerprint"]
    if comparable and wanted["fingerprint"] != got:
        raise CheckpointError(
            f"{path} was trained with the base {wanted['name']!r} ({wanted['fingerprint']}); got "
            f"{base.name!r} ({got}): use that base, and add LoRA only afterwards"
        )
    parameters = base.backbone.decoder(base.network)
    tensors = read_decoder(path, parameters)
    for name, parameter in parameters.items():
        # New memory, since the old one may be mapped from a file that others read.
        parameter.data = tensors[name].to(parameter.device, parameter.dtype)
    base.decoder = note["fingerprint"]
    logger.debug("%s has the decoder of %s", base.name, path)


def decoder_of(source: str | Path) -> Path | None:
    """Find the decoder that a ControlNet was trained with, beside it; None where the base stayed locked.

    Where it is not there a warning tells: the ControlNet then works on the base's own, less well.
    """
    path = found(source)
    if not path.exists():
        return None
    wanted = origin_of(read_note(look(path))).decoder
    if not wanted:
        return None
    folder = path if path.is_dir() else path.parent
    place = _beside(folder, wanted)
    if place is not None:
        return place
    logger.warning(
        "%s was trained with the base's decoder unlocked, and that decoder (%s) is not beside it; it works "
        "less well on the base's own: copy %s there",
        *(path, wanted, FILE),
    )
    return None


def add_decoders(base: Base, sources: Sequence[str | Path]) -> None:
    """Give a base the decoder that belongs to some ControlNets; SettingError where they want several."""
    _add(base, _places(sources))


def with_decoders(base: Base, sources: Sequence[str | Path]) -> Base:
    """Return a base that has the decoder of some ControlNets, and shares all else with the one given.

    The one given stays as it is, and is what comes back where no ControlNet brings a decoder. Raises what
    `add_decoders` raises.
    """
    places = _places(sources)
    if not places:
        return base
    own, parts = copy(base), {id(part) for part in base.backbone.decoder(base.network).values()}
    tensors = (*base.network.parameters(), *base.network.buffers())
    own.network = deepcopy(base.network, {id(one): one for one in tensors if id(one) not in parts})
    own.words = dict(base.words)
    _add(own, places)
    return own


def agreed(decoders: Mapping[str, str]) -> str:
    """Return the one decoder that ControlNets want, "" for none; SettingError where they want several.

    decoders: fingerprints by the ControlNets' names, "" for one that was trained on a locked base.
    """
    wanting = {name: decoder for name, decoder in decoders.items() if decoder}
    if len(set(wanting.values())) > 1:
        raise SettingError(
            f"{' and '.join(wanting)} were each trained with a decoder of its own; wanted ControlNets that "
            "share one, as a base has one: use them one at a time"
        )
    return next(iter(wanting.values()), "")


def take_along(source: str | Path, target: Path) -> Path | None:
    """Copy the decoder that lies beside a ControlNet beside another file or folder of it; return where it is.

    None where there is no decoder to copy.
    """
    place = decoder_of(source)
    if place is None:
        return None
    folder, name = (target, FILE) if target.is_dir() else (target.parent, f"{target.stem}.{FILE}")
    there = _beside(folder, fingerprint_in(place))
    if there is None:
        there = folder / name
        with whole(there) as part:
            copyfile(place, part)
    return there


def is_decoder(source: Source) -> bool:
    """Tell a decoder from a ControlNet."""
    return _KEY in source.notes


def describe_decoder(source: Source) -> dict[str, Any]:
    """Return what a decoder is, for `controlnet info`."""
    note = _note(source)
    return {
        "path": str(source.path),
        "format": "decoder",
        "title": "a base's decoder that was trained along with a ControlNet",
        "bytes": sum(file.stat().st_size for file in source.files),
        "tensors": len(source.pieces),
        "parameters": sum(prod(piece.shape) for piece in source.pieces.values()),
        "precision": source.precisions,
        **{key: note[key] for key in ("fingerprint", "base", "metadata")},
    }


def fingerprint_in(path: str | Path) -> str:
    """Return the fingerprint of a decoder's file, "" for another checkpoint; CheckpointError for no such."""
    source = look(path)
    return str(_note(source)["fingerprint"]) if is_decoder(source) else ""


def _places(sources: Sequence[str | Path]) -> dict[str, Path]:
    """Find the decoders of ControlNets, where there are any, by what they belong to: all are one."""
    places = {str(source): place for source in sources if (place := decoder_of(source)) is not None}
    agreed({source: fingerprint_in(place) for source, place in places.items()})
    return places


def _add(base: Base, places: Mapping[str, Path]) -> None:
    for source, place in list(places.items())[:1]:
        add_decoder(base, place)
        logger.info("the base has the decoder that was trained along with %s: %s", source, place)


def _beside(folder: Path, wanted: str) -> Path | None:
    return next((one for one in sorted(folder.glob(_BESIDE)) if fingerprint_in(one) == wanted), None)


def _note(source: Source) -> dict[str, Any]:
    note = read_object(source.notes[_KEY], source.path) if is_decoder(source) else {}
    if not isinstance(note.get("base"), dict) or not {"fingerprint", "metadata"} <= note.keys():
        raise CheckpointError(
            f"{source.path} is no decoder of ours; wanted the {FILE} that a training leaves beside its "
            "ControlNet"
        )
    return note
