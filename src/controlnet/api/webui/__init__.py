"""The dialect of the web UI and its ControlNet extension, which existing clients speak."""

from fastapi import APIRouter

from controlnet.api.webui import controlnet, generating, lists, progress
from controlnet.api.webui.state import Desk
from controlnet.service import Engine


def routers(engine: Engine) -> list[APIRouter]:
    """Make the routes of the dialect."""
    desk = Desk(engine)
    return [
        generating.router(desk),
        progress.router(desk),
        lists.router(desk),
        controlnet.router(desk),
    ]
