"""The application: all routes over one engine, behind the guard."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from controlnet import __version__
from controlnet.api import catalog, errors, health, jobs, session
from controlnet.api.guard import Guard
from controlnet.api.policy import Policy
from controlnet.api.webui import routers
from controlnet.service import Engine


def build(
    engine: Engine,
    policy: Policy | None = None,
    owns_engine: bool = True,
    further: Sequence[APIRouter] = (),
) -> FastAPI:
    """Make the application, with further routes such as a page's.

    It starts and stops the engine unless that is somebody else's.
    """
    policy = policy or Policy(body=engine.limits.body)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if owns_engine:
            await asyncio.to_thread(engine.start)
        yield
        if owns_engine:
            await asyncio.to_thread(engine.stop)

    app = FastAPI(
        title="controlnet",
        version=__version__,
        description="Pictures under spatial control: a jobs API (/v1), and the dialect of the web UI.",
        lifespan=lifespan,
        # Its pages load scripts from elsewhere; the description itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    errors.register(app)
    for routes in (
        jobs.router(engine),
        catalog.router(engine),
        health.router(engine),
        session.router(policy),
        *routers(engine),
        *further,
    ):
        app.include_router(routes)
    app.add_middleware(Guard, policy=policy)
    return app
