"""One line for each way in which values can be wrong."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from controlnet.errors import PlanError, SettingError
from controlnet.fields import checked


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rate: float = Field(default=1.0, gt=0)
    kind: str = Field(default="a", alias="sort")


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    steps: int
    inner: Inner | None = None
    many: list[Inner] = []

    @model_validator(mode="after")
    def _even(self) -> "Outer":
        if self.steps % 2:
            raise ValueError(f"steps is {self.steps}; wanted an even number")
        return self


def test_what_fits_is_made() -> None:
    assert checked(Outer, {"steps": 2}, "outer") == Outer(steps=2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "outer: steps is missing"),
        ({"steps": "x"}, "steps='x': input should be a valid integer"),
        ({"steps": 1}, "outer: steps is 1; wanted an even number"),
        ({"steps": 2, "step": 3}, "no setting is called 'step'; did you mean steps"),
        ({"steps": 2, "inner": {"rats": 3}}, "inner: no setting is called 'rats'; did you mean rate"),
        ({"steps": 2, "inner": {"srt": 3}}, "did you mean sort"),
        ({"steps": 2, "many": [{"rats": 3}]}, "many.0: no setting is called 'rats'; did you mean rate"),
        ({"steps": 2, "many": [{"rate": -1}]}, "many.0.rate=-1: input should be greater than 0"),
    ],
)
def test_what_does_not_fit_is_told(values: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError) as error:
        checked(Outer, values, "outer")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_kind_of_error_is_the_callers() -> None:
    with pytest.raises(PlanError):
        checked(Outer, {}, "plan.yaml", PlanError)
