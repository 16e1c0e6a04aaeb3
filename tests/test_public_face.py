"""The names that users rely on, and that they cost nothing until they are used."""

import pkgutil
import subprocess
import sys

import pytest

import controlnet

CONTRACT = [
    "annotate",
    "condition",
    "conditions",
    "convert",
    "denoise",
    "evaluate",
    "generate",
    "load_base",
    "load_controlnet",
    "save_controlnet",
    "train",
    "Context",
    "Control",
    "ControlNet",
    "ControlledBlock",
    "Residuals",
    "TrainingPlan",
    "ControlNetError",
    "PlanError",
    "DataError",
    "CheckpointError",
    "ShapeError",
    "MissingExtra",
    "MissingWeights",
    "ServiceError",
    "SettingError",
    "UnknownName",
]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", CONTRACT)
def test_every_name_of_the_contract_is_public(name: str) -> None:
    assert name in controlnet.__all__


@pytest.mark.parametrize("name", controlnet.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert callable(getattr(controlnet, name))
    assert name in dir(controlnet)


def test_import_brings_in_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "diffusers", "transformers", "pydantic", "cv2", "PIL", "typer"}
    loaded = run("import sys, controlnet; dir(controlnet); print(*sys.modules)").split()
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize(
    "first", ["", "import controlnet.conditions;", "from controlnet.conditions import canny;"]
)
def test_conditions_is_a_function_before_and_after_its_package_is_imported(first: str) -> None:
    said = run(f"import controlnet as cn; {first} print(cn.conditions(), cn.conditions())")
    assert said.count("canny") == 2


def test_an_unknown_name_is_answered_with_the_near_ones() -> None:
    with pytest.raises(AttributeError, match="ControlNet"):
        _ = controlnet.Controlnet
    assert not hasattr(controlnet, "__wrapped__")


def test_no_submodule_takes_the_place_of_a_public_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(controlnet.__path__)}
    assert modules & set(controlnet.__all__) == {"conditions"}  # the one that can be called
