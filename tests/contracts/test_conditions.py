"""What every condition promises, for whichever there are: nothing here names one."""

import pickle
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from controlnet import registry
from controlnet.conditions import annotate, condition, conditions
from controlnet.conditions._base import Condition
from controlnet.conditions._image import Pixels
from controlnet.errors import DataError

NAMES = conditions()
SIZES = [(1, 1), (1, 40), (40, 1), (3, 5), (48, 64), (64, 64), (65, 33)]


def picture(height: int, width: int) -> Pixels:
    """Return noise over a bright square, so that there is something to find."""
    pixels = np.random.default_rng(height * 1000 + width).integers(0, 90, (height, width, 3), dtype=np.uint8)
    pixels[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] += 150
    return pixels


@pytest.fixture(params=NAMES)
def detector(request: pytest.FixtureRequest) -> Condition:
    return condition(request.param)


def test_there_are_conditions() -> None:
    assert "canny" in NAMES


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_map_has_the_pictures_size_and_is_uint8(detector: Condition, size: tuple[int, int]) -> None:
    found = detector(picture(*size))
    assert found.shape == (*size, 3) and found.dtype == np.uint8


def test_the_map_shows_something(detector: Condition) -> None:
    assert np.ptp(detector(picture(64, 64))) > 0


def test_picture_is_left_as_it_was(detector: Condition) -> None:
    pixels = picture(48, 64)
    before = pixels.copy()
    found = detector(pixels)
    assert np.array_equal(pixels, before)
    assert not np.shares_memory(found, pixels)


def test_same_picture_same_map(detector: Condition) -> None:
    assert np.array_equal(detector(picture(48, 64)), detector(picture(48, 64)))
    assert np.array_equal(detector(picture(48, 64)), condition(detector.name())(picture(48, 64)))


@pytest.mark.parametrize("layout", ["reversed", "sliced", "fortran", "read-only"])
def test_memory_layout_does_not_matter(detector: Condition, layout: str) -> None:
    pixels = picture(48, 64)
    frozen = pixels.copy()
    frozen.flags.writeable = False
    same = {
        "reversed": pixels[::-1].copy()[::-1],
        "sliced": np.dstack([pixels, pixels])[..., :3],
        "fortran": np.asfortranarray(pixels),
        "read-only": frozen,
    }[layout]
    assert np.array_equal(detector(same), detector(pixels))


@pytest.mark.parametrize("resolution", [64, 96])
def test_resolution_changes_the_work_not_the_size(detector: Condition, resolution: int) -> None:
    other = detector.model_copy(update={"resolution": resolution})
    assert other(picture(48, 80)).shape == (48, 80, 3)


def test_label_maps_keep_their_colours_when_resized(detector: Condition) -> None:
    if not detector.label_map:
        pytest.skip("blending is right for this map")
    own = np.unique(detector(picture(64, 80)).reshape(-1, 3), axis=0)
    resized = detector.model_copy(update={"resolution": 100})(picture(64, 80))
    assert {tuple(colour) for colour in np.unique(resized.reshape(-1, 3), axis=0)} <= {tuple(c) for c in own}


def test_other_arrays_are_refused_with_the_mend(detector: Condition) -> None:
    for wrong in (
        np.zeros((4, 4)),
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(DataError, match="annotate"):
            detector(wrong)


def test_it_is_frozen_and_refuses_unknown_settings(detector: Condition) -> None:
    with pytest.raises(ValidationError):
        detector.resolution = 128  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError):
        type(detector).model_validate({"no_such_setting": 1})
    assert hash(detector) == hash(condition(detector.name()))


def test_text_form_round_trip(detector: Condition) -> None:
    changed = detector.model_copy(update={"resolution": 128})
    assert condition(str(detector)) == detector
    assert condition(str(changed)) == changed


def test_json_and_pickle_round_trip(detector: Condition) -> None:
    assert type(detector).model_validate_json(detector.model_dump_json()) == detector
    assert pickle.loads(pickle.dumps(detector)) == detector


def test_it_describes_itself(detector: Condition) -> None:
    for text in (detector.title, detector.paper, detector.licence):
        assert text and "\n" not in text
    assert (type(detector).__doc__ or "") != Condition.__doc__
    assert detector.name() in NAMES


def test_every_setting_is_described_and_bounded(detector: Condition) -> None:
    for name, field in type(detector).model_fields.items():
        facts = registry.schema("conditions", detector.name())["properties"][name]
        assert facts.get("description"), f"{name} has no description"
        if {int, float} & {field.annotation, *get_args(field.annotation)}:
            options = facts.get("anyOf", [facts])
            assert any("minimum" in option and "maximum" in option for option in options), (
                f"{name} has no bounds"
            )


def test_names_and_aliases_are_unique() -> None:
    all_names = list(NAMES)
    for name in NAMES:
        all_names += registry.find("conditions", name).aliases
    assert len(all_names) == len(set(all_names))


def test_annotate_is_the_same_map(detector: Condition) -> None:
    assert np.array_equal(annotate(detector.name(), picture(48, 64)), detector(picture(48, 64)))
