"""ControlNets that act at once: each on maps of its own condition, their residuals added."""

from pathlib import Path
from typing import Any

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import save_controlnet
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError
from controlnet.evaluation import making
from controlnet.evaluation.cases import Cases
from controlnet.evaluation.results import Report
from controlnet.evaluation.run import Request, evaluate_request
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    torch.set_num_threads(1)
    return load_base(tiny_base(tmp_path_factory.mktemp("base") / "tiny"))


def net(base: Base, path: Path, condition: str | None) -> Path:
    made = ControlNet.from_base(base, init="gaussian")
    plan = {"data": {"condition": condition}, "watch": {"guidance_scale": 2.0}}
    save_controlnet(made, path, metadata={"plan": plan})
    return path


def evaluated(base: Base, out: Path, controls: dict[str, Any], **others: Any) -> Report:
    few = {"count": 2, "size": 32, "steps": 2, "metrics": ["edge_f1"], "baselines": False}
    report = evaluate_request(Request(controls, out, base, **{**few, **others}))
    assert report is not None
    return report


def test_each_gets_maps_of_its_own_condition(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets = [net(base, tmp_path / f"{name}.safetensors", name) for name in ("openpose", "canny")]
    seen: list[torch.Tensor] = []
    true = making.sample_latents

    def spied(base: Base, context: Any, negative: Any, controls: Any, **settings: Any) -> Any:
        seen.extend(control.image for control in controls)
        return true(base, context, negative, controls, **settings)

    monkeypatch.setattr(making, "sample_latents", spied)
    [section] = evaluated(base, tmp_path / "out", {"both": nets}, condition="canny").sections
    assert section.condition == "canny" and [row.subject for row in section.rows] == ["both"]
    for image, name in zip(seen, ("openpose", "canny"), strict=True):
        cases = Cases("shapes", name, 32, 2)
        wanted = torch.stack([torch.tensor(cases[i].condition).permute(2, 0, 1) / 255 for i in range(2)])
        assert torch.allclose(image, wanted)


def test_one_alone_in_a_sequence_makes_the_pictures_that_it_makes(base: Base, tmp_path: Path) -> None:
    path = net(base, tmp_path / "canny.safetensors", "canny")
    evaluated(base, tmp_path / "out", {"alone": path, "listed": [path]}, condition="canny")
    alone, listed = (
        (tmp_path / f"out/pictures/{name}/perfect/000001.png").read_bytes() for name in ("alone", "listed")
    )
    assert alone == listed


def test_soft_weights_follow_the_law(base: Base, tmp_path: Path) -> None:
    path = net(base, tmp_path / "canny.safetensors", "canny")
    made = list[bytes]()
    for law in ("cldm", "paper"):
        report = evaluated(base, tmp_path / law, {"mine": path}, mode="control", law=law)
        assert f"law {law}" in report.settings["ControlNet mine"]
        made.append((tmp_path / law / "pictures/mine/perfect/000000.png").read_bytes())
    assert made[0] != made[1]
    with pytest.raises(SettingError, match="law"):
        evaluated(base, tmp_path / "cldm", {"mine": path}, mode="control", law="paper")


def test_a_file_that_tells_no_condition_cannot_act_with_others(base: Base, tmp_path: Path) -> None:
    nets = [net(base, tmp_path / f"{name}.safetensors", name) for name in ("canny", None)]
    with pytest.raises(SettingError, match="does not tell its condition"):
        evaluated(base, tmp_path / "out", {"both": nets}, condition="canny")
    with pytest.raises(SettingError, match="names no ControlNet"):
        evaluated(base, tmp_path / "out", {"both": []}, condition="canny")
