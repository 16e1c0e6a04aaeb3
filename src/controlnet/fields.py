"""What pydantic says about wrong values, put in one line: got, wanted, mend."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from controlnet.errors import SettingError
from controlnet.nearest import quoted, unknown

Model = TypeVar("Model", bound=BaseModel)


def checked(
    model: type[Model], values: Mapping[str, Any], subject: str, error: type[SettingError] = SettingError
) -> Model:
    """Return the model made from the values; raise `error`, headed by the subject, for what does not fit."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as failure:
        raise error(f"{subject}: {explain(failure, model)}") from failure


def explain(failure: ValidationError, model: type[BaseModel]) -> str:
    """Return the failure as one line; a field that does not exist is answered with the near ones."""
    return "; ".join(
        _line(item["type"], item["loc"], item["input"], item["msg"], model) for item in failure.errors()
    )


def _line(kind: str, path: Sequence[int | str], value: object, message: str, model: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in path)
    if kind == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        prefix = ".".join(str(part) for part in path[:-1])
        return f"{prefix}: " * bool(prefix) + unknown("setting", str(path[-1]), _names(owner))
    if kind == "missing":
        return f"{field} is missing"
    # pydantic heads the text of an error raised by a validator of ours with its kind, and capitals its own
    said = message.removeprefix("Value error, ")
    if said is message:
        said = message[:1].lower() + message[1:]
    return f"{field}={quoted(value)}: {said}" if field else said


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel]:
    """Return the model that an error's path leads to, past parts that are no fields (indices, tags)."""
    for part in path:
        if part in model.model_fields:
            model = _first_model(model.model_fields[str(part)].annotation) or model
    return model


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_first_model, get_args(annotation))), None)
