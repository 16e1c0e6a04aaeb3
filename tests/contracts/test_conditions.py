"""What every condition promises, for whichever there are: nothing here names one.

A condition that needs weights works with random ones: `tests/annotators/NAME.py` places them, in
`place_random()`, and says by `SLOW = True` that its tests belong to the slow ones, by `RESOLUTION = 96` that
64 pixels are too few.
"""

import pickle
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from controlnet import registry
from controlnet.conditions import annotate, condition, conditions
from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.errors import DataError, SettingError

NAMES = conditions()
KINDS: dict[str, type[Condition]] = {name: registry.find("conditions", name) for name in NAMES}
SIZES = [(1, 1), (1, 40), (40, 1), (3, 5), (48, 64), (64, 64), (65, 33)]
FEW_SIZES = [(1, 1), (3, 40), (65, 33)]  # for networks
OFTEN_BLANK = {"pose", "embedded world"}  # of a picture without people, or of another world


ANNOTATORS = Path(__file__).parent.parent / "annotators"


def hook(name: str) -> ModuleType | None:
    """Return the module that places random networks for a condition, if there is one."""
    return import_module(f"tests.annotators.{name}") if (ANNOTATORS / f"{name}.py").exists() else None


def parameters(names: tuple[str, ...] = NAMES) -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.slow if getattr(hook(name), "SLOW", False) else ())
        for name in names
    ]


WITHOUT_WEIGHTS = tuple(name for name in NAMES if not KINDS[name].weights)


def picture(height: int, width: int) -> Pixels:
    """Return noise over a bright square, so that there is something to find."""
    pixels = np.random.default_rng(height * 1000 + width).integers(0, 90, (height, width, 3), dtype=np.uint8)
    pixels[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] += 150
    return pixels


@pytest.fixture(scope="module", params=parameters())
def detector(request: pytest.FixtureRequest) -> Iterator[Condition]:
    """Give each condition, able to work, at a small resolution."""
    kind, networks = KINDS[request.param], hook(request.param)
    if not kind.weights:
        yield kind(resolution=64) if kind().resolution else kind()  # strips at 512 take their time
        return
    if networks is None:
        pytest.fail(f"{request.param} needs weights: write tests/annotators/{request.param}.py")
    from controlnet.conditions._networks.load import forget

    networks.place_random()
    yield kind(resolution=getattr(networks, "RESOLUTION", 64))
    forget()


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> type[Condition]:
    return KINDS[request.param]


def test_there_are_conditions() -> None:
    assert "canny" in NAMES


def test_map_has_the_pictures_size_and_is_uint8(detector: Condition) -> None:
    for size in FEW_SIZES if detector.weights else SIZES:
        found = detector(picture(*size))
        assert found.shape == (*size, 3) and found.dtype == np.uint8, size


def test_the_map_shows_something(detector: Condition) -> None:
    if detector.weights or detector.family in OFTEN_BLANK:
        pytest.skip("a blank map may be right")
    assert np.ptp(type(detector)()(picture(64, 64))) > 0


def test_same_picture_same_map_and_the_picture_is_left_as_it_was(detector: Condition) -> None:
    pixels = picture(48, 64)
    before = pixels.copy()
    found = detector(pixels)
    assert np.array_equal(pixels, before)
    assert not np.shares_memory(found, pixels)
    kept = found.copy()
    found[:] = 7  # the map is memory of its own
    assert np.array_equal(annotate(str(detector), pixels), kept)


def test_memory_layout_does_not_matter(detector: Condition) -> None:
    pixels = picture(48, 64)
    frozen = pixels.copy()
    frozen.flags.writeable = False
    same = {
        "read-only": frozen,
        "reversed": pixels[::-1].copy()[::-1],
        "sliced": np.dstack([pixels, pixels])[..., :3],
        "fortran": np.asfortranarray(pixels),
    }
    wanted = detector(pixels)
    for layout in ("reversed",) if detector.weights else same:  # networks take their time
        assert np.array_equal(detector(same[layout]), wanted), layout


def test_resolution_changes_the_work_not_the_size(detector: Condition) -> None:
    for resolution in (96,) if detector.weights else (64, 96):
        other = detector.model_copy(update={"resolution": resolution})
        assert other(picture(48, 80)).shape == (48, 80, 3)


def test_label_maps_keep_their_colours_when_resized(detector: Condition) -> None:
    if not detector.label_map or detector.weights:
        pytest.skip("blending is right for this map, or its labels vary with the resolution")
    own = np.unique(detector(picture(64, 80)).reshape(-1, 3), axis=0)
    resized = detector.model_copy(update={"resolution": 100})(picture(64, 80))
    assert {tuple(colour) for colour in np.unique(resized.reshape(-1, 3), axis=0)} <= {tuple(c) for c in own}


def test_other_arrays_are_refused_with_the_mend(kind: type[Condition]) -> None:
    for wrong in (
        np.zeros((4, 4)),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(DataError, match="annotate"):
            kind()(wrong)


def options(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return facts.get("anyOf", [facts])


def values(facts: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of what a field's schema allows."""
    return st.one_of(st.just(facts.get("default")), *map(_values_of, options(facts)))


def _values_of(option: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in option:
        return st.sampled_from(option["enum"])
    match option.get("type"):
        case "integer":
            return st.integers(option["minimum"], option["maximum"])
        case "number":
            return st.floats(option["minimum"], option["maximum"], allow_subnormal=False)
        case "boolean":
            return st.booleans()
        case _:
            return st.nothing()


@cache
def settings_of(kind: type[Condition]) -> st.SearchStrategy[dict[str, Any]]:
    fields = kind.model_json_schema()["properties"]
    return st.fixed_dictionaries({name: values(facts) for name, facts in fields.items()})


def valid(kind: type[Condition], data: st.DataObject, **fixed: Any) -> Condition:
    """Draw settings that a condition takes."""
    try:
        return kind.model_validate({**data.draw(settings_of(kind)), **fixed})
    except ValidationError:  # settings that do not go together
        assume(False)
        raise


STEADY = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", NAMES)
@STEADY
@given(st.data())
def test_text_json_and_pickle_round_trips(name: str, data: st.DataObject) -> None:
    made = valid(KINDS[name], data)
    assert condition(str(made)) == made
    assert KINDS[name].model_validate_json(made.model_dump_json()) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert hash(condition(str(made))) == hash(made)


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
@settings(max_examples=8)
@given(st.data(), st.integers(1, 70), st.integers(1, 70), st.sampled_from([None, 64, 80]))
def test_whatever_the_settings(
    name: str, data: st.DataObject, height: int, width: int, resolution: int | None
) -> None:
    made, pixels = valid(KINDS[name], data, resolution=resolution), picture(height, width)
    before = pixels.copy()
    found = made(pixels)
    assert found.shape == pixels.shape and found.dtype == np.uint8
    assert np.array_equal(pixels, before) and np.array_equal(found, made(pixels))


def test_a_value_out_of_range_is_refused_by_name(kind: type[Condition]) -> None:
    for field, facts in kind.model_json_schema()["properties"].items():
        for option in options(facts):
            wrong: list[object] = (
                [option["minimum"] - 1, option["maximum"] + 1] if "minimum" in option else []
            )
            for value in [*wrong, *(["no such word"] if "enum" in option else [])]:
                with pytest.raises(SettingError, match=f"{field}="):
                    condition(f"{kind.name()}({field}={value!r})")


def test_it_is_frozen_and_refuses_unknown_settings(kind: type[Condition]) -> None:
    with pytest.raises(ValidationError):
        kind().resolution = 128  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(SettingError, match="no_such_setting"):
        condition(f"{kind.name()}(no_such_setting=1)")


def test_it_describes_itself(kind: type[Condition]) -> None:
    for text in (kind.title, kind.paper, kind.licence):
        assert text and "\n" not in text
    assert (kind.__doc__ or "") != Condition.__doc__
    assert kind.name() in NAMES
    assert kind.family in get_args(Family) and kind.family != "other"


def test_every_setting_is_described_and_bounded(kind: type[Condition]) -> None:
    for name, field in kind.model_fields.items():
        facts = registry.schema("conditions", kind.name())["properties"][name]
        assert facts.get("description"), f"{name} has no description"
        if {int, float} & {field.annotation, *get_args(field.annotation)}:
            assert any("minimum" in option and "maximum" in option for option in options(facts)), (
                f"{name} has no bounds"
            )


def test_weights_are_told_in_full(kind: type[Condition]) -> None:
    for weights in kind.weights:
        assert "/" in weights.repo and weights.megabytes > 0 and weights.licence
        assert weights.sha256 is None or len(weights.sha256) == 64
        if weights.stand_in is not None:
            assert not type(condition(weights.stand_in)).weights


def test_names_and_aliases_are_unique() -> None:
    all_names = list(NAMES)
    for kind in KINDS.values():
        all_names += kind.aliases
    assert not {name for name in all_names if all_names.count(name) > 1}


@pytest.mark.parametrize("alias", registry.aliases("conditions"))
def test_every_alias_resolves(alias: str) -> None:
    meant = registry.aliases("conditions")[alias]
    found = condition(alias)
    assert found == condition(meant) and alias in type(found).aliases
