"""People as keypoints, and OpenPose's JSON of them.

The 18 keypoints of a body are OpenPose's COCO model: nose, neck, right shoulder, elbow, wrist, left shoulder,
elbow, wrist, right hip, knee, ankle, left hip, knee, ankle, right eye, left eye, right ear, left ear; left
and right are the person's own. Hands have 21: the wrist, then four of each finger from the thumb on. Faces
have 70: the 68 of the iBUG 300-W scheme, then the right and the left pupil.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard, cast

import numpy as np
from jaxtyping import Float

from controlnet.errors import DataError, ShapeError

BODY: Final = 18
HAND: Final = 21
FACE: Final = 70

Points = Float[np.ndarray, "n 3"]

_LARGEST: Final = 64_000_000  # pixels of a canvas
_FARTHEST: Final = 100_000  # pixels from the corner
# A whole person within two pixels is no person: the coordinates are fractions of the canvas. Not just up to
# 1, since a foot may lie below the picture.
_FRACTIONS: Final = 2.0

# Numbers of keypoints that files have, and what is taken of each: OpenPose's newer model adds hips and feet;
# sd-webui's files leave out what was not found of a face, and nobody can tell from them what that was, and
# they may end with a 71st, which is where the background is surest.
_BODY_25: Final = (*range(8), *range(9, 19))
_TAKEN: Final[dict[str, dict[int, tuple[int, ...]]]] = {
    "pose_keypoints_2d": {BODY: tuple(range(BODY)), 25: _BODY_25},
    "hand_left_keypoints_2d": {HAND: tuple(range(HAND))},
    "hand_right_keypoints_2d": {HAND: tuple(range(HAND))},
    "face_keypoints_2d": {count: tuple(range(min(count, FACE))) for count in range(1, FACE + 2)},
}
_WHOLE: Final = dict(zip(_TAKEN, (BODY, HAND, HAND, FACE), strict=True))


@dataclass(frozen=True, eq=False)
class Person:
    """One person's keypoints, each x and y in pixels and a score, which is 0 where a point was not found.

    Raises ShapeError for other numbers of keypoints than 18, 21, 21 and 70.
    """

    body: Float[np.ndarray, "18 3"]
    left_hand: Float[np.ndarray, "21 3"] | None = None
    right_hand: Float[np.ndarray, "21 3"] | None = None
    face: Float[np.ndarray, "70 3"] | None = None

    def __post_init__(self) -> None:
        for (key, points), wanted in zip(self.parts().items(), _WHOLE.values(), strict=True):
            if points is not None and points.shape != (wanted, 3):
                raise ShapeError(f"{key} have the shape {points.shape}; wanted ({wanted}, 3)")

    def parts(self) -> dict[str, Points | None]:
        """Return the four parts by the names that they have in OpenPose's JSON."""
        return dict(zip(_TAKEN, (self.body, self.left_hand, self.right_hand, self.face), strict=True))

    def scaled(self, across: float, down: float) -> "Person":
        """Return the person with x and y multiplied."""
        factors = np.array([across, down, 1.0])
        return Person(*(None if part is None else part * factors for part in self.parts().values()))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class Pose:
    """The people in a picture of this height and width; their coordinates are its pixels."""

    people: tuple[Person, ...]
    height: int
    width: int

    def resized(self, height: int, width: int) -> "Pose":
        """Return the pose for the picture at another size."""
        across, down = width / self.width, height / self.height
        return Pose(tuple(person.scaled(across, down) for person in self.people), height, width)


def read(path: Path) -> Pose:
    """Read OpenPose's JSON from a file; raises DataError, which names the file and what is wrong in it."""
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}); wanted keypoints in OpenPose's JSON") from error
    try:
        return from_json(told)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def from_json(told: object, size: tuple[int, int] | None = None) -> Pose:
    """Return the pose in OpenPose's JSON: "people", "canvas_height" and "canvas_width".

    Coordinates are pixels or fractions of the canvas: fractions where none in the file is beyond 2. A list
    that holds one picture is taken for that picture, bodies of 25 keypoints are reduced to 18, faces of 68
    lack their pupils, those of other numbers fill the first places, and parts that are null or all zero were
    not found. `size` (height, width) is the canvas where the file names none, as OpenPose's own files do not.
    Raises DataError for anything else.
    """
    if isinstance(told, list):
        if len(told) != 1:
            raise DataError(f"the JSON is a list of {len(told)} pictures; wanted the keypoints of one")
        told = told[0]
    if not isinstance(told, dict) or not isinstance(told.get("people"), list):
        raise DataError('the JSON has no list "people"; wanted keypoints in OpenPose\'s JSON')
    people = [_parts(person, f"people[{i}]") for i, person in enumerate(told["people"])]
    height, width = _canvas(cast("dict[str, Any]", told), size)
    if _are_fractions(people):
        for parts in people:
            for points in parts.values():
                points[:, :2] *= (width, height)
    return Pose(tuple(_person(parts) for parts in people), height, width)


def to_json(pose: Pose, scores: bool = False) -> dict[str, Any]:
    """Return OpenPose's JSON of a pose, in pixels, with the size of its canvas.

    What was found gets the score 1, since other programs (sd-webui and its pose editor) drop whatever has
    less; with `scores` it keeps its own, as OpenPose writes it.
    """
    return {
        "version": 1.3,
        "people": [
            {key: _numbers(points, scores) for key, points in person.parts().items()}
            for person in pose.people
        ],
        "canvas_height": pose.height,
        "canvas_width": pose.width,
    }


def _numbers(points: Points | None, scores: bool) -> list[float]:
    if points is None:
        return []
    found = points[:, 2:] > 0
    kept = np.hstack([points[:, :2], points[:, 2:] if scores else found])
    return np.where(found, kept, 0.0).ravel().tolist()


def _canvas(told: Mapping[str, Any], size: tuple[int, int] | None) -> tuple[int, int]:
    sides = told.get("canvas_height"), told.get("canvas_width")
    if sides == (None, None):
        if size is None:
            raise DataError(
                'the JSON has no "canvas_height" and "canvas_width"; add them: the size of the picture'
            )
        sides = size
    height, width = (int(side) if _is_number(side) and side == side // 1 else 0 for side in sides)
    if not (height > 0 and width > 0 and height * width <= _LARGEST):
        raise DataError(
            f"the canvas is {_short(sides[1])} wide and {_short(sides[0])} high; wanted whole numbers of "
            f"pixels, at most {_LARGEST:,} together"
        )
    return height, width


def _parts(person: object, where: str) -> dict[str, Points]:
    if not isinstance(person, dict):
        raise DataError(f'{where} is {_short(person)}; wanted an object with "pose_keypoints_2d"')
    told = cast("dict[str, Any]", person)
    if not told.keys() & _TAKEN.keys():
        raise DataError(f"{where} has none of {', '.join(_TAKEN)}; wanted keypoints in OpenPose's JSON")
    return {key: _points(key, told[key], f"{where}.{key}") for key in _TAKEN if told.get(key)}


def _points(key: str, numbers: object, where: str) -> Points:
    counts = _TAKEN[key]
    if not isinstance(numbers, list) or len(numbers) not in {3 * count for count in counts}:
        got = f"{len(numbers)} numbers" if isinstance(numbers, list) else _short(numbers)
        many = f"1 to {max(counts)}" if len(counts) > 2 else " or ".join(map(str, counts))
        raise DataError(f"{where} has {got}; wanted x, y and a score of each of {many} keypoints")
    wrong = [number for number in numbers if not _is_number(number) or not abs(number) <= _FARTHEST]
    if wrong:
        raise DataError(f"{where} holds {_short(wrong[0])}; wanted numbers within ±{_FARTHEST:,}")
    given = np.asarray(numbers, dtype=np.float64).reshape(-1, 3)
    points = np.zeros((_WHOLE[key], 3))
    taken = counts[len(given)]
    points[: len(taken)] = given[list(taken)]
    points[points[:, 2] <= 0] = 0
    return points


def _are_fractions(people: list[dict[str, Points]]) -> bool:
    found = [points[points[:, 2] > 0, :2] for parts in people for points in parts.values()]
    return all((np.abs(places) <= _FRACTIONS).all() for places in found)


def _person(parts: dict[str, Points]) -> Person:
    found = {key: points for key, points in parts.items() if (points[:, 2] > 0).any()}
    body, *others = _TAKEN
    return Person(found.get(body, np.zeros((BODY, 3))), *(found.get(key) for key in others))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, int) else f"{value:.4g}" if abs(value) < 1e300 else "huge"
    return text if len(text) <= 40 else f"{text[:40]}…"
