"""What clients of the dialect list before they begin: samplers, models, options."""

import asyncio
import os
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from controlnet.api.errors import RESPONSES
from controlnet.api.models import Encoded
from controlnet.api.webui.names import base_model
from controlnet.api.webui.state import Desk, client_of
from controlnet.service.pictures import read_picture, texts_of

UNITS = 3  # that a client shows


class OptionsIn(BaseModel):
    """Options as clients post them back, all of them; one counts."""

    model_config = ConfigDict(extra="ignore")

    sd_model_checkpoint: str | None = None


class PictureIn(BaseModel):
    """A picture whose texts are asked for."""

    model_config = ConfigDict(extra="ignore")

    image: Encoded


def router(desk: Desk) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/sdapi/v1", tags=["web UI"], responses=RESPONSES)

    @routes.get("/options")
    async def options(request: Request) -> dict[str, Any]:
        """Tell the caller's options."""
        base = desk.base(client_of(request))
        return {
            "sd_model_checkpoint": base.title,
            "sd_checkpoint_hash": base.hash,
            "sd_vae": "Automatic",
            "CLIP_stop_at_last_layers": 1,
            "samples_format": "png",
            "show_progress_every_n_steps": 1,
            "live_previews_enable": True,
            "control_net_unit_count": UNITS,
        }

    @routes.post("/options")
    async def set_options(request: Request, told: OptionsIn) -> None:
        """Choose the caller's base; other options are read and let go."""
        if told.sd_model_checkpoint:
            found = base_model("sd_model_checkpoint", told.sd_model_checkpoint, desk.engine.catalog)
            desk.choose(client_of(request), found)

    @routes.get("/samplers")
    async def samplers() -> list[dict[str, Any]]:
        """List the samplers, alone and with Karras' spacing, as older clients name them."""
        from controlnet.sampling import SAMPLERS

        return [
            {"name": kind.label, "aliases": [name, *kind.solver.aliases], "options": {}}
            for name, kind in SAMPLERS.items()
            if kind.spacing is None or kind.spacing.label == "Karras"
        ]

    @routes.get("/schedulers")
    async def schedulers() -> list[dict[str, Any]]:
        """List the spacings of steps."""
        from controlnet.sampling.schedulers import SPACINGS

        automatic = {"name": "automatic", "label": "Automatic", "aliases": None}
        rest = [
            {"name": name, "label": spacing.label, "aliases": list(spacing.aliases) or None}
            for name, spacing in SPACINGS.items()
        ]
        return [{**one, "default_rho": -1, "need_inner_model": False} for one in (automatic, *rest)]

    @routes.get("/upscalers")
    async def upscalers() -> list[dict[str, Any]]:
        """List what enlarges between two passes."""
        known = ("None", "Lanczos", "Bicubic")
        blank = {"model_name": None, "model_path": None, "model_url": None, "scale": 4}
        return [{"name": name, **blank} for name in known]

    @routes.get("/latent-upscale-modes")
    async def latent_modes() -> list[dict[str, str]]:
        """List what enlarges latents between two passes."""
        return [{"name": "Latent"}]

    @routes.get("/sd-models")
    async def models() -> list[dict[str, Any]]:
        """List the bases."""
        return [
            {
                "title": base.title,
                "model_name": base.name,
                "hash": base.hash,
                "sha256": None,
                "filename": base.name,
                "config": None,
            }
            for base in desk.engine.catalog.bases
        ]

    @routes.get("/embeddings")
    async def embeddings() -> dict[str, Any]:
        """List none: there are no embeddings here."""
        return {"loaded": {}, "skipped": {}}

    @routes.get("/scripts")
    async def scripts() -> dict[str, list[str]]:
        """List the scripts by whose names clients find out that there are control units."""
        return {"txt2img": ["controlnet", "controlnet m2m"], "img2img": ["controlnet", "controlnet m2m"]}

    @routes.get("/cmd-flags")
    async def flags() -> dict[str, Any]:
        """Tell the few flags that clients look at."""
        return {"api": True, "listen": False, "share": False}

    @routes.get("/memory")
    async def memory() -> dict[str, Any]:
        """Tell the machine's memory, and that of the workers."""
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = (page * os.sysconf(f"SC_{name}") for name in ("PHYS_PAGES", "AVPHYS_PAGES"))
        used = sum(int(worker.get("resident", 0)) for worker in desk.engine.usage())
        return {"ram": {"free": free, "used": used, "total": total}, "cuda": {}}

    @routes.post("/png-info")
    async def png_info(told: PictureIn) -> dict[str, Any]:
        """Read how a picture was made from its texts."""
        most = desk.engine.limits.picture_pixels

        def read() -> dict[str, str]:
            read_picture(told.image, "image", most)
            return texts_of(told.image)

        texts = await asyncio.to_thread(read)
        return {"info": texts.get("parameters", ""), "items": texts, "parameters": {}}

    @routes.post("/refresh-checkpoints")
    async def refresh() -> None:
        """Do nothing: what there is was named when the service was started."""

    for name in _EMPTY:
        routes.get(f"/{name}", name=name, operation_id=f"list_{name.replace('-', '_')}")(_nothing)
    return routes


_EMPTY = (
    *("sd-vae", "sd-modules", "loras", "hypernetworks", "face-restorers", "prompt-styles"),
    *("realesrgan-models", "script-info"),
)


async def _nothing() -> list[dict[str, Any]]:
    """List none: there are none of these here."""
    return []
