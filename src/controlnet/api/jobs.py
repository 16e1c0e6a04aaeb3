"""The jobs API: submit, watch, download, cancel; a job is known by an id that nobody can guess."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from controlnet.api.errors import RESPONSES
from controlnet.api.models import JobIn, JobView
from controlnet.api.watching import Audience, watching
from controlnet.service import Engine, Job

KEEP_ALIVE: Final = 10.0  # seconds after which a silent stream says that it is there
_PNG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
_JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
Id = Annotated[str, Path(max_length=64)]
Number = Annotated[int, Path(ge=0, le=1000)]


def router(engine: Engine) -> APIRouter:
    """Make the routes over an engine."""
    routes = APIRouter(prefix="/v1", tags=["jobs"], responses=RESPONSES)
    audience = Audience(engine)

    def known(id: str) -> Job:
        job = engine.job(id)
        if job is None:
            raise HTTPException(404, "no such job; it may be forgotten by now")
        return job

    @routes.post("/jobs", status_code=202)
    async def submit(
        request: Request,
        response: Response,
        wanted: JobIn,
    ) -> JobView:
        """Queue pictures to be made, or control maps; answers at once with the job's id."""
        client = request.client.host if request.client else ""

        def queue() -> Job:
            return engine.submit(wanted.request(engine), client, wanted.deadline)

        job = await asyncio.to_thread(queue)
        if wanted.while_watched:
            audience.bind(job)
        response.headers["location"] = f"/v1/jobs/{job.id}"
        return JobView.of(engine, job)

    @routes.get("/jobs/{id}")
    async def look(id: Id) -> JobView:
        """Tell how a job stands."""
        return JobView.of(engine, known(id))

    @routes.delete("/jobs/{id}")
    async def cancel(id: Id, keep: bool = False) -> JobView:
        """End a job at its next step; keep: with what is there. One that is over is forgotten."""
        job = known(id)
        if job.over:
            view = JobView.of(engine, job)
            engine.forget(job)
            return view
        engine.cancel(job, keep)
        return JobView.of(engine, job)

    @routes.get(
        "/jobs/{id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def events(request: Request, id: Id) -> StreamingResponse:
        """Stream `job` events (a JobView as it changes) and `preview` events until the job is over."""
        job = known(id)
        return StreamingResponse(_events(engine, audience, job, request), media_type="text/event-stream")

    @routes.get("/jobs/{id}/pictures/{number}", response_class=Response, responses=_PNG)
    async def picture(id: Id, number: Number) -> Response:
        """Give a picture as PNG, with the settings that made it in its texts."""
        made = known(id).pictures
        if number >= len(made):
            raise HTTPException(404, f"there are {len(made)} pictures so far, counted from 0")
        return Response(made[number].png, media_type="image/png")

    @routes.get("/jobs/{id}/maps/{number}", response_class=Response, responses=_PNG)
    async def control_map(id: Id, number: Number) -> Response:
        """Give a control map as PNG."""
        maps = known(id).maps
        if number >= len(maps):
            raise HTTPException(404, f"there are {len(maps)} maps so far, counted from 0")
        return Response(maps[number], media_type="image/png")

    @routes.get("/jobs/{id}/preview", response_class=Response, responses=_JPEG)
    async def preview(id: Id) -> Response:
        """Give the picture in work as JPEG, as it is to be expected by now; only where it was asked for."""
        shown = known(id).preview
        if shown is None:
            raise HTTPException(404, "there is no preview, or none yet")
        return Response(shown, media_type="image/jpeg")

    return routes


async def _events(engine: Engine, audience: Audience, job: Job, request: Request) -> AsyncIterator[str]:
    audience.enter(job)
    shown, told, silent = 0, -1, 0.0
    try:
        async with watching(job) as watch:
            while True:
                over = job.over
                if job.preview is not None and job.preview_number != shown and not over:
                    shown = job.preview_number
                    image = "data:image/jpeg;base64," + base64.b64encode(job.preview).decode()
                    yield _event("preview", json.dumps({"step": job.step, "image": image}))
                if job.version != told:
                    told = job.version
                    yield _event("job", JobView.of(engine, job).model_dump_json())
                if over:
                    return
                silent = 0.0 if await watch.change(1.0) else silent + 1.0
                if await request.is_disconnected():
                    return
                if silent >= KEEP_ALIVE:
                    silent = 0.0
                    yield ": still here\n\n"
    finally:
        audience.leave(job)


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
