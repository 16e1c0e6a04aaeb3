"""txt2img and img2img of the dialect: they answer when the pictures are there."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from controlnet.api.errors import RESPONSES
from controlnet.api.watching import finished
from controlnet.api.webui.building import from_picture, from_prompt
from controlnet.api.webui.fields import GenerationIn, Img2ImgIn, Txt2ImgIn
from controlnet.api.webui.state import Desk, client_of
from controlnet.service import Generate, Job, JobFailed

UNSAID = {"init_images", "mask", "alwayson_scripts"}  # what is not repeated in an answer


class ImagesOut(BaseModel):
    """Pictures as raw base64, then a control map for each unit that keeps its own."""

    images: list[str]
    parameters: dict[str, Any]
    info: str = Field(description="JSON text: seeds, infotexts and more")


def router(desk: Desk) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/sdapi/v1", tags=["web UI"], responses=RESPONSES)

    @routes.post("/txt2img", response_model=ImagesOut)
    async def txt2img(request: Request, told: Txt2ImgIn) -> Response:
        """Make pictures from a prompt and any number of control units."""
        return await _answered(desk, request, told, lambda: from_prompt(desk, client_of(request), told))

    @routes.post("/img2img", response_model=ImagesOut)
    async def img2img(request: Request, told: Img2ImgIn) -> Response:
        """Make pictures from a picture, all of it or where a mask is white."""
        return await _answered(desk, request, told, lambda: from_picture(desk, client_of(request), told))

    return routes


async def _answered(
    desk: Desk, request: Request, told: GenerationIn, read: Callable[[], tuple[Generate, list[str]]]
) -> Response:
    def queue() -> tuple[Job, Generate, list[str]]:
        wanted, ignored = read()
        return desk.engine.submit(wanted, client_of(request)), wanted, ignored

    job, wanted, ignored = await asyncio.to_thread(queue)
    if not await finished(desk.engine, job, request):
        return Response(status_code=499)  # nobody is there to read it
    try:
        return await asyncio.to_thread(_answer, desk, job, wanted, told, ignored)
    finally:
        desk.engine.forget(job)


def _answer(desk: Desk, job: Job, wanted: Generate, told: GenerationIn, ignored: list[str]) -> Response:
    if job.failure is not None:
        raise job.failure
    if job.state == "cancelled":
        raise JobFailed("Cancelled", "the job was cancelled", mistaken=True)
    images = [made.png for made in job.pictures] + list(job.maps) if told.send_images else []
    answer = ImagesOut(
        images=[base64.b64encode(image).decode() for image in images],
        parameters=told.model_dump(mode="json", exclude=UNSAID),
        info=json.dumps(_info(desk, job, wanted, told, ignored)),
    )
    return JSONResponse(answer.model_dump())


def _info(desk: Desk, job: Job, wanted: Generate, told: GenerationIn, ignored: list[str]) -> dict[str, Any]:
    base = desk.engine.catalog.base(wanted.base)
    seeds = [made.seed for made in job.pictures]
    width, height = job.told.get("size", (told.width, told.height))
    return {
        "prompt": wanted.prompt,
        "all_prompts": [wanted.prompt] * len(seeds),
        "negative_prompt": wanted.negative_prompt,
        "all_negative_prompts": [wanted.negative_prompt] * len(seeds),
        "seed": wanted.seed,
        "all_seeds": seeds,
        "subseed": wanted.seed,
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "width": width,
        "height": height,
        "sampler_name": told.sampler_name or told.sampler_index or "Euler",
        "cfg_scale": wanted.guidance_scale,
        "steps": wanted.steps,
        "batch_size": told.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": base.name,
        "sd_model_hash": base.hash,
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": told.denoising_strength,
        "extra_generation_params": {"Ignored": ", ".join(ignored)} if ignored else {},
        "index_of_first_image": 0,
        "infotexts": [made.text for made in job.pictures],
        "styles": [],
        "job_timestamp": datetime.fromtimestamp(job.created).strftime("%Y%m%d%H%M%S"),
        "clip_skip": wanted.clip_skip or 1,
        "is_using_inpainting_conditioning": False,
        "version": "controlnet",
        "interrupted": job.interrupted,
    }
