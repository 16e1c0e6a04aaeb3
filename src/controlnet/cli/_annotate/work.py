"""One picture's map: made, saved with a note of how, and recognised by it when the command runs again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from controlnet.cli._annotate.places import KEYPOINTS, MAPS
from controlnet.errors import DataError, SettingError
from controlnet.files import whole

if TYPE_CHECKING:
    from controlnet.conditions._base import Condition
    from controlnet.conditions._image import Fit, Pixels

_NOTE = "controlnet"  # the key of the PNG's text


@runtime_checkable
class Poses(Protocol):
    """A condition that finds keypoints, and draws them."""

    def find_people(self, image: "Pixels") -> Any: ...

    def draw(self, pose: Any) -> "Pixels": ...


@dataclass(frozen=True)
class Work:
    """What is made of each picture: the condition, pixel-perfect for (width, height), keypoints beside it."""

    detector: "Condition"
    target: tuple[int, int] | None = None
    fit: "Fit" = "crop"
    keypoints: bool = False

    def __post_init__(self) -> None:
        if self.keypoints and not isinstance(self.detector, Poses):
            raise SettingError(
                f"{self.detector.name()} finds no keypoints; leave out --keypoints, or use a condition that "
                "does, such as openpose"
            )

    def __str__(self) -> str:
        if self.target is None:
            return str(self.detector)
        width, height = self.target
        return f"{self.detector} for {width}x{height} by {self.fit}"

    def is_done(self, picture: Path, target: Path) -> bool:
        """Tell whether the map is there, no older than its picture, and made in this very way."""
        files = [target, target.with_suffix(KEYPOINTS)] if self.keypoints else [target]
        try:
            since = picture.stat().st_mtime
            return all(file.stat().st_mtime >= since for file in files) and _note_in(target) == str(self)
        except OSError:
            return False

    def make(self, picture: Path, target: Path) -> None:
        """Write the map of a picture, or of the keypoints in an OpenPose JSON file; whole or not at all."""
        from PIL import Image

        pixels, pose = self._map(picture)
        if pose is not None and self.keypoints:
            from controlnet.conditions._keypoints import to_json

            with whole(target.with_suffix(KEYPOINTS)) as part:
                part.write_text(json.dumps(to_json(pose)) + "\n")
        _save(target, Image.fromarray(pixels), str(self))

    def _map(self, picture: Path) -> "tuple[Pixels, Any]":
        from controlnet.conditions._image import to_array

        if picture.suffix.lower() == KEYPOINTS:
            return self._drawn(picture)
        pixels = to_array(picture)
        detector = self.detector
        if self.target is not None:
            width, height = self.target
            detector = detector.pixel_perfect(pixels.shape[:2], (height, width), self.fit)
        if not self.keypoints:
            return detector(pixels), None
        poses = cast(Poses, detector)
        pose = poses.find_people(pixels)
        return poses.draw(pose), pose

    def _drawn(self, file: Path) -> "tuple[Pixels, Any]":
        if not isinstance(self.detector, Poses):
            raise DataError(
                f"{file} is no picture, and {self.detector.name()} draws no keypoints; wanted a picture, or "
                "a condition that does, such as openpose"
            )
        from controlnet.conditions._keypoints import read

        pose = read(file)
        return self.detector.draw(pose), pose


def _save(target: Path, image: Any, note: str) -> None:
    from controlnet.cli._png import save_png

    if target.suffix.lower() == ".png":
        save_png(target, image, {_NOTE: note})
        return
    with whole(target) as part:
        image.save(part, **MAPS[target.suffix.lower()])


def _note_in(path: Path) -> object:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.info.get(_NOTE)
    except (OSError, SyntaxError, ValueError):
        return None
