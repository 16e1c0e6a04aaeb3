"""Progress and interruption of the dialect: of the caller's own job, never of another client's."""

import base64
from datetime import datetime
from time import monotonic
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from controlnet.api.errors import RESPONSES
from controlnet.api.webui.state import Desk, client_of

_ERRORS: dict[int | str, dict[str, Any]] = {status: RESPONSES[status] for status in (401, 403)}


class ProgressOut(BaseModel):
    """How far the caller's job is; idle is progress 0 and job_count 0."""

    progress: float
    eta_relative: float
    state: dict[str, Any]
    current_image: str | None
    textinfo: str | None


def router(desk: Desk) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(tags=["web UI"], responses=_ERRORS)

    @routes.get("/sdapi/v1/progress")
    async def progress(request: Request, skip_current_image: bool = False) -> ProgressOut:
        """Tell how far the caller's job is."""
        job, count = desk.current(client_of(request))
        done, eta, image = 0.0, 0.0, None
        state: dict[str, Any] = {
            "skipped": False,
            "interrupted": False,
            "stopping_generation": False,
            "job": "",
            "job_count": count,
            "job_timestamp": "0",
            "job_no": 0,
            "sampling_step": 0,
            "sampling_steps": 0,
        }
        if job is not None:
            done = job.progress
            if done > 0 and job.begun is not None:
                eta = (monotonic() - job.begun) * (1 - done) / done
            if job.preview is not None and not skip_current_image:
                image = base64.b64encode(job.preview).decode()
            each = max(1, job.steps // max(1, job.count))
            state |= {
                "job": "waiting" if job.state == "waiting" else "sampling",
                "job_timestamp": datetime.fromtimestamp(job.created).strftime("%Y%m%d%H%M%S"),
                "job_no": len(job.pictures),
                "sampling_step": job.step % each,
                "sampling_steps": each if job.steps else 0,
            }
        position = None if job is None else desk.engine.position(job)
        text = None if position is None else f"{position} jobs wait before this one"
        return ProgressOut(progress=done, eta_relative=eta, state=state, current_image=image, textinfo=text)

    @routes.post("/sdapi/v1/interrupt")
    async def interrupt(request: Request) -> dict[str, Any]:
        """End the caller's job; it is answered with the pictures as they are by then."""
        job, _ = desk.current(client_of(request))
        if job is not None:
            desk.engine.cancel(job, keep=True)
        return {}

    @routes.post("/sdapi/v1/skip")
    async def skip(request: Request) -> None:
        """End the picture in work as it is by then, and go on with the next one of the caller's job."""
        job, _ = desk.current(client_of(request))
        if job is not None:
            desk.engine.skip(job)

    @routes.get("/queue/status")
    async def queue() -> dict[str, Any]:
        """Tell how long the queue is."""
        running, waiting = desk.engine.counts()
        return {"msg": "estimation", "rank": waiting, "queue_size": running + waiting, "rank_eta": 0}

    return routes
