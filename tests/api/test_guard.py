"""The gate: hosts, origins, the token, bodies, headers. No worker is needed to be refused."""

import base64
import json

import pytest
from fastapi.testclient import TestClient

from controlnet.api.app import build
from controlnet.api.policy import Policy, is_loopback
from controlnet.errors import SettingError
from controlnet.service import Catalog, Engine, Limits

TOKEN = "a token that is long enough"
HOST = "http://127.0.0.1:7860"


def made(**policy) -> TestClient:
    limits = Limits(body=10_000)
    app = build(
        Engine(Catalog.of(), limits=limits), Policy(**{"body": limits.body, **policy}), owns_engine=False
    )
    return TestClient(app, base_url=HOST)


@pytest.fixture(scope="module")
def open_() -> TestClient:
    return made(hosts=frozenset({"pictures.example.org"}), origins=frozenset({"https://page.example.org"}))


@pytest.fixture(scope="module")
def locked() -> TestClient:
    return made(token=TOKEN)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7860", 200),
        ("localhost", 200),
        ("[::1]:7860", 200),
        ("10.1.2.3", 200),
        ("pictures.example.org:80", 200),
        ("evil.example.org", 403),
        ("127.0.0.1.example.org", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_a_name_that_is_not_ours_is_refused(open_, host, status):
    assert open_.get("/v1/session", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": HOST}, True),
        ({"origin": "https://page.example.org"}, True),
        ({"origin": "https://evil.example.org"}, False),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
    ],
)
def test_pages_of_other_origins_change_nothing(open_, headers, allowed):
    for method, path in (("POST", "/sdapi/v1/interrupt"), ("DELETE", "/v1/jobs/x")):
        status = open_.request(method, path, headers=headers).status_code
        assert (status == 403) is not allowed, (method, status)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode()},
        {"cookie": f"a=b; controlnet_token={json.dumps(TOKEN)}"},
    ],
)
def test_the_token_is_taken_in_each_of_its_forms(locked, headers):
    assert locked.get("/sdapi/v1/options", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer"},
        {"authorization": "Basic ÿ".encode("latin-1")},
        {"authorization": "Basic !!"},
        {"cookie": "controlnet_token=x"},
        {"cookie": 'controlnet_token="'},
    ],
)
@pytest.mark.parametrize(
    "path", ["/sdapi/v1/options", "/metrics", "/openapi.json", "/v1/catalog", "/nowhere"]
)
def test_nothing_but_health_is_open_without_it(locked, headers, path):
    answer = locked.get(path, headers=headers)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert locked.get("/live", headers=headers).status_code == 200


def test_a_page_gets_the_token_into_a_cookie(locked):
    assert locked.post("/v1/session", json={"token": "wrong"}).status_code == 401
    assert locked.get("/v1/session").json() == {"needed": True, "admitted": False}
    answer = locked.post("/v1/session", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert locked.get("/sdapi/v1/options").status_code == 200
    locked.cookies.clear()


def test_a_token_that_is_soon_guessed_is_refused():
    with pytest.raises(SettingError, match="characters"):
        Policy(token="short")


def test_a_body_is_bounded_declared_or_not(open_):
    kind = {"content-type": "application/json"}
    assert open_.post("/v1/jobs", content=b"x" * 10_001, headers=kind).status_code == 413
    assert open_.post("/v1/jobs", content=iter([b"x" * 6000] * 2), headers=kind).status_code == 413
    assert (
        open_.post("/v1/jobs", content=b"{}", headers={**kind, "content-length": "9" * 30}).status_code == 413
    )
    assert open_.post("/v1/jobs", content=b"{}", headers={**kind, "content-length": "-1"}).status_code == 413


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_read(open_, kind):
    answer = open_.post("/v1/jobs", content=b'{"prompt":"x"}', headers={"content-type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"prompt": "\\ud800"}',
            b'{"steps": NaN}',
            b'{"x": -Infinity}',
        ),
        *(b"[" * 9000, b'{"a":' * 1900, b'{"steps": 1' + b"0" * 5000 + b"}", b'"' + b"\\u0000" * 100 + b'"'),
        "{}".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/sdapi/v1/txt2img", "/sdapi/v1/options", "/controlnet/detect"])
def test_broken_json_is_the_clients_mistake(open_, path, body):
    answer = open_.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    json.loads(answer.content)


def test_every_answer_has_strict_headers(open_, locked):
    for answer in (open_.get("/live"), open_.get("/nowhere"), locked.get("/metrics"), open_.post("/live")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_there_are_no_pages_that_load_from_elsewhere(open_):
    assert open_.get("/docs").status_code == 404 and open_.get("/redoc").status_code == 404
    assert open_.get("/openapi.json").json()["info"]["title"] == "controlnet"


def test_an_engine_that_is_not_up_is_live_and_not_ready(open_):
    assert open_.get("/live").status_code == 200
    assert open_.get("/ready").status_code == 503


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_only_this_machines_own_addresses_need_no_token(host, own):
    assert is_loopback(host) is own
