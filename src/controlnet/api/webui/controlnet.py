"""The extension's own routes: what there is, control maps, and poses drawn from their keypoints."""

import asyncio
import base64
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel

from controlnet.api.errors import RESPONSES
from controlnet.api.watching import finished
from controlnet.api.webui.fields import DetectIn
from controlnet.api.webui.lists import UNITS
from controlnet.api.webui.names import annotator, bounds, module, modules, thresholds
from controlnet.api.webui.state import Desk, client_of
from controlnet.conditions._keypoints import from_json
from controlnet.conditions._pose import draw_pose
from controlnet.errors import DataError, SettingError
from controlnet.service import Annotate, Job, JobFailed
from controlnet.service.pictures import png, read_picture

# The extension's types, with words of which a preprocessor or model of that type has one in its name.
_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "Canny": ("canny",),
    "Depth": ("depth",),
    "NormalMap": ("normal",),
    "OpenPose": ("openpose", "pose"),
    "MLSD": ("mlsd", "lines", "lsd", "hough"),
    "Lineart": ("lineart",),
    "SoftEdge": ("softedge", "hed", "pidinet"),
    "Scribble/Sketch": ("scribble", "sketch"),
    "Segmentation": ("seg",),
    "Shuffle": ("shuffle",),
    "Tile/Blur": ("tile", "blur"),
    "Inpaint": ("inpaint",),
    "Recolor": ("recolor",),
}
_NUMBERS: Final = ("controlnet_processor_res", "controlnet_threshold_a", "controlnet_threshold_b")


class MapsOut(BaseModel):
    """Control maps as raw base64."""

    images: list[str]
    info: str
    poses: list[Any] | None = None


def router(desk: Desk) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/controlnet", tags=["web UI: ControlNet"], responses=RESPONSES)
    engine = desk.engine

    @routes.get("/version")
    async def version() -> dict[str, int]:
        """Tell which version of the contract this is."""
        return {"version": 3}

    @routes.get("/settings")
    async def settings() -> dict[str, int]:
        """Tell how many units a client shows."""
        return {"control_net_unit_count": UNITS}

    @routes.get("/model_list")
    async def model_list(update: bool = True) -> dict[str, list[str]]:
        """List the ControlNets."""
        return {"model_list": [model.title for model in engine.catalog.controls]}

    @routes.get("/module_list")
    async def module_list(alias_names: Annotated[bool, Query()] = False) -> dict[str, Any]:
        """List the preprocessors with their sliders."""
        detail = await asyncio.to_thread(lambda: {name: _detail(name) for name in modules()})
        return {"module_list": list(modules()), "module_detail": detail}

    @routes.get("/control_types")
    async def control_types() -> dict[str, Any]:
        """List preprocessors and ControlNets by the type of control."""
        models = [model.title for model in engine.catalog.controls]
        types = {"All": _type(list(modules()), ["None", *models])}
        for name, words in _TYPES.items():
            mine = [own for own in modules() if any(word in own for word in words)]
            types[name] = _type(["none", *mine], ["None", *(m for m in models if any(w in m for w in words))])
        return {"control_types": types}

    @routes.post("/detect")
    async def detect(request: Request, told: DetectIn) -> MapsOut:
        """Make control maps of pictures; keypoints besides, where people are found."""
        most = engine.limits.picture_pixels

        def queue() -> Job | None:
            if not told.controlnet_input_images:
                raise SettingError("controlnet_input_images is empty; wanted at least one picture")
            count, allowed = len(told.controlnet_input_images), engine.limits.pictures
            if count > allowed:
                raise SettingError(
                    f"controlnet_input_images has {count} pictures; wanted at most {allowed} here"
                )
            name = module("controlnet_module", told.controlnet_module) or "none"
            numbers = told.controlnet_threshold_a, told.controlnet_threshold_b
            spec = annotator(name, told.controlnet_processor_res, numbers, _NUMBERS)
            pictures = [
                read_picture(image, f"controlnet_input_images[{k}]", most)
                for k, image in enumerate(told.controlnet_input_images)
            ]
            return engine.submit(Annotate(spec, tuple(pictures), keypoints=True), client_of(request))

        job = await asyncio.to_thread(queue)
        assert job is not None
        await finished(engine, job, request)
        engine.forget(job)
        if job.failure is not None:
            raise job.failure
        if job.state != "done":
            raise JobFailed("Cancelled", "the job was cancelled", mistaken=True)
        images = [base64.b64encode(made).decode() for made in job.maps]
        return MapsOut(images=images, info="Success", poses=job.poses or None)

    @routes.post("/render_openpose_json")
    async def render(poses: Annotated[list[dict[str, Any]], Body(max_length=100)]) -> MapsOut:
        """Draw people from OpenPose's JSON; no network has a part in it."""
        images = await asyncio.to_thread(lambda: [_drawn(pose, engine.limits.pixels) for pose in poses])
        return MapsOut(images=images, info="Success")

    return routes


def _drawn(told: dict[str, Any], most: int) -> str:
    pose = from_json(told)
    if pose.width * pose.height > most:
        raise DataError(f"the canvas has {pose.width}×{pose.height} pixels; wanted at most {most:,}")
    return base64.b64encode(png(draw_pose(pose))).decode()


def _detail(name: str) -> dict[str, Any]:
    sliders = [{"name": "Preprocessor Resolution", "value": 512, "min": 64, "max": 2048, "step": 8}]
    for key, field in thresholds(name):
        least, most = bounds(field)
        step = 1 if field.annotation is int else 0.01
        sliders.append({"name": key, "value": field.default, "min": least, "max": most, "step": step})
    return {"model_free": False, "sliders": [] if name == "none" else sliders}


def _type(modules: list[str], models: list[str]) -> dict[str, Any]:
    return {
        "module_list": modules,
        "model_list": models,
        "default_option": modules[1] if len(modules) > 1 and modules[0] == "none" else modules[0],
        "default_model": models[1] if len(models) > 1 else models[0],
    }
