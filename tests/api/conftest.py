"""The application over an engine with one worker, called in this process; brought up once for this folder."""

import base64
import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from controlnet.api.app import build
from controlnet.service import Catalog, Engine, Limits, Settings
from controlnet.shapes import render

HOST = "http://127.0.0.1:7860"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    limits = Limits(
        body=4 * 2**20, picture_pixels=512 * 512, pixels=256 * 256, steps=200, pictures=4, controls=3
    )
    made = Engine(Catalog.of(), Settings(devices=("cpu",), threads=1), limits)
    made.start()
    try:
        assert made.wait_ready(300), made.trouble
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def app(engine: Engine) -> FastAPI:
    return build(engine, owns_engine=False)


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=HOST, client=("127.0.0.1", 5000)) as made:
        yield made


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    return np.asarray(render(seed=2, index=0).image)


@pytest.fixture(scope="session")
def encode() -> Callable[[np.ndarray], str]:
    def encoded(array: np.ndarray) -> str:
        out = io.BytesIO()
        Image.fromarray(array).save(out, format="PNG")
        return base64.b64encode(out.getvalue()).decode()

    return encoded


@pytest.fixture(scope="session")
def sent(scene, encode) -> str:
    """The scene as a request has it."""
    return encode(scene)
