"""How fast conditions are beside controlnet_aux and plain OpenCV: ratios on one picture, in one run.

    python benchmarks/annotators.py [--peer FOLDER] [--picture FILE] [--repeats N]

FOLDER holds the package `controlnet_aux` and what it imports, such as the src/ of its repository with einops
beside it; it is no dependency of this project, and without it those columns stay empty. Networks have random
weights on both sides: speed does not depend on their values. One thread; what is measured is the time of the
processor, in turns, so that other work on the machine disturbs little. A ratio below 1: ours is faster.
"""

import argparse
import importlib
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from controlnet.conditions import condition
from controlnet.conditions._networks import load
from controlnet.conditions._weights import Weights
from controlnet.errors import UnknownName

Pixels = NDArray[np.uint8]
Detect = Callable[[Pixels], Any]
SIDE = 512


def aux_plain(module: str, kind: str) -> Detect:
    detector = getattr(importlib.import_module(f"controlnet_aux.{module}"), kind)()
    return lambda image: detector(image, detect_resolution=SIDE, output_type="np")


def aux_network(module: str, kind: str, network: str, *sizes: int) -> Detect:
    package = importlib.import_module(f"controlnet_aux.{module}")
    made = getattr(package, network)(*sizes).eval()
    detector = getattr(package, kind)(*([made, made] if kind == "LineartDetector" else [made]))
    return lambda image: detector(image, detect_resolution=SIDE, output_type="np")


def opencv_lines(image: Pixels) -> Pixels:
    detector = cv2.createLineSegmentDetector()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return detector.drawSegments(np.zeros_like(image), detector.detect(grey)[0])


OPENCV: dict[str, Detect] = {
    "canny": lambda image: cv2.cvtColor(cv2.Canny(image, 100, 200), cv2.COLOR_GRAY2RGB),
    "lines": opencv_lines,
    "blur": lambda image: cv2.GaussianBlur(image, (0, 0), 9),
    "threshold": lambda image: cv2.cvtColor(
        cv2.inRange(image, (128, 128, 128), (255, 255, 255)), cv2.COLOR_GRAY2RGB
    ),
    "invert": cv2.bitwise_not,
}
AUX: dict[str, Callable[[], Detect]] = {
    "canny": lambda: aux_plain("canny", "CannyDetector"),
    "lineart_standard": lambda: aux_plain("lineart_standard", "LineartStandardDetector"),
    "shuffle": lambda: aux_plain("shuffle", "ContentShuffleDetector"),
    "softedge_hed": lambda: aux_network("hed", "HEDdetector", "ControlNetHED_Apache2"),
    "softedge_pidinet": lambda: aux_network("pidi", "PidiNetDetector", "pidinet"),
    "mlsd": lambda: aux_network("mlsd", "MLSDdetector", "MobileV2_MLSD_Large"),
    "lineart_realistic": lambda: aux_network("lineart", "LineartDetector", "Generator", 3, 1, 3),
    "lineart_anime": lambda: aux_network("lineart_anime", "LineartAnimeDetector", "UnetGenerator", 3, 1, 8),
}


def bring(folder: Path | None) -> bool:
    """Make controlnet_aux importable piece by piece: its __init__ wants torchvision, timm and more."""
    home = folder / "controlnet_aux" if folder else None
    if home is None or not home.is_dir():
        return False
    sys.path.append(str(folder))
    package = types.ModuleType("controlnet_aux")
    package.__path__ = [str(home)]
    sys.modules["controlnet_aux"] = package
    return True


def without_weights() -> None:
    """Let our conditions work with the random weights that their networks begin with."""
    Weights.find = lambda self: Path(self.name)
    load.tensors = lambda path: {}
    load.filled = lambda module, state, name: module


def seconds(rivals: dict[str, Detect], image: Pixels, repeats: int) -> dict[str, list[float]]:
    """Return the processor times of each, turn by turn, after one turn that does not count.

    Within a turn the order is drawn anew: who comes right after the same algorithm on the same picture finds
    caches and branches warm, and seems a quarter faster.
    """
    chance = np.random.default_rng(0)
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for turn in range(repeats + 1):
        for name in chance.permutation(list(rivals)):
            began = time.process_time()
            rivals[name](image)
            if turn:
                taken[name].append(time.process_time() - began)
    return taken


def ratio(taken: dict[str, list[float]], rival: str) -> str:
    """Write the median of the ratios turn by turn."""
    if rival not in taken:
        return "–"
    pairs = zip(taken["ours"], taken[rival], strict=True)
    return f"{statistics.median(ours / theirs for ours, theirs in pairs):.2f}"


def rivals_of(name: str, with_aux: bool) -> tuple[dict[str, Detect], str]:
    """Return ours and the others that can run, and why one cannot."""
    rivals: dict[str, Detect] = {"ours": condition(name)}
    if name in OPENCV:
        rivals["OpenCV"] = OPENCV[name]
    if with_aux and name in AUX:
        try:
            rivals["controlnet_aux"] = AUX[name]()
        except (ImportError, AttributeError, TypeError) as error:
            return rivals, f"controlnet_aux: {error}"
    return rivals, ""


def picture(path: Path | None) -> Pixels:
    from controlnet.cli._gallery.subjects import bundled
    from controlnet.conditions._image import resized, to_array

    found = bundled()
    if path is None and not found:
        sys.exit("scikit-image, which brings a photograph, is not installed: name one with --picture")
    return resized(to_array(path or found[0]), SIDE, SIDE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("names", nargs="*", help="conditions; all that have a rival if none")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    without_weights()
    with_aux = bring(given.peer)
    if not with_aux:
        print("controlnet_aux is not here (--peer FOLDER): OpenCV only")
    image = picture(given.picture)
    print(f"{'condition':22}{'ours, ms':>10}{'/ OpenCV':>10}{'/ aux':>10}")
    for name in given.names or dict.fromkeys([*OPENCV, *AUX]):
        try:
            rivals, why = rivals_of(name, with_aux)
        except UnknownName:
            print(f"{name:22}there is no such condition")
            continue
        taken = seconds(rivals, image, given.repeats)
        ours = statistics.median(taken["ours"]) * 1000
        ratios = f"{ratio(taken, 'OpenCV'):>10}{ratio(taken, 'controlnet_aux'):>10}"
        print(f"{name:22}{ours:10.1f}{ratios}  {why}".rstrip())


if __name__ == "__main__":
    main()
