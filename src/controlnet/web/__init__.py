"""The page at `/`: HTML, CSS and modules that a browser runs as they are, without a build."""

from controlnet.web.page import router

__all__ = ["router"]
