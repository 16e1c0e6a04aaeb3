"""The gate before every request: host, origin, token, size and form of the body; strict headers behind."""

import asyncio
import base64
import binascii
import json
import re
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlnet.api.policy import COOKIE, Policy

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
# What JSON of Python lets pass and no answer could repeat: numbers that are none, halves of characters.
_ODD: Final = re.compile(rb"NaN|Infinity|\\u[dD][89a-fA-F]")


def headers_of(policy: Policy) -> dict[str, str]:
    """Return the headers of every answer."""
    content = (
        f"default-src 'none'; script-src {policy.scripts}; style-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": content,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }


class Guard:
    """An ASGI application around another; what is refused never reaches it."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app, self._policy, self._headers = app, policy, headers_of(policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            body = await self._body(scope, receive)
            if isinstance(body, bytes):
                await self._app(scope, _again(body, receive), strict)
                return
            refusal = body
        status, told = refusal
        extra = {"www-authenticate": "Bearer"} if status == 401 else {}
        answer = JSONResponse({"error": "Refused", "detail": told}, status, extra)
        await answer(scope, receive, strict)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers, policy = Headers(scope=scope), self._policy
        host = headers.get("host", "")
        if not policy.knows_host(host):
            return 403, f"this service is not called {host[:100]!r}; its operator may allow the name"
        if scope["method"] not in _SAFE:
            origin = headers.get("origin")
            if origin is not None and not policy.knows_origin(origin, host):
                return 403, "pages of other origins may not call this service"
            if origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                return 403, "pages of other sites may not call this service"
        if not policy.admits(scope["path"], tokens_of(headers)):
            return 401, "the token is missing or wrong; send it as `Authorization: Bearer TOKEN`"
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes | tuple[int, str]:
        """Read the body as far as the limit goes, and see that it is the JSON it shall be."""
        headers = Headers(scope=scope)
        if (
            scope["method"] in _SAFE
            and "content-length" not in headers
            and "transfer-encoding" not in headers
        ):
            return b""
        most = self._policy.body
        large = 413, f"the body is larger than {most:,} bytes; send smaller pictures, or fewer"
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or len(declared) > 12 or int(declared) > most:
            return large
        pieces, size = list[bytes](), 0
        try:
            async with asyncio.timeout(self._policy.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return 400, "the client left"
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > most:
                        return large
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            return 408, f"the body did not arrive within {self._policy.seconds:g} seconds"
        body = b"".join(pieces)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != "application/json":
            return 415, f"the body is {kind[:50] or 'of no type'}; wanted application/json"
        odd = not is_utf8(body) or _ODD.search(body) is not None
        if odd and not await asyncio.to_thread(is_plain, body):
            return 400, "the body is not UTF-8, or holds NaN or half a character; wanted JSON of RFC 8259"
        return body


def is_utf8(body: bytes) -> bool:
    """Whether bytes are text in UTF-8, without a mark at its beginning."""
    try:
        return body.isascii() or not body.decode().startswith("\ufeff")
    except UnicodeDecodeError:
        return False


def is_plain(body: bytes) -> bool:
    """Whether JSON is UTF-8 with finite numbers and whole characters; true of what is no JSON at all."""

    def refuse(name: str) -> None:
        raise FloatingPointError(name)

    try:
        json.dumps(json.loads(body.decode(), parse_constant=refuse), ensure_ascii=False).encode()
    except (FloatingPointError, UnicodeError):
        return False
    except (ValueError, RecursionError):  # to be refused by whoever reads it
        return True
    return True


def tokens_of(headers: Headers) -> list[str]:
    """Return the tokens that a request brings: as a bearer, as a password of any user, in a cookie."""
    found: list[str] = []
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found.append(value.strip())
    if kind.lower() == "basic":
        with suppress(binascii.Error, ValueError):
            found.append(base64.b64decode(value, validate=True).decode().partition(":")[2])
    try:
        cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return found
    return [*found, *([cookies[COOKIE].value] if COOKIE in cookies else [])]


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the body once more, and after it what comes: that the client has left."""
    left: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
