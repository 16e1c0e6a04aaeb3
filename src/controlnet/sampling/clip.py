"""Sequences of pictures: read from a folder or a video, written as a video."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, final

import cv2
import numpy as np

from controlnet.conditions._image import Picture, Pixels, to_array
from controlnet.errors import DataError, SettingError
from controlnet.files import whole

PICTURES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEOS: Final = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}  # as they are written
RATE: Final = 25.0  # frames a second, where a source has none


@final
@dataclass(frozen=True)
class Clip:
    """The frames of a folder, in the order of the numbers in their names, or of a video.

    Iterating yields each frame's name, without suffix, and its pixels, one at a time. Raises DataError for a
    source that is missing, holds no picture or cannot be read.
    """

    source: Path

    def __post_init__(self) -> None:
        if not self.source.exists():
            raise DataError(f"no folder and no video at {self.source}; check the path")
        if self.source.is_dir() and not self._files():
            raise DataError(
                f"{self.source} holds no picture; wanted files with one of {', '.join(sorted(PICTURES))}"
            )

    @property
    def rate(self) -> float:
        """Frames a second: the video's own, else 25."""
        if self.source.is_dir():
            return RATE
        rate = self._opened().get(cv2.CAP_PROP_FPS)
        return rate if isfinite(rate) and rate > 0 else RATE

    @property
    def count(self) -> int:
        """How many frames there are; of a video, how many its header claims, 0 where it says nothing."""
        if self.source.is_dir():
            return len(self._files())
        return max(0, int(self._opened().get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[tuple[str, Pixels]]:
        if self.source.is_dir():
            files = self._files()
            stems = Counter(path.stem for path in files)
            for path in files:
                yield path.stem if stems[path.stem] == 1 else path.name, to_array(path)
            return
        video = self._opened()
        number = 0
        while (read := video.read())[0]:
            number += 1
            yield frame_name(number), _rgb(read[1])
        if number == 0:
            raise DataError(f"{self.source} has no frame that can be read; it may be damaged or cut short")

    def _files(self) -> list[Path]:
        found = (path for path in self.source.iterdir() if path.suffix.lower() in PICTURES)
        return sorted((path for path in found if not path.name.startswith(".")), key=_natural)

    def _opened(self) -> Any:
        video = cv2.VideoCapture(str(self.source))
        if not video.isOpened():
            raise DataError(f"cannot read {self.source} as a video; wanted MP4, AVI …, or a folder")
        return video


def frame_name(number: int) -> str:
    """Name a frame that has no name of its own, the first being number 1."""
    return f"{number:06d}"


def save_video(path: str | Path, pictures: Iterable[Picture], rate: float = RATE) -> None:
    """Write pictures of one size as a video, whole or not at all.

    The suffix tells the kind: .mp4, .mov, .mkv (MPEG-4) or .avi (Motion JPEG). Raises SettingError for
    another suffix or rate, and DataError for no pictures, or for pictures of several sizes.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEOS or not (isfinite(rate) and rate > 0):
        raise SettingError(
            f"got {path} at {rate} frames a second; wanted one of {', '.join(VIDEOS)}, and more than 0"
        )
    with whole(path) as part:
        code = cv2.VideoWriter.fourcc(*VIDEOS[path.suffix.lower()])
        writer, size = None, (0, 0)
        try:
            for picture in pictures:
                array = to_array(picture)
                own = (array.shape[1], array.shape[0])
                if writer is None:
                    writer, size = cv2.VideoWriter(str(part), code, rate, own), own
                if own != size:
                    raise DataError(
                        f"got frames of {size[0]}x{size[1]} and of {own[0]}x{own[1]} pixels for {path}; "
                        "wanted one size: give width and height"
                    )
                writer.write(np.ascontiguousarray(array[..., ::-1]))
        finally:
            if writer is not None:
                writer.release()
        if writer is None:
            raise DataError(f"got no frames for {path}; wanted at least one")
        if part.stat().st_size == 0:
            raise DataError(f"this OpenCV writes no {path.suffix} video; choose another suffix, or a folder")


def _rgb(frame: np.ndarray) -> Pixels:
    return np.ascontiguousarray(frame[..., ::-1])


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
