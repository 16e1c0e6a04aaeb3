"""Segmentation: standard colours, the official UPerNet file, OneFormer from a folder, labels kept whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from controlnet import condition
from controlnet.conditions._networks import load
from controlnet.conditions._networks.oneformer import one_former
from controlnet.conditions._networks.uniformer import UniFormer
from controlnet.conditions._palettes import ADE20K, COCO
from controlnet.errors import CheckpointError, MissingWeights
from tests.annotators._oneformer import tiny_oneformer
from tests.helpers import official

UPERNET = "upernet"


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide whatever weights this machine has."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    yield
    load.forget()


@pytest.fixture(scope="module")
def uniformer() -> UniFormer:
    return load.ready(load.filled(UniFormer(), official(UPERNET), UPERNET))


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_palettes_are_the_standard_ones() -> None:
    assert len(ADE20K.names) == len(ADE20K.colours) == 150
    assert len(COCO.names) == len(COCO.colours) == 133
    some = {"wall": (120, 120, 120), "sky": (6, 230, 230), "person": (150, 5, 61), "flag": (92, 0, 255)}
    assert {name: tuple(ADE20K.colours[ADE20K.names.index(name)]) for name in some} == some
    some = {
        "person": (220, 20, 60),
        "cat": (255, 77, 255),
        "snow": (255, 255, 255),
        "rug-merged": (250, 141, 255),
    }
    assert {name: tuple(COCO.colours[COCO.names.index(name)]) for name in some} == some
    # The orders of the published networks: what is first and last, and where COCO's stuff begins.
    assert (ADE20K.names[0], ADE20K.names[149], COCO.names[0], COCO.names[80]) == (
        "wall",
        "flag",
        "person",
        "banner",
    )


def test_colours_tell_classes_apart() -> None:
    assert len(set(map(tuple, COCO.colours.tolist()))) == 133
    grey = [n for n, c in zip(ADE20K.names, ADE20K.colours.tolist(), strict=True) if c == [140, 140, 140]]
    assert grey == ["road", "skyscraper"]  # in the published palette, too
    assert len(set(map(tuple, ADE20K.colours.tolist()))) == 149


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("seg_ofade20k", "segmentation_oneformer_ade20k"),
        ("oneformer_ade20k", "segmentation_oneformer_ade20k"),
        ("seg_ofcoco", "segmentation_oneformer_coco"),
        ("oneformer_coco", "segmentation_oneformer_coco"),
        ("seg_ufade20k", "segmentation_upernet"),
        ("segmentation", "segmentation_upernet"),
    ],
)
def test_other_tools_names_are_understood(name: str, wanted: str) -> None:
    assert str(condition(name)) == wanted


@pytest.mark.parametrize(
    ("spec", "file", "size"),
    [
        ("segmentation_oneformer_ade20k", "oneformer_ade20k_swin_large", "880 MB"),
        ("segmentation_oneformer_ade20k(size='tiny')", "oneformer_ade20k_swin_tiny", "203 MB"),
        ("segmentation_oneformer_coco", "oneformer_coco_swin_large", "880 MB"),
        ("segmentation_upernet", "upernet_global_small.pth", "206 MB"),
    ],
)
def test_absent_weights_are_named(spec: str, file: str, size: str) -> None:
    with pytest.raises(MissingWeights, match=f"controlnet weights fetch {file}") as caught:
        condition(spec)(picture(64, 64))
    assert size in str(caught.value) and ("MIT" in str(caught.value) or "Apache" in str(caught.value))


def test_the_official_upernet_file_loads_strictly() -> None:
    state = official(UPERNET)
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    assert size == pytest.approx(206_147_000, abs=1_000)  # of the file published: 206 MB
    lacking = {key: tensor for key, tensor in state.items() if key != "decode_head.psp_modules.2.1.bn.weight"}
    with pytest.raises(CheckpointError, match=r"missing: head\.pooled\.2\.bn\.weight"):
        load.filled(UniFormer(), lacking, UPERNET)
    with pytest.raises(CheckpointError, match=r"unexpected: stages\.4\.blocks\.0\.norm1\.weight"):
        load.filled(UniFormer(), state | {"backbone.blocks5.0.norm1.weight": torch.ones(1)}, UPERNET)


def test_a_file_as_published_is_read(tmp_path: Path) -> None:
    small = {"decode_head.conv_seg.bias": torch.ones(150)}
    meta = {"CLASSES": ("wall", "building"), "PALETTE": [[120, 120, 120]], "mmseg_version": "0.14"}
    torch.save({"meta": meta, "state_dict": small}, tmp_path / "upernet_global_small.pth")
    assert load.tensors(tmp_path / "upernet_global_small.pth").keys() == small.keys()


@torch.no_grad()
def test_upernet_computes_what_it_did_when_it_was_compared(uniformer: UniFormer) -> None:
    """With these very weights and this picture it agreed with the reference to 4e-6."""
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    logits = uniformer(pixels)
    assert logits.shape == (1, 150, 64, 96)
    found = [logits[0, 0, 0, 0], logits[0, 75, 31, 40], logits[0, 149, 63, 95], logits.std()]
    wanted = torch.tensor([0.260077, -0.393043, 0.182543, 0.707226])
    torch.testing.assert_close(torch.stack(found), wanted, atol=1e-4, rtol=1e-4)


def test_upernet_map_has_the_size_and_only_colours_of_the_palette(uniformer: UniFormer) -> None:
    load.place(UniFormer, uniformer)
    found = condition("segmentation_upernet(resolution=96)")(picture(70, 101))
    assert found.shape == (70, 101, 3) and found.dtype == np.uint8
    seen = {tuple(colour) for colour in found.reshape(-1, 3).tolist()}
    assert len(seen) > 1 and seen <= {tuple(colour) for colour in ADE20K.colours.tolist()}


@pytest.fixture(scope="module")
def ade20k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_oneformer(tmp_path_factory.mktemp("weights") / "oneformer_ade20k_swin_tiny", 150)


def test_oneformer_is_found_in_the_users_folder(ade20k: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(ade20k.parent))
    found = condition("seg_ofade20k(size='tiny', resolution=96)")(picture(70, 101))
    assert found.shape == (70, 101, 3) and found.dtype == np.uint8
    seen = {tuple(colour) for colour in found.reshape(-1, 3).tolist()}
    assert len(seen) > 1 and seen <= {tuple(colour) for colour in ADE20K.colours.tolist()}


@torch.no_grad()
def test_oneformer_reads_as_transformers_own_processor_does(ade20k: Path) -> None:
    from transformers.models.oneformer.image_processing_pil_oneformer import OneFormerImageProcessorPil

    ours = one_former(ade20k)
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (pixels / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    said = ours.model(pixel_values=normal, task_inputs=ours.get_buffer("task"))
    blank = OneFormerImageProcessorPil.__new__(OneFormerImageProcessorPil)  # made whole, it asks the hub
    [wanted] = blank.post_process_semantic_segmentation(said, [(64, 96)], return_segmentation_scores=True)
    torch.testing.assert_close(ours(pixels)[0], wanted.segmentation_scores, atol=1e-5, rtol=1e-4)


def test_the_task_is_spelt_with_zeros_after_its_end(ade20k: Path) -> None:
    task = one_former(ade20k).get_buffer("task")
    assert task.shape == (1, 20)
    spelt = int((task[0] != 0).sum())
    assert 2 < spelt <= 20 and not task[0, spelt:].any()


def test_a_model_of_other_classes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    tiny_oneformer(tmp_path / "oneformer_coco_swin_large", 150)
    with pytest.raises(CheckpointError, match="150 classes; wanted the 133"):
        condition("segmentation_oneformer_coco(resolution=64)")(picture(64, 64))


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="fetch it again"):
        one_former(tmp_path)


def test_a_folder_that_lacks_weights_is_told(ade20k: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in ade20k.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    lost = next(key for key in sorted(state) if key.endswith("queries_embedder.weight"))
    save_file(
        {key: value for key, value in state.items() if key != lost},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(CheckpointError, match=r"lacks .*queries_embedder"):
        one_former(tmp_path)
