"""What the service offers: bases, ControlNets, conditions with their settings, samplers, limits."""

import asyncio
from dataclasses import asdict
from functools import cache
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from controlnet.api.errors import RESPONSES
from controlnet.errors import MissingWeights
from controlnet.registry import find, names
from controlnet.service import Engine


class BaseView(BaseModel):
    """A base; size and stride of its pictures are known once it was loaded."""

    name: str
    hash: str
    size: int | None
    stride: int | None


class ControlView(BaseModel):
    """A ControlNet."""

    name: str
    hash: str


class ConditionView(BaseModel):
    """A condition, as a person reads it, and its settings as a JSON schema."""

    name: str
    title: str
    family: str
    licence: str
    aliases: dict[str, str]
    available: bool = Field(description="whether its weights, if it needs any, are on the server")
    settings: dict[str, Any]


class SamplerView(BaseModel):
    """A sampler."""

    name: str
    label: str


class CatalogView(BaseModel):
    """All that a request may name, and how much it may ask for."""

    bases: list[BaseView]
    controlnets: list[ControlView]
    conditions: list[ConditionView]
    samplers: list[SamplerView]
    modes: dict[str, str]
    limits: dict[str, float]


def router(engine: Engine) -> APIRouter:
    """Make the route over an engine."""
    routes = APIRouter(prefix="/v1", tags=["catalog"], responses={401: RESPONSES[401], 403: RESPONSES[403]})

    @routes.get("/catalog")
    async def catalog() -> CatalogView:
        """List what there is."""
        return await asyncio.to_thread(_catalog, engine)

    return routes


def _catalog(engine: Engine) -> CatalogView:
    from controlnet.sampling import MODES, SAMPLERS

    known = engine.bases()
    return CatalogView(
        bases=[
            BaseView(
                name=base.name,
                hash=base.hash,
                size=known.get(base.name, {}).get("size"),
                stride=known.get(base.name, {}).get("stride"),
            )
            for base in engine.catalog.bases
        ],
        controlnets=[ControlView(name=net.name, hash=net.hash) for net in engine.catalog.controls],
        conditions=[
            ConditionView(**_condition(name), available=all(map(_is_here, find("conditions", name).weights)))
            for name in names("conditions")
        ],
        samplers=[SamplerView(name=name, label=kind.label) for name, kind in SAMPLERS.items()],
        modes={str(mode): label for mode, label in MODES.items()},
        limits=asdict(engine.limits),
    )


@cache
def _condition(name: str) -> dict[str, Any]:
    kind = find("conditions", name)
    return {
        "name": name,
        "title": kind.title,
        "family": kind.family,
        "licence": kind.licence,
        "aliases": dict(kind.aliases),
        "settings": kind.model_json_schema().get("properties", {}),
    }


def _is_here(weights: Any) -> bool:
    try:
        weights.find()
    except MissingWeights:
        return False
    return True
