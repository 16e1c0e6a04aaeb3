"""Settings read back from a picture: the same job again, as far as what it was made from is still there."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from controlnet.cli._controls import ControlText
from controlnet.cli._job import Added, Job
from controlnet.cli._maps import AS_IT_IS, HOLES
from controlnet.cli._png import read_texts
from controlnet.errors import DataError

if TYPE_CHECKING:
    from controlnet.sampling.record import ControlRecord, FileRecord, Record

DEVICE = "the kind of device"
UPSCALE: Final = "upscale"  # of the PNG's text that says how `controlnet upscale` laid its tiles
# Where one of these is another, maps that were made do not serve again.
_MAPPED: Final = {"controls", "annotators", "width", "height", "image", "mask", "outpaint", "hires"}

log = logging.getLogger(__name__)


def repeated(told: Job, given: set[str], source: Path) -> Job:
    """Take over the settings of a picture wherever the options, those in `given`, do not say otherwise.

    told: the job as the options alone would have it. Raises DataError for a picture without settings.
    """
    texts = read_texts(source)
    if "controlnet" in texts:
        from controlnet.sampling.record import Record

        found = _of_ours(told, Record.read(texts["controlnet"], str(source)), source)
    elif (command := _command(texts)) is not None:
        raise DataError(
            f"{source} was made by `{command}`, which --from does not repeat; call that again with the "
            f"settings that `controlnet info {source}` tells"
        )
    elif "parameters" in texts:
        found = _of_the_web_ui(told, texts["parameters"], source)
    else:
        known = f": its texts are {', '.join(texts)}" if texts else ""
        raise DataError(
            f"{source} tells no settings{known}; wanted a picture made by `controlnet sample` or the web UI, "
            "as it was written, since many programs drop the texts when they save it anew"
        )
    found = replace(found, **{name: getattr(told, name) for name in given}, source=source)
    if given & _MAPPED:
        found = replace(found, controls=[replace(control, map=None) for control in found.controls])
    return found


def rows(path: Path) -> list[tuple[str, str]]:
    """Tell the settings of a picture, name by name, for `controlnet info`; DataError where it has none."""
    from controlnet.sampling.infotext import read_infotext
    from controlnet.sampling.record import Record

    texts = read_texts(path)
    if "controlnet" not in texts:
        if "parameters" not in texts:
            raise DataError(f"{path} tells no settings; wanted a picture as it was written")
        read = read_infotext(texts["parameters"])
        told = [(name.replace("_", " "), str(value)) for name, value in read.settings.items()]
        command = _command(texts)
        if UPSCALE in texts:
            told.append(("tiles", texts[UPSCALE]))
        notes = [("note", note) for note in read.notes if command is None]
        return [("file", path.name), ("made by", command or "the web UI"), *told, *notes]
    record = Record.read(texts["controlnet"], str(path))
    values = record.model_dump(mode="json", exclude={"version"}, exclude_defaults=True)
    made = f"controlnet {record.version}"
    told = [(name.replace("_", " "), _told(value)) for name, value in values.items()]
    return [("file", path.name), ("made by", made), *told]


def _command(texts: Mapping[str, str]) -> str | None:
    """Name the other command of ours that a picture is from, if it is."""
    from controlnet.sampling.frames import KEY

    commands = {UPSCALE: "controlnet upscale", KEY: "controlnet frames"}
    return next((command for key, command in commands.items() if key in texts), None)


def _told(value: Any) -> str:
    """Write a value for a person: a file as its name and hash, what is nested one after the other."""
    if isinstance(value, dict):
        if "path" in value:
            more = [str(value[key]) for key in ("weight", "token") if key in value]
            return f"{':'.join([value['path'], *more])} ({value.get('hash', 'no hash')})"
        return ", ".join(f"{key} {_told(part)}" for key, part in value.items())
    if isinstance(value, list):
        return "\n".join(map(_told, value))
    return str(value)


def _of_ours(told: Job, record: "Record", source: Path) -> Job:
    place = _Place(source)
    place.known[record.base] = record.base_hash
    place.known[DEVICE] = record.device
    controls = [_control(place, control) for control in record.controls]
    return replace(
        told,
        prompts=record.prompts or [record.prompt],
        negative=record.negative_prompt,
        base=record.base,
        vae=place.found(record.vae),
        text_encoders=[place.found(file) for file in record.text_encoders],
        prediction_type=record.prediction_type,
        ema=record.ema,
        reuse=record.reuse,
        vae_tile=record.vae_tile,
        controls=[text for text, _ in controls],
        annotators=[annotator for _, annotator in controls],
        seed=record.seed,
        count=record.count,
        steps=record.steps,
        guidance=record.guidance_scale,
        guidance_rescale=record.guidance_rescale,
        clip_skip=record.clip_skip,
        sampler=record.sampler,
        # What grows has its size from the picture and its sides.
        width=None if record.outpaint else record.width,
        height=None if record.outpaint else record.height,
        image=place.found(record.image),
        mask=place.found(record.mask),
        feather=record.feather,
        outpaint=record.outpaint,
        strength=record.strength,
        hires=record.hires,
        hires_strength=record.hires_strength,
        upscaler=record.upscaler,
        grid=record.grid,
        device="cpu" if record.device == "cpu" else told.device,
        loras=[_added(place, file) for file in record.loras],
        embeddings=[_added(place, file) for file in record.embeddings],
        known=place.known,
    )


def _of_the_web_ui(told: Job, text: str, source: Path) -> Job:
    from controlnet.sampling.infotext import read_infotext

    read = read_infotext(text)
    for note in read.notes:
        log.warning("%s: %s", source, note)
    names = {"negative_prompt": "negative", "guidance_scale": "guidance"}
    values: dict[str, Any] = {names.get(name, name): value for name, value in read.settings.items()}
    return replace(told, prompts=[values.pop("prompt")], **values)


class _Place:
    """Finds what a picture names: as the path stands, else beside the picture; keeps the hashes."""

    def __init__(self, source: Path) -> None:
        self._folder = source.parent
        self.known: dict[str, str] = {}

    def found(self, file: "FileRecord | None") -> Path | None:
        """Give the path under which a file is found; one that is nowhere stays as it was named."""
        if file is None:
            return None
        path = self._where(file.path)
        self.known[str(path)] = file.hash
        return path

    def net(self, file: "FileRecord") -> str:
        """Give a ControlNet's path likewise, or the name of a shipped one or of one on the hub."""
        path = self._where(file.path)
        name = str(path) if path.exists() else file.path
        self.known[name] = file.hash
        return name

    def same(self, file: "FileRecord | None") -> Path | None:
        """Give the path of a map only if it is still what it was; one that is not is told by name."""
        from controlnet.conditions._image import to_array
        from controlnet.sampling.digest import Digests

        if file is None:
            return None
        path = self._folder / Path(file.path).name
        if not path.is_file():
            return None
        if Digests().of(to_array(path)) == file.hash:
            return path
        log.warning("%s has changed: the map is made anew", path)
        return None

    def _where(self, name: str) -> Path:
        path = Path(name)
        beside = self._folder / path.name
        return beside if not path.exists() and beside.exists() else path


def _control(place: _Place, record: "ControlRecord") -> tuple[ControlText, str | None]:
    """Give a control and its annotator; the map beside the picture serves again, or in place of its photo."""
    made, image = place.same(record.map), place.found(record.image)
    assert image is not None
    annotator = record.annotator
    if made is not None and not image.exists():
        log.warning("%s is gone; %s, which was made of it, takes its place", image, made)
        image, made, annotator = made, None, AS_IT_IS if _holed(annotator) else None
    text = ControlText(
        place.net(record.net),
        image,
        str(record.weight),
        record.start,
        record.end,
        record.mode,
        place.found(record.mask),
        record.rule,
        record.law,
        record.taps,
        map=made,
    )
    return text, annotator


def _holed(annotator: str | None) -> bool:
    """Say whether an annotator makes maps for inpainting, whose black pixels are holes."""
    from controlnet.conditions import condition

    return annotator is not None and condition(annotator).name() == HOLES


def _added(place: _Place, file: "FileRecord") -> Added:
    path = place.found(file)
    assert path is not None
    return Added(path, 1.0 if file.weight is None else file.weight, file.token)


def changed(known: Mapping[str, str], hashes: dict[str, str]) -> Sequence[str]:
    """Name what is no longer what it was."""
    return [name for name, found in hashes.items() if known.get(name, found) not in ("", found)]
