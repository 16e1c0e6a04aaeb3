"""Our metrics beside the packages that the field reports them with, on the same features, weights and maps.

pip install --no-deps --target refs torch-fidelity clean-fid lpips pycocotools
pip install --no-deps --target refs torchmetrics lightning-utilities pytorch-msssim
PYTHONPATH=src:refs python -m benchmarks.metric_references

Networks have random weights (LPIPS's weighings are the published ones, which the package lpips brings): what
is compared is architecture, preprocessing and arithmetic. torchvision, which most of these packages import,
need not be there: of it only the chains of layers of AlexNet and VGG16 are used, stood in for here.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.no_torchvision import stand_in_for_torchvision
from controlnet.registry import get
from controlnet.shapes import render

WORLD, SCENES = 2, 24


def pictures() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give "generated" pictures, which are other scenes, and true ones, of 128×128."""
    views = [render(WORLD, index).image for index in range(2 * SCENES)]
    return views[:SCENES], views[SCENES:]


def by_arrays(module: str, names: tuple[str, ...]) -> Any:
    """Import a module without its package, which may ask for more than is there."""
    import importlib.util

    root, _, rest = module.partition(".")
    place = importlib.util.find_spec(root)
    assert place is not None and place.submodule_search_locations
    path = Path(next(iter(place.submodule_search_locations))) / f"{rest.replace('.', '/')}.py"
    source = path.read_text(encoding="utf-8")
    space: dict[str, Any] = {"__name__": module, "np": np}
    exec(compile("from scipy import linalg\n" + _functions(source, names), str(path), "exec"), space)
    return SimpleNamespace(**{name: space[name] for name in names})


def _functions(source: str, names: tuple[str, ...]) -> str:
    import ast

    tree = ast.parse(source)
    kept = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    return ast.unparse(ast.Module(kept, []))


def distances() -> Iterator[tuple[str, str, float, float]]:
    """Compare FID and KID on the same features, also with more features than pictures."""
    from controlnet.evaluation._frechet import Moments, frechet_distance
    from controlnet.evaluation._kernel import discrepancy, kernel

    clean = by_arrays("cleanfid.fid", ("frechet_distance", "kernel_distance"))
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    chance = np.random.default_rng(0)
    for count, width in ((300, 64), (200, 256)):
        a = np.abs(chance.normal(size=(count, width))) @ chance.normal(size=(width, width)) * 0.1
        b = np.abs(chance.normal(0.2, 1.1, size=(count, width))) @ chance.normal(size=(width, width)) * 0.1
        moments = [Moments(), Moments()]
        for each, rows in zip(moments, (a, b), strict=True):
            for row in rows:
                each.take(row)
        ours = frechet_distance(*(v for m in moments for v in (m.mean, m.covariance)))
        both = [(rows.mean(0), np.cov(rows, rowvar=False)) for rows in (a, b)]
        name = f"FID of {count} vectors of {width}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield name, "clean-fid", ours, clean.frechet_distance(*both[0], *both[1])
            stats = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (a, b)]
            theirs = fid_statistics_to_metric(*stats, False)["frechet_inception_distance"]
        yield name, "torch-fidelity", ours, float(theirs)
        ours = discrepancy(kernel(a, a), kernel(b, b), kernel(a, b))
        np.random.seed(0)
        theirs = clean.kernel_distance(a, b, num_subsets=1, max_subset_size=count)
        yield f"KID of {count} vectors of {width}", "clean-fid", ours, theirs
        told = kid_features_to_metric(
            torch.from_numpy(a), torch.from_numpy(b), kid_subsets=1, kid_subset_size=count, verbose=False
        )
        yield (
            f"KID of {count} vectors of {width}",
            "torch-fidelity",
            ours,
            told["kernel_inception_distance_mean"],
        )


def inception(folder: Path) -> Iterator[tuple[str, str, float, float]]:
    """Compare the network, with the resizing of either package, and the distances over pictures."""
    from cleanfid.resize import build_resizer
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from controlnet.evaluation._networks import inception as ours

    torch.manual_seed(0)
    network = ours.Inception()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    path = folder / "inception.pth"
    torch.save(network.state_dict(), path)
    theirs = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=str(path))
    network.eval()
    made, _ = pictures()
    tensor = torch.from_numpy(made[0].copy()).permute(2, 0, 1)[None]
    wanted = theirs(tensor)[0].numpy()[0]
    found = ours.features(network, ours.tensorflow(made[0]))
    yield "Inception's features of a scene, largest difference", "torch-fidelity", *_apart(found, wanted)
    resize = build_resizer("clean")
    for size in ((128, 128), (400, 640)):
        picture = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
        wanted, found = resize(picture), ours.clean(picture)[0].permute(1, 2, 0).numpy()
        name = f"resizing of {size[1]}×{size[0]} to 299×299, largest difference"
        yield name, "clean-fid", *_apart(found, wanted)


def lpips_distance(folder: Path) -> Iterator[tuple[str, str, float, float]]:
    """Compare LPIPS with random trunks and the published weighings."""
    import lpips

    made, true = pictures()
    for net in ("alex", "vgg"):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
        trunk = {}
        for part in ("slice1", "slice2", "slice3", "slice4", "slice5"):
            for key, value in getattr(theirs.net, part).state_dict().items():
                trunk[f"features.{key}"] = value
        torch.save(trunk, folder / f"{net}_trunk.pth")
        heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
        metric = get(
            "metrics", f"lpips(net={net!r}, trunk={str(folder / f'{net}_trunk.pth')!r}, heads={str(heads)!r})"
        )
        wanted = []
        for a, b in zip(made[:4], true[:4], strict=True):
            metric.update(a, a, "", b)
            x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for p in (a, b))
            with torch.no_grad():
                wanted.append(float(theirs(x, y)))
        yield f"LPIPS ({net}), 4 pairs", "lpips", metric.compute()["lpips"], float(np.mean(wanted))


def maps() -> Iterator[tuple[str, str, float, float]]:
    """Compare MS-SSIM, F1 and mIoU of maps."""
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]  # torchmetrics looks whether it is there
    from pytorch_msssim import ms_ssim as plain
    from torchmetrics.classification import BinaryF1Score, MulticlassJaccardIndex
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as theirs

    from controlnet.conditions import annotate
    from controlnet.evaluation.metrics.msssim import ms_ssim
    from controlnet.shapes.palette import CLASS_COLOURS

    views = [render(WORLD, index, 256) for index in range(8)]
    soft = [annotate("softedge_gradient", view.image).astype(np.float64).mean(axis=2) / 255 for view in views]
    ours, wanted = [], []
    for a, b in pairwise(soft):
        x, y = (torch.from_numpy(part)[None, None] for part in (a, b))
        ours.append([ms_ssim(x, y), ms_ssim(x, y, mirrored=True)])
        wanted.append(
            [
                float(plain(x, y, data_range=1.0, size_average=True)),
                float(theirs(x, y, data_range=1.0, normalize="relu")),
            ]
        )
    for name, package, a, b in zip(
        ("", ", mirrored"),
        ("pytorch-msssim", "torchmetrics"),
        np.mean(ours, axis=0),
        np.mean(wanted, axis=0),
        strict=True,
    ):
        yield f"MS-SSIM of soft edges{name}, 7 pairs of 256×256", package, float(a), float(b)

    metric, f1 = get("metrics", "edge_f1"), []
    for one, other in pairwise(views):
        edges = annotate("canny", other.image)
        metric.update(one.image, edges, "")
        drawn = annotate("canny", one.image)
        told = BinaryF1Score()(*(torch.from_numpy(e[..., 0] > 0).int().ravel() for e in (drawn, edges)))
        f1.append(float(told))
    yield "canny F1, exact, 7 pairs", "torchmetrics", metric.compute()["edge_f1_exact"], float(np.mean(f1))

    metric = get("metrics", "segmentation_miou(annotator='shapes_segmentation')")
    index = MulticlassJaccardIndex(len(CLASS_COLOURS), average=None)
    for one, other in pairwise(views):
        metric.update(one.image, other.control("segmentation"), "")
        drawn = annotate("shapes_segmentation", one.image)
        index.update(
            torch.from_numpy(_classes(drawn, CLASS_COLOURS)), torch.from_numpy(other.classes.astype(int))
        )
    there = index.confmat.sum(0) + index.confmat.sum(1) > 0
    yield (
        "segmentation mIoU, 7 pairs",
        "torchmetrics",
        metric.compute()["segmentation_miou"],
        float(index.compute()[there].mean()),
    )


def poses() -> Iterator[tuple[str, str, float, float]]:
    """Compare the object keypoint similarity of single people, in COCO's seventeen keypoints."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    from controlnet.evaluation._people import AREA, oks

    chance = np.random.default_rng(0)
    coco_of = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]  # ours, in COCO's order
    ours, wanted = [], []
    for _ in range(20):
        true = np.concatenate([chance.uniform(20, 200, (18, 2)), np.ones((18, 1))], axis=1)
        true[1, 2] = 0  # the neck is no keypoint of COCO's
        made = true + np.concatenate([chance.normal(0, 8, (18, 2)), np.zeros((18, 1))], axis=1)
        made[1, 2] = 0
        ours.append(oks(made, true))
        span = np.ptp(true[np.arange(18) != 1, :2], axis=0)
        area = float(AREA * span[0] * span[1])
        points = true[coco_of].copy()
        points[:, 2] = 2
        truth: Any = COCO()
        truth.dataset = {
            "images": [{"id": 1}],
            "categories": [{"id": 1}],
            "annotations": [
                {
                    **{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": area},
                    **{"num_keypoints": 17, "bbox": [0, 0, 1, 1], "keypoints": points.ravel().tolist()},
                }
            ],
        }
        import contextlib
        import io

        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
            result = {"image_id": 1, "category_id": 1, "score": 1.0}
            found = truth.loadRes([{**result, "keypoints": made[coco_of].ravel().tolist()}])
            judge: Any = COCOeval(truth, found, "keypoints")
            judge.params.imgIds, judge.params.catIds = [1], [1]
            judge._prepare()
            wanted.append(float(np.asarray(judge.computeOks(1, 1))[0, 0]))
    yield "OKS of 20 people", "pycocotools", float(np.mean(ours)), float(np.mean(wanted))


def _apart(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """Give the two values that lie farthest apart."""
    place = np.abs(np.asarray(found, np.float64) - wanted).argmax()
    return float(np.ravel(found)[place]), float(np.ravel(wanted)[place])


def _classes(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    return (colours[:, :, None] == palette).all(axis=-1).argmax(axis=-1)


def main() -> None:
    stand_in_for_torchvision()
    print("| measure | beside | ours | theirs | difference |\n| --- | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        parts = (distances(), inception(Path(folder)), lpips_distance(Path(folder)), maps(), poses())
        for part in parts:
            for what, package, ours, theirs in part:
                print(
                    f"| {what} | {package} | {ours:.6g} | {theirs:.6g} | {abs(ours - theirs):.1e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
