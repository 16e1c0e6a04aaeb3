"""Two processes train phases as one does, divided or not; of an unlocked decoder, too."""

import pytest
from safetensors.torch import load_file

from controlnet.errors import PlanError
from controlnet.training import train
from tests.training.conftest import MakePlan
from tests.training.processes import alike, together
from tests.training.test_processes import drift, lines

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

KEYS = ("steps=4", "save.every=4", "save.keep=4")
REJOINED = "phases=[{connect: middle, until: {step: 2}}, {connect: all}]"
UNLOCKED = "phases=[{connect: middle, until: {step: 2}}, {connect: all, unlock: decoder}]"


@pytest.mark.parametrize(
    ("phases", "sharded"),
    [
        (UNLOCKED, False),
        pytest.param(REJOINED, True, marks=pytest.mark.slow),
    ],
    ids=["ddp", "fsdp2"],
)
def test_two_processes_are_as_one(make_plan: MakePlan, phases: str, sharded: bool) -> None:
    plan = make_plan(*KEYS, phases, f"engine.shard={sharded}", out="both")
    assert together(*alike(lambda: train(plan))) == [0, 0]
    alone = make_plan(*KEYS, phases, out="alone")
    train(alone)
    for mine, its in zip(lines(alone.folder), lines(plan.folder), strict=True):
        assert mine.keys() == its.keys()
        for key, value in mine.items():
            assert its[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-3, abs=1e-6))
    for name in ("controlnet", "decoder") if phases == UNLOCKED else ("controlnet",):
        assert drift(alone.folder / f"{name}.safetensors", plan.folder / f"{name}.safetensors") < 1e-4
    state = load_file(plan.folder / "state/step-000002/controlnet.safetensors")
    assert {name.split(".")[1] for name in state if name.startswith("zeros.")} == {"middle"}


def test_a_divided_run_does_not_unlock(make_plan: MakePlan) -> None:
    plan = make_plan(*KEYS, "phases=[{unlock: decoder}]", "engine.shard=true")

    def refused() -> None:
        with pytest.raises(PlanError, match="which FSDP does not shard"):
            train(plan)

    assert together(*alike(refused)) == [0, 0]
