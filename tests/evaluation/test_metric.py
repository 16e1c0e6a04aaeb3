"""A metric of one's own, outside the package."""

import sys
from types import ModuleType
from typing import ClassVar, final

import numpy as np
import pytest

from controlnet import registry
from controlnet.errors import SettingError
from controlnet.evaluation import Metric
from controlnet.evaluation.metric import Pixels, nothing_taken


@final
class Brightness(Metric):
    """Mean brightness."""

    title: ClassVar[str] = "Brightness"
    unit: ClassVar[str] = "0 to 255"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, scale: float = 1.0) -> None:
        self._scale, self._values = scale, list[float]()

    def update(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None = None) -> None:
        self._values.append(float(picture.mean()) * self._scale)

    def compute(self) -> dict[str, float]:
        if not self._values:
            raise nothing_taken(self)
        return {"brightness": float(np.mean(self._values))}

    @property
    def count(self) -> int:
        return len(self._values)


def test_a_third_partys_metric_is_found_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("others_metrics")
    module.Brightness = Brightness  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "others_metrics", module)
    metric = registry.get("metrics", "others_metrics:Brightness(scale=2)")
    metric.update(np.full((4, 4, 3), 10, np.uint8), np.zeros((4, 4, 3), np.uint8), "")
    assert metric.compute() == {"brightness": 20.0}
    with pytest.raises(SettingError, match="gain"):
        registry.get("metrics", "others_metrics:Brightness(gain=2)")


def test_an_unfinished_metric_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Metric()  # pyright: ignore[reportAbstractUsage]
