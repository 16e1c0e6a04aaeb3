"""The routes of the page: one document, and the files beside it, known by their names from the start."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

ASSETS: Final = Path(__file__).parent / "assets"
KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def router() -> APIRouter:
    """Make the routes; a request chooses among the files that are there now, and opens no path of its own."""
    routes = APIRouter(include_in_schema=False)
    files = {file.name: file for file in sorted(ASSETS.iterdir()) if file.suffix in KINDS}

    def given(name: str) -> Response:
        file = files.get(name)
        if file is None:
            raise HTTPException(404, "the page has no such file")
        # The browser asks again each time: after an upgrade no old module meets a new one.
        return Response(
            file.read_bytes(), media_type=KINDS[file.suffix], headers={"cache-control": "no-cache"}
        )

    @routes.get("/")
    async def page() -> Response:
        return given("index.html")

    @routes.get("/assets/{name}")
    async def asset(name: str) -> Response:
        return given(name)

    return routes
