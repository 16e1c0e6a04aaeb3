"""Pictures from requests that are ready: row by row through the sampler, together where that is wanted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor

from controlnet.backbones import Base
from controlnet.conditions._image import resized
from controlnet.sampling import Control, Record, hires, sample_latents
from controlnet.sampling.images import to_pictures
from controlnet.sampling.inpaint import paste_back
from controlnet.service.pictures import png, small_jpeg
from controlnet.service.preparing import Ready, put_back

PREVIEW_SHARE: Final = 5  # of the time goes into previews at most: one part in so many


class Stopped(Exception):
    """All jobs of the pictures in work were ended."""


class Orders(Protocol):
    """What a worker hears and tells while it works."""

    def tell(self, what: str, job: str, *rest: Any) -> None:
        """Tell the engine about a job."""
        ...

    def wanted(self, job: str) -> str:
        """Say what is wanted of a job by now: "go", "drop", "keep" or, once, "skip"."""
        ...


@dataclass(eq=False)
class Part:
    """A job within a group: what is ready, how many of its rows are made, and how it ends."""

    id: str
    ready: Ready
    record: Record  # of the first picture
    made: int = 0
    ended: str = "go"
    told: bool = False


@dataclass(eq=False)
class Rows:
    """Pictures that go through the networks together, (part, number) each; knows how far they are."""

    base: Base
    rows: Sequence[tuple[Part, int]]
    orders: Orders
    estimate: Tensor | None = None
    _next_preview: float = 0.0
    parts: list[Part] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = list({part.id: part for part, _ in self.rows}.values())

    def step(self, done: int, total: int, latents: Tensor) -> None:
        """Take note of a step; raises Stopped where nobody wants the outcome any more."""
        skipped = False
        for part in self.parts:
            order = self.orders.wanted(part.id)
            if order == "skip":
                skipped = True
            elif part.ended == "go":
                part.ended = order
            count = part.ready.request.count
            mine = sum(own is part for own, _ in self.rows)
            self.orders.tell("step", part.id, part.made * total + mine * done, count * total)
        if all(part.ended != "go" for part in self.parts) or (skipped and len(self.parts) == 1):
            raise Stopped

    def see(self, latents: Tensor) -> None:
        """Take what is to be expected by now, and show it if it is time to."""
        self.estimate = latents
        begun = monotonic()
        if begun < self._next_preview:
            return
        shown: set[str] = set()
        for row, (part, _) in enumerate(self.rows):
            if part.ready.request.preview and part.id not in shown:
                shown.add(part.id)
                pixels = self.base.decode_latents(latents[row : row + 1].to(self.base.dtype)).float().cpu()
                self.orders.tell("preview", part.id, small_jpeg(to_pictures(pixels)[0]))
        self._next_preview = monotonic() + (PREVIEW_SHARE - 1) * (monotonic() - begun)


@torch.inference_mode()
def make(base: Base, parts: Sequence[Part], batch: int, orders: Orders) -> None:
    """Make the pictures of jobs of one kind, `batch` of them at a time, and tell each as it is done."""
    rows = [(part, number) for part in parts for number in range(part.ready.request.count)]
    for low in range(0, len(rows), batch):
        chunk = [(part, number) for part, number in rows[low : low + batch] if _goes_on(part, orders)]
        for part, number, picture in _made(base, Rows(base, chunk, orders)) if chunk else ():
            part.made += 1
            if part.ended != "drop":
                _tell(part, number, picture, orders)
        left = {id(part) for part, _ in rows[low + batch :]}
        for part in parts:
            if not part.told and (part.ended != "go" or id(part) not in left):
                _finish(part, orders)


def _finish(part: Part, orders: Orders) -> None:
    part.told = True
    if part.ended == "drop":
        orders.tell("cancelled", part.id, {"interrupted": True})
        return
    units = zip(part.ready.maps, part.ready.request.units, strict=True)
    maps = [png(image) for image, unit in units if unit.keep_map]
    told = {"size": part.ready.asked, "record": part.record.model_dump(mode="json")}
    orders.tell("done", part.id, {"maps": maps, "interrupted": part.ended == "keep", "told": told})


def _goes_on(part: Part, orders: Orders) -> bool:
    order = orders.wanted(part.id)
    if part.ended == "go" and order != "skip":
        part.ended = order
    return part.ended == "go"


def _made(base: Base, rows: Rows) -> Iterator[tuple[Part, int, np.ndarray]]:
    """Sample and decode some rows; those that were stopped are given as they were to be expected."""
    if rows.rows[0][0].ready.request.second is not None:
        yield from _twice(base, rows)
        return
    try:
        latents = _sampled(base, rows)
    except Stopped:
        if rows.estimate is None or all(part.ended == "drop" for part in rows.parts):
            return
        latents = rows.estimate
    for (part, number), own in zip(rows.rows, latents.split(1), strict=True):
        ready = part.ready
        decoded = base.decode_latents(own.to(base.dtype)).float().cpu()
        whole = ready.region is None or ready.pixels is None
        pictures = to_pictures(decoded) if whole else paste_back(decoded, ready.pixels, ready.region)  # pyright: ignore[reportArgumentType]
        yield part, number, np.asarray(pictures[0])


def _sampled(base: Base, rows: Rows) -> Tensor:
    all_ready = [part.ready for part, _ in rows.rows]
    first = all_ready[0]
    request = first.request
    negatives = [ready.negative for ready in all_ready if ready.negative is not None]
    return sample_latents(
        base,
        [ready.context for ready in all_ready],
        negatives or None,
        [_joined([ready.controls[k] for ready in all_ready]) for k in range(len(first.controls))],
        seeds=[part.ready.request.seed + number for part, number in rows.rows],
        size=first.size,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        guidance_rescale=request.guidance_rescale,
        sampler=request.sampler,
        start=_stacked([ready.start for ready in all_ready]),
        repaint=_stacked([ready.repaint for ready in all_ready]),
        strength=request.strength,
        progress=rows.step,
        preview=rows.see,
    )


def _joined(controls: Sequence[Control]) -> Control:
    """Make one control of those of some rows, which differ in their pictures alone."""
    image = torch.cat([control.image for control in controls if isinstance(control.image, Tensor)])
    masks = [control.mask for control in controls if isinstance(control.mask, Tensor)]
    return replace(controls[0], image=image, mask=torch.cat(masks) if masks else None)


def _stacked(tensors: Sequence[Tensor | None]) -> Tensor | None:
    found = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(found) if found else None


def _twice(base: Base, rows: Rows) -> Iterator[tuple[Part, int, np.ndarray]]:
    for part, number in rows.rows:
        ready, request = part.ready, part.ready.request
        own = Rows(base, [(part, number)], rows.orders)
        assert request.second is not None
        passes = [
            [
                c
                for c, unit in zip(ready.controls, request.units, strict=True)
                if unit.passes in ("both", which)
            ]
            for which in ("first", "second")
        ]
        maps = {id(c): m for c, m in zip(ready.controls, ready.maps, strict=True)}
        first, second = ([replace(c, image=maps[id(c)]) for c in controls] for controls in passes)
        try:
            (picture,) = hires(
                base,
                request.prompt,
                first,
                second,
                width=ready.size[0],
                height=ready.size[1],
                scale=request.second.scale,
                strength=request.second.strength,
                second_steps=request.second.steps,
                upscaler=request.second.upscaler,  # type: ignore[arg-type]  # hires knows the names
                seed=request.seed + number,
                progress=_in_two(own.step),
                preview=own.see,
                negative_prompt=request.negative_prompt,
                steps=request.steps,
                guidance_scale=request.guidance_scale,
                guidance_rescale=request.guidance_rescale,
                sampler=request.sampler,
                clip_skip=request.clip_skip,
            )
        except Stopped:
            return
        yield part, number, np.asarray(picture)


def _in_two(step: Callable[[int, int, Tensor], None]) -> Callable[[int, int, Tensor], None]:
    """Count the steps of two passes as one walk; the second is taken to be as long as the first."""
    behind = [0]

    def both(done: int, total: int, latents: Tensor) -> None:
        step(min(behind[0] + done, 2 * total), 2 * total, latents)
        if done == total:
            behind[0] = total

    return both


def _tell(part: Part, number: int, picture: np.ndarray, orders: Orders) -> None:
    request = part.ready.request
    picture = put_back(picture, request)
    if request.area is None and request.second is None and picture.shape[1::-1] != part.ready.asked:
        picture = resized(picture, *part.ready.asked)
    record = part.record.model_copy(update={"seed": request.seed + number})
    orders.tell("picture", part.id, png(picture, record.texts()), record.seed, record.parameters())
