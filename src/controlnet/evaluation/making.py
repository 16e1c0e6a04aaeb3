"""The pictures of an evaluation: made batch by batch, saved as they come, never made twice.

OUT/pictures/NAME/SETTING/000012.png is example 12 of the subject NAME under a prompt setting;
000012-1.png is the same from the second seed. settings.json beside the settings tells what the pictures were
made with: other settings are refused there.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from PIL import Image

from controlnet.backbones import Base
from controlnet.checkpoints import load_controlnet
from controlnet.checkpoints.decoder import with_decoders
from controlnet.conditions._image import to_array
from controlnet.core.controlnet import ControlNet
from controlnet.data.transforms import Transform
from controlnet.errors import SettingError
from controlnet.evaluation.cases import Case, Cases, Pixels
from controlnet.evaluation.prompts import prompt_of
from controlnet.evaluation.ranks import Ranks
from controlnet.evaluation.subjects import Subject, pictures_in
from controlnet.files import whole
from controlnet.sampling import Control, sample_latents
from controlnet.sampling.control import mode_of
from controlnet.sampling.images import to_pictures
from controlnet.sampling.prompts import encode_pairs

FREE: Final = "any"  # the setting of what depends on no prompt
NEXT_SEED: Final = 1 << 32  # from one seed of an example to the next: no two examples meet


@dataclass(frozen=True)
class Sampling:
    """How every picture is sampled; all of it is told in the report."""

    steps: int = 20
    guidance_scale: float = 7.5
    sampler: str = "dpm++2m"
    negative: str = ""
    seed: int = 0
    batch: int = 8

    def seed_of(self, index: int, number: int) -> int:
        """Return the seed of an example's picture."""
        return self.seed + index + number * NEXT_SEED


Acting = Sequence[tuple[ControlNet, Cases]]
"""The ControlNets that take part in a picture, each with the examples whose maps it gets."""


@final
class Gallery:
    """The pictures of all subjects in a folder."""

    def __init__(self, root: Path, base: Base, cases: Cases, sampling: Sampling, seeds: int) -> None:
        self._root, self._base, self._cases = root / "pictures", base, cases
        self._sampling, self._seeds = sampling, seeds

    def path(self, subject: Subject, setting: str, index: int, number: int = 0) -> Path:
        """Return where a picture lies, or will."""
        name = f"{index:06d}{f'-{number}' if number else ''}.png"
        return self._root / subject.folder / setting / name

    def seeds(self, subject: Subject) -> int:
        """Count the pictures of an example."""
        return self._seeds if subject.prompted else 1

    def claim(self, subject: Subject, condition: str) -> None:
        """Note what a subject's pictures are made with; SettingError where others lie there already."""
        told = self._told(subject, condition)
        path = self._root / subject.folder / "settings.json"
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            unlike = [
                f"{key} {before.get(key)!r} (now {told.get(key)!r})"
                for key in sorted({*before, *told})
                if before.get(key) != told.get(key)
            ]
            if unlike:
                raise SettingError(
                    f"{path.parent} holds pictures made with {', '.join(unlike)}; give another --out, or "
                    "remove that folder"
                )
            return
        with whole(path) as part:
            part.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")

    def lacking(self, subject: Subject, setting: str) -> list[tuple[int, range]]:
        """Return the batches that lack a picture: the number of the seed, and the examples."""
        batch, found = self._sampling.batch, list[tuple[int, range]]()
        for number in range(self.seeds(subject)):
            for first in range(0, len(self._cases), batch):
                rows = range(first, min(first + batch, len(self._cases)))
                if not all(self.path(subject, setting, index, number).is_file() for index in rows):
                    found.append((number, rows))
        return found

    def make(
        self, subject: Subject, settings: Sequence[str], ranks: Ranks, advance: Callable[[int], object]
    ) -> None:
        """Make the pictures that are lacking, this process its share; `advance` is told how many."""
        work = [(setting, *piece) for setting in settings for piece in self.lacking(subject, setting)]
        base, acting = self._base, None
        for setting, number, rows in work:
            # By the batch's own number: what is lacking changes while others work.
            if not ranks.mine(rows.start // self._sampling.batch + number):
                continue
            cases = [self._cases[index] for index in rows]
            if subject.kind == "ceiling":
                made = self._through(cases)
            elif subject.kind == "pictures":
                made = list(self._brought(subject, cases))
            else:
                if acting is None:
                    base, acting = self._acting(subject)
                made = self._sampled(subject, base, acting, setting, number, cases)
            for case, picture in zip(cases, made, strict=True):
                path = self.path(subject, setting, case.index, number)
                if not path.is_file():  # of a batch that was stopped some may be there
                    with whole(path) as part:
                        picture.save(part, format="PNG")
            advance(len(cases))

    def prompt(self, subject: Subject, setting: str, case: Case) -> str:
        """Return the prompt of a picture; what depends on none is held against the caption."""
        if setting == FREE:
            return case.caption
        return prompt_of(setting, case.index, self._cases.total, self._cases.caption)

    def read(self, subject: Subject, setting: str, index: int, number: int = 0) -> Pixels:
        """Read a picture."""
        return to_array(self.path(subject, setting, index, number))

    def _told(self, subject: Subject, condition: str) -> dict[str, Any]:
        told: dict[str, Any] = {**self._cases.identity(), "kind": subject.kind}
        if subject.kind == "pictures":
            return told | {"source": str(subject.source)}
        told["base"] = self._base.fingerprint()
        if subject.kind == "ceiling":
            return told
        if subject.kind == "control":
            told |= {"weights": subject.digest, "condition": condition, "mode": subject.mode or "balanced"}
            told |= {"decoder": subject.decoder} if subject.decoder else {}
            if subject.parts:
                told["condition"] = [part.condition for part in subject.parts]
            if subject.law is not None:
                told["law"] = subject.law
        return told | asdict(self._sampling)

    def _acting(self, subject: Subject) -> tuple[Base, Acting]:
        """Load a subject's ControlNets, each with the examples it acts on, and give the base for them."""
        parts = [(part, part.source) for part in subject.parts or (subject,) if part.source is not None]
        base = with_decoders(self._base, [source for part, source in parts if part.decoder])
        return base, [
            (
                load_controlnet(source, base).eval(),
                self._cases if part is subject else self._cases.under(part.condition or ""),
            )
            for part, source in parts
        ]

    @torch.inference_mode()
    def _sampled(
        self,
        subject: Subject,
        base: Base,
        acting: Acting,
        setting: str,
        number: int,
        cases: Sequence[Case],
    ) -> list[Image.Image]:
        how = self._sampling
        height, width = cases[0].truth.shape[:2]
        prompts = [self.prompt(subject, setting, case) for case in cases]
        negatives = [how.negative] * len(prompts) if how.guidance_scale != 1.0 else None
        controls: list[Control] = []
        for net, own in acting:
            maps = np.stack([own[case.index].condition for case in cases]).transpose(0, 3, 1, 2)
            image = torch.from_numpy(maps.astype(np.float32) / 255).to(base.device, base.dtype)
            controls.append(Control(net, image, mode=mode_of(subject.mode or "balanced"), law=subject.law))
        latents = sample_latents(
            base,
            *encode_pairs(base, prompts, negatives, (width, height)),
            controls,
            seeds=[how.seed_of(case.index, number) for case in cases],
            size=(width, height),
            steps=how.steps,
            guidance_scale=how.guidance_scale,
            sampler=how.sampler,
        )
        decoded = [base.decode_latents(latent.to(base.dtype)) for latent in latents.split(1)]
        return [picture for pixels in decoded for picture in to_pictures(pixels.float().cpu())]

    @torch.inference_mode()
    def _through(self, cases: Sequence[Case]) -> list[Image.Image]:
        """Bring true pictures through the autoencoder and back."""
        base, made = self._base, list[Image.Image]()
        for case in cases:
            pixels = torch.from_numpy(case.truth.copy()).permute(2, 0, 1)[None] / 127.5 - 1
            latents = base.encode_pixels(pixels.to(base.device, base.dtype))
            made += to_pictures(base.decode_latents(latents).float().cpu())
        return made

    def _brought(self, subject: Subject, cases: Sequence[Case]) -> Iterator[Image.Image]:
        """Bring pictures from elsewhere to the size of the examples."""
        assert subject.source is not None
        files = pictures_in(subject.source)
        if len(files) < len(self._cases):
            raise SettingError(
                f"{subject.source} holds {len(files)} pictures for {len(self._cases)} examples; wanted one "
                "for each, in the order of the data set: take fewer examples with --count, or add the others"
            )
        for case in cases:
            picture, size = to_array(files[case.index]), case.truth.shape[:2]
            tall, wide = picture.shape[:2]
            place = Transform((size[0], size[1])).place(tall, wide, np.random.default_rng(0))
            yield Image.fromarray(place(picture))


def settings_of(subject: Subject, prompts: Sequence[str]) -> Sequence[str]:
    """Return the prompt settings under which a subject makes pictures."""
    return prompts if subject.prompted else (FREE,)
