"""A sequence of frames, each under control maps of its own, all from one seed; it goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Unpack

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet import __version__
from controlnet.backbones import Base
from controlnet.conditions._image import Picture, Pixels, to_array
from controlnet.errors import DataError, SettingError
from controlnet.files import whole
from controlnet.sampling.clip import RATE, VIDEOS, Clip, frame_name, save_video
from controlnet.sampling.control import Control
from controlnet.sampling.digest import Digests
from controlnet.sampling.latents import Progress
from controlnet.sampling.options import Options
from controlnet.sampling.pipeline import generate

KEY: Final = "frame"  # of the PNG's text that says what the frame was made from

Controls = Callable[[Pixels], Sequence[Control]]
"""Makes the controls of a frame from its pixels, (H, W, 3) uint8 in RGB."""


def generate_frames(
    base: Base,
    prompt: str,
    source: str | Path | Iterable[Picture],
    out: str | Path,
    controls: Controls | None = None,
    *,
    strength: float = 1.0,
    seed: int = 7,
    width: int | None = None,
    height: int | None = None,
    rate: float | None = None,
    overwrite: bool = False,
    keep: bool = False,
    texts: Mapping[str, str] | None = None,
    on_frame: Callable[[Path, bool], None] | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> list[Path]:
    """Make a picture of each frame of `source`, into a folder or a video, and return the files written.

    source: a folder of pictures, a video, or pictures. out: a folder of PNGs, or a video (.mp4, .mov, .mkv,
    .avi), whose frames wait in the folder `out`.frames until all are there; `keep` leaves them. controls:
    called once with each frame, in order; `lambda frame: [Control(net, annotate("canny", frame))]`, for one.
    strength below 1 begins each picture from its frame. All pictures have the same seed, which is what keeps
    them alike. rate: frames a second of the video; None means the source's own. A frame that is there and was
    made from the same networks, settings and pictures is not made again unless `overwrite`. texts: kept in
    each PNG. on_frame: told of each file, and whether it was made now. No file is ever half-written.

    Raises SettingError for places that cannot be and frames that would all be one picture, DataError for
    sources that cannot be read, and what `generate` raises.
    """
    if controls is None and strength == 1.0:
        raise SettingError(
            "got frames without controls at strength 1, so that all would be one picture; wanted controls, a "
            "strength below 1, or both"
        )
    frames = Clip(Path(source)) if isinstance(source, (str, Path)) else _named(source)
    clip = frames if isinstance(frames, Clip) else None
    out = Path(out)
    folder = frames_folder(out, [] if clip is None else [clip])
    digests, made = Digests(), list[Path]()
    networks = (base.network, base.vae, *base.text_encoders, base.words, base.scheduler_config, base.vae_tile)
    settings = (__version__, networks, prompt, strength, seed, width, height, dict(options))
    for name, frame in frames:
        path = folder / f"{name}.png"
        steered = [] if controls is None else controls(frame)
        image = frame if strength < 1.0 else None
        digest = digests.of(settings, steered, image)
        fresh = overwrite or _digest_in(path) != digest
        if fresh:
            (picture,) = generate(
                base,
                prompt,
                steered,
                seed=seed,
                width=width,
                height=height,
                image=image,
                strength=strength,
                progress=progress,
                **options,
            )
            _save(path, picture, {**(texts or {}), KEY: digest})
        made.append(path)
        if on_frame is not None:
            on_frame(path, fresh)
    if not made:
        raise DataError("got no frames; wanted at least one picture")
    if out.suffix.lower() not in VIDEOS:
        return made
    save_video(out, made, rate or (RATE if clip is None else clip.rate))
    if not keep:
        for path in made:
            path.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    return [out]


def frames_folder(out: Path, sources: Sequence[Clip]) -> Path:
    """Settle where the frames go; SettingError where they cannot, or would replace one of the sources."""
    if out.suffix.lower() in VIDEOS:
        folder = out.with_name(f"{out.name}.frames")
        wrong = out.is_dir()
    else:
        folder = out
        # A suffix of letters means a file: a folder called "picture.gif" is hardly meant.
        wrong = (out.exists() and not out.is_dir()) or re.fullmatch(r"\.[A-Za-z]\w*", out.suffix) is not None
    if wrong:
        raise SettingError(f"got {out} for frames; wanted a folder, or a video ({', '.join(VIDEOS)})")
    own = {clip.source.resolve() for clip in sources}
    if folder.resolve() in own or out.resolve() in own:
        raise SettingError(f"the frames would replace {out}, which is read; choose another place")
    return folder


def _named(pictures: Iterable[Picture]) -> Iterator[tuple[str, Pixels]]:
    for number, picture in enumerate(pictures, start=1):
        yield frame_name(number), to_array(picture)


def _save(path: Path, picture: Image.Image, texts: Mapping[str, str]) -> None:
    notes = PngInfo()
    for key, text in texts.items():
        notes.add_itxt(key, text)
    with whole(path) as part:
        picture.save(part, format="PNG", pnginfo=notes)


def _digest_in(path: Path) -> object:
    try:
        with Image.open(path) as image:
            image.load()
            return image.info.get(KEY)
    except (OSError, SyntaxError, ValueError):
        return None
