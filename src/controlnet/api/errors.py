"""The library's exceptions as answers: status and JSON, the same form for all."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from controlnet.errors import MENDABLE, ControlNetError
from controlnet.service import Busy, Closing, JobFailed, TooLarge

_OF_JOBS: Final = {"Deadline": 504, "OutOfMemory": 503, "Closing": 503}


class FieldError(BaseModel):
    """One field that cannot be meant."""

    field: str = Field(description="where it stands, such as controls.0.weight")
    detail: str


class ErrorView(BaseModel):
    """Why there is no result."""

    error: str = Field(description="the kind of error, for programs")
    detail: str = Field(description="what was got, what was wanted, and the mend")
    fields: list[FieldError] = Field(default_factory=list[FieldError])


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorView, "description": text}
    for status, text in {
        400: "no JSON",
        401: "the token is missing or wrong",
        403: "host or origin is not allowed",
        404: "no such job, or nothing there yet",
        413: "too many bytes",
        415: "not JSON",
        422: "a field cannot be meant",
        429: "no room now; see Retry-After",
        503: "the service is starting or stopping",
    }.items()
}


def status_of(error: ControlNetError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, Busy):
        return 429
    if isinstance(error, Closing):
        return 503
    if isinstance(error, TooLarge):
        return 413
    if isinstance(error, JobFailed):
        return 422 if error.mistaken else _OF_JOBS.get(error.kind, 500)
    return 422 if isinstance(error, MENDABLE) else 500


def answer(
    status: int, error: str, detail: str, fields: Sequence[FieldError] = (), retry: int | None = None
) -> JSONResponse:
    """Make the answer for an error."""
    view = ErrorView(error=error, detail=_whole(detail), fields=list(fields))
    headers = {} if retry is None else {"retry-after": str(retry)}
    return JSONResponse(view.model_dump(), status, headers)


def register(app: FastAPI) -> None:
    """Have every exception answered in this form; what the request held is never repeated in it."""

    @app.exception_handler(ControlNetError)
    async def ours(request: Request, error: ControlNetError) -> JSONResponse:
        retry = error.retry_after if isinstance(error, Busy) else 5 if isinstance(error, Closing) else None
        kind = error.kind if isinstance(error, JobFailed) else type(error).__name__
        return answer(status_of(error), kind, str(error), retry=retry)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        told = [
            FieldError(field=_place(item["loc"]), detail=_whole(str(item["msg"]))) for item in error.errors()
        ]
        detail = "; ".join(f"{item.field}: {item.detail}" for item in told[:5])
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return answer(400, "NoJSON", detail)
        return answer(422, "Invalid", detail, told[:50])

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        response = answer(error.status_code, "HTTP", str(error.detail))
        response.headers.update(error.headers or {})
        return response


def _place(location: Sequence[int | str]) -> str:
    return ".".join(str(part)[:60] for part in location if part != "body") or "body"


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:2000]
