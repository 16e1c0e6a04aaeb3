"""The token in a cookie, for pages: pictures and event streams of a page cannot send a header."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from controlnet.api.errors import RESPONSES
from controlnet.api.guard import tokens_of
from controlnet.api.policy import COOKIE, Policy


class TokenIn(BaseModel):
    """The token that the operator gave."""

    token: str = Field(max_length=1000)


class SessionView(BaseModel):
    """Whether a token is needed, and whether this client has sent the right one."""

    needed: bool
    admitted: bool


def router(policy: Policy) -> APIRouter:
    """Make the routes; they are open, so that a page can ask for the token."""
    routes = APIRouter(prefix="/v1", tags=["session"], responses=RESPONSES)

    @routes.get("/session")
    async def look(request: Request) -> SessionView:
        """Tell whether a token is needed still."""
        return SessionView(
            needed=policy.token is not None, admitted=policy.admits("", tokens_of(request.headers))
        )

    @routes.post("/session")
    async def enter(request: Request, response: Response, given: TokenIn) -> SessionView:
        """Keep the token in a cookie that no script reads and no other site sends."""
        if not policy.admits("", [given.token]):
            raise HTTPException(401, "the token is wrong")
        if policy.token is not None:
            secure = request.url.scheme == "https"
            response.set_cookie(COOKIE, policy.token, httponly=True, samesite="strict", secure=secure)
        return SessionView(needed=policy.token is not None, admitted=True)

    return routes
