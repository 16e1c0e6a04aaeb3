"""Which pictures the arguments mean, and where the map of each goes."""

import glob
from collections import Counter
from pathlib import Path
from typing import Any, Final

from controlnet.errors import DataError, SettingError

PICTURES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
KEYPOINTS: Final = ".json"
# How a map is saved, by its suffix: without loss where the format can, else with every colour where it was.
MAPS: Final[dict[str, dict[str, Any]]] = {
    ".png": {},
    ".webp": {"lossless": True},
    ".bmp": {},
    ".tif": {},
    ".tiff": {},
    ".jpg": {"quality": 100, "subsampling": 0},
    ".jpeg": {"quality": 100, "subsampling": 0},
}


def targets(pictures: list[str], out: Path) -> dict[Path, Path]:
    """Return where the map of each picture goes: `out`, or a file in it that keeps the picture's place.

    A folder's pictures keep their subfolders. Two pictures that differ only in their suffix keep it within
    the map's name. Raises SettingError for places that cannot be, and DataError where there is no picture.
    """
    found = list(dict.fromkeys(pair for text in pictures for pair in _found(text)))
    if is_one_file(pictures, out):
        if out.suffix.lower() not in MAPS:
            raise SettingError(
                f"--out {out} has no known suffix; wanted one of {', '.join(MAPS)}, or a folder"
            )
        plan = {found[0][0]: out}
    else:
        if out.exists() and not out.is_dir():
            raise SettingError(
                f"--out {out} is a file; wanted a folder for the maps of {len(found)} pictures"
            )
        stems = Counter(place.with_suffix("") for _, place in found)
        plan = {
            path: out / (place.with_suffix(".png") if stems[place.with_suffix("")] == 1 else f"{place}.png")
            for path, place in found
        }
    own = {path.resolve() for path in plan}
    for target in plan.values():
        if target.resolve() in own:
            raise SettingError(f"the map would overwrite the picture {target}; choose another --out")
    if len(set(plan.values())) < len(plan):
        raise SettingError("two of the pictures have the same name; annotate their folders one by one")
    return plan


def is_one_file(pictures: list[str], out: Path) -> bool:
    """Tell whether `out` is the file of one map: a single picture, and no folder to put its map into."""
    many = len(set(pictures)) > 1 or any(_is_pattern(text) or Path(text).is_dir() for text in pictures)
    return not many and bool(out.suffix) and not out.is_dir()


def _found(text: str) -> list[tuple[Path, Path]]:
    """Return the pictures that an argument means, each with its place relative to the output folder."""
    path = Path(text)
    if path.is_dir():
        files = [(file, file.relative_to(path)) for file in sorted(path.rglob("*"))]
    elif _is_pattern(text):
        files = [(file, Path(file.name)) for file in map(Path, sorted(glob.glob(text, recursive=True)))]
    else:
        return [(path, Path(path.name))]
    # A pattern that ends in .json asks for keypoints; elsewhere such files are other things.
    wanted = {KEYPOINTS} if text.lower().endswith(KEYPOINTS) else PICTURES
    found = [(file, place) for file, place in files if _is_shown(place, wanted) and file.is_file()]
    if not found:
        raise DataError(
            f"no picture in {text}; wanted files with one of the suffixes {' '.join(sorted(wanted))}"
        )
    return found


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not Path(text).exists()


def _is_shown(place: Path, suffixes: "set[str] | frozenset[str]") -> bool:
    return place.suffix.lower() in suffixes and not any(part.startswith(".") for part in place.parts)
