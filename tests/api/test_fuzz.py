"""The description against the application, and bodies that nobody would write: no 5xx, no hang, only JSON."""

import json
import random
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings


@pytest.fixture(scope="module")
def fast() -> Iterator[tuple[FastAPI, TestClient]]:
    """An application whose engine does every job at once: with nothing, or not at all."""
    from controlnet.api.app import build
    from controlnet.service import Catalog, Engine, Job, Limits, Request

    class Instant(Engine):
        def submit(self, request: Request, client: str = "", deadline: float | None = None) -> Job:
            job = super().submit(request, client, deadline)
            self.take(0)
            self.finish(job, "done", {})
            return job

    app = build(Instant(Catalog.of(), limits=Limits(picture_pixels=128 * 128)), owns_engine=False)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield app, client


def check(client: TestClient, app: FastAPI, examples: int) -> Counter[int]:
    """Send what the description allows; return how often each status was the answer."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": "127.0.0.1"})
    seen: Counter[int] = Counter()

    def one(case: schemathesis.Case) -> None:
        answer = case.call(session=client, base_url="http://127.0.0.1")
        assert answer.status_code < 500 or case.path == "/ready", (case.path, answer.text)
        seen[answer.status_code] += 1
        if answer.headers.get("content-type") == ["application/json"]:
            json.loads(answer.content, parse_constant=pytest.fail)

    steady = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for result in schema.get_all_operations():
        steady(given(case=result.ok().as_strategy())(one))()
    return seen


def test_the_description_is_kept(fast):
    app, client = fast
    paths = app.openapi()["paths"]
    seen = check(client, app, examples=4)
    assert seen.total() >= len(paths) and seen[200] > 10 and not seen[403], seen


@pytest.mark.slow
def test_the_description_is_kept_for_long(fast):
    app, client = fast
    assert check(client, app, examples=60).total() >= 500


VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        -(2**63),
        2**64,
        10**40,
        0.5,
        -0.0,
        1e308,
        1e-320,
        "",
        " ",
        "x",
        "0",
        "-1",
    ),
    *("None", "null", "canny", "shapes", "../../etc/passwd", "http://169.254.169.254/", "file:///etc/passwd"),
    *(
        "\x00",
        "\u202e",
        "é" * 50,
        "(" * 300,
        "[" * 300,
        "a" * 20_000,
        "<lora:x:1>",
        "{}",
        "%s%n",
        "canny(low=1)",
    ),
    *("os:system", "__class__", "data:image/png;base64,", "data:image/png;base64,AAAA", "iVBORw0KGgo="),
    *([], {}, [[]], [None], [{}], {"": {}}, {"__proto__": {}}, [1] * 500, {"args": []}, {"args": None}),
)


def bodies(count: int, seed: int, picture: str) -> Iterator[tuple[str, object]]:
    """Yield bodies near to what is meant, with some of their parts taken away or exchanged."""
    drawn = random.Random(seed)
    unit = {
        "model": "canny",
        "module": "canny",
        "image": picture,
        "weight": 1,
        "mask": picture,
        "resize_mode": 1,
    }
    pose = {"people": [{"pose_keypoints_2d": [1, 2, 1] * 18}], "canvas_width": 64, "canvas_height": 64}
    generation = {
        "prompt": "a cube", "steps": 1, "width": 64, "height": 64, "sampler_name": "Euler",
        "scheduler": "Karras", "alwayson_scripts": {"ControlNet": {"args": [unit]}}, "override_settings": {},
        "seed": 1, "n_iter": 1,
    }  # fmt: skip
    control = {"controlnet": "canny", "image": picture, "annotate": "canny", "weight": 1, "taps": None}
    meant: list[tuple[str, object]] = [
        ("/sdapi/v1/txt2img", {**generation, "enable_hr": True, "hr_scale": 2}),
        (
            "/sdapi/v1/img2img",
            {**generation, "init_images": [picture], "mask": picture, "denoising_strength": 1},
        ),
        ("/controlnet/detect", {"controlnet_module": "canny", "controlnet_input_images": [picture]}),
        ("/controlnet/render_openpose_json", [pose]),
        (
            "/v1/jobs",
            {"kind": "generate", "prompt": "x", "controls": [control], "image": picture, "strength": 0.5},
        ),
        ("/v1/jobs", {"kind": "annotate", "condition": "canny", "images": [picture]}),
        ("/sdapi/v1/options", {"sd_model_checkpoint": "shapes"}),
        ("/sdapi/v1/png-info", {"image": picture}),
        ("/v1/session", {"token": "x"}),
    ]
    for _ in range(count):
        path, body = drawn.choice(meant)
        body = json.loads(json.dumps(body))
        for _ in range(drawn.randint(1, 3)):
            places = list(inside(body))
            holder, key = drawn.choice(places) if places else (None, None)
            if holder is None:
                continue
            if drawn.random() < 0.2:
                del holder[key]
            elif isinstance(holder[key], str) and len(holder[key]) > 40 and drawn.random() < 0.6:
                at = drawn.randrange(len(holder[key]))  # a picture with some of it exchanged or cut off
                holder[key] = holder[key][:at] + drawn.choice(
                    ["", "AAAA", "////", "!", holder[key][at + 4 :]]
                )
            else:
                holder[key] = json.loads(json.dumps(drawn.choice(VALUES)))
        yield path, body


def inside(body: object) -> Iterator[tuple]:
    """Yield every place of a body."""
    parts = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in list(parts)[:50]:
        yield body, key
        yield from inside(value)


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_bodies_that_nobody_would_write(fast, encode, count):
    import numpy as np

    _, client = fast
    picture = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    seen = set()
    for path, body in bodies(count, count, picture):
        answer = client.post(path, json=body)
        assert answer.status_code < 500, (path, answer.text, str(body)[:500])
        json.loads(answer.content, parse_constant=pytest.fail)
        seen.add(answer.status_code)
    assert {200, 202, 422} <= seen
