"""What a worker does, in this process: pictures in company, models within a bound, errors as told."""

import io
from collections import deque

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.errors import DataError, ServiceError, UnknownName
from controlnet.service import Annotate, Catalog, Generate, Unit
from controlnet.service.failures import told
from controlnet.service.models import Models
from controlnet.service.worker import Desk


class Pipe:
    """Keeps what the worker says, and gives the orders that were put into it, each at its step."""

    def __init__(self) -> None:
        self.said: list[tuple] = []
        self.orders: deque[tuple[int, tuple[str, str]]] = deque()

    def send(self, message: tuple) -> None:
        self.said.append(message)

    def poll(self) -> bool:
        steps = sum(message[0] == "step" for message in self.said)
        return bool(self.orders) and steps >= self.orders[0][0]

    def recv(self) -> tuple[str, str]:
        return self.orders.popleft()[1]

    def of(self, what: str, job: str) -> list[tuple]:
        return [message[2:] for message in self.said if message[:2] == (what, job)]


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(Catalog.of(), torch.device("cpu"))


def asked(prompt: str, seed: int, **settings) -> Generate:
    return Generate("shapes", prompt, seed=seed, **{"steps": 2, "width": 64, "height": 64, **settings})


def pixels(pipe: Pipe, job: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(made[0]))).astype(int) for made in pipe.of("picture", job)]


def work(models: Models, batch: int, *group, orders=()) -> Pipe:
    pipe = Pipe()
    pipe.orders = deque(orders)
    Desk(pipe, models, batch, 2048 * 2048).work(list(group))  # type: ignore[arg-type]
    return pipe


def test_a_picture_is_its_own_alone_and_in_company(models, scene):
    def controlled(seed: int, image) -> Generate:
        return asked("a cube", seed, units=(Unit("canny", image, "canny"),), image=image, strength=0.9)

    group = [("a", controlled(1, scene)), ("b", controlled(7, scene[:, ::-1].copy()))]
    alone = {job: pixels(work(models, 1, (job, request)), job)[0] for job, request in group}
    one_by_one, together = work(models, 1, *group), work(models, 2, *group)
    for job, _ in group:
        assert np.array_equal(pixels(one_by_one, job)[0], alone[job])
        assert np.abs(pixels(together, job)[0] - alone[job]).max() <= 2  # kernels round in another way
    assert not np.array_equal(alone["a"], alone["b"])


def test_one_of_a_company_is_cancelled_and_the_others_go_on(models):
    group = [("a", asked("a cube", 1)), ("b", asked("a ball", 2)), ("c", asked("a cone", 3))]
    pipe = work(models, 2, *group, orders=[(1, ("drop", "a"))])
    assert pipe.of("cancelled", "a") and not pipe.of("picture", "a") and not pipe.of("done", "a")
    for job in ("b", "c"):
        assert pipe.of("done", job) and len(pipe.of("picture", job)) == 1
    assert np.array_equal(pixels(pipe, "c")[0], pixels(work(models, 1, group[2]), "c")[0])


def test_one_of_a_company_is_wrong_and_the_others_go_on(models, scene):
    bad = asked("a cube", 1, units=(Unit("canny", scene, "depth_midas"),))
    pipe = work(models, 2, ("a", bad), ("b", asked("a ball", 2)))
    assert pipe.of("failed", "a")[0][0] == "MissingWeights" and pipe.of("done", "b")
    assert pipe.said[-1][0] == "idle"


def test_a_job_is_told_done_as_soon_as_its_own_pictures_are(models):
    pipe = work(models, 1, ("a", asked("a cube", 1)), ("b", asked("a ball", 2)))
    order = [message[:2] for message in pipe.said if message[0] in ("picture", "done")]
    assert order == [("picture", "a"), ("done", "a"), ("picture", "b"), ("done", "b")]


def test_a_painting_control_gets_the_hint_of_its_mask(models, scene):
    mask = np.zeros_like(scene)
    mask[:64] = 255
    unit = Unit("canny", scene, "inpaint", mask=mask)
    assert work(models, 1, ("a", asked("a cube", 1, units=(unit,)))).of("done", "a")


def test_keypoints_need_a_condition_that_finds_people(models, scene):
    pipe = work(models, 1, ("a", Annotate("canny", (scene,), keypoints=True)))
    assert pipe.of("done", "a")[0][0]["poses"] == []


def test_the_least_recently_used_models_leave():
    catalog = Catalog.of()
    free = Models(catalog, torch.device("cpu"))
    free.base("shapes")
    base = free.usage()["models"]
    free.net("canny", "shapes")
    net = free.usage()["models"] - base

    models = Models(catalog, torch.device("cpu"), bound=base + net + net // 2)
    models.base("shapes")
    canny = models.net("canny", "shapes")
    assert models.net("canny", "shapes") is canny
    models.begin()
    models.net("openpose", "shapes")
    assert models.usage()["loaded"] == ["shapes", "openpose on shapes"]
    assert models.usage()["models"] <= base + net + net // 2
    with pytest.raises(ServiceError, match="memory"):
        models.net("canny", "shapes")  # both are in use now


def test_what_is_not_in_the_catalog_is_not_loaded(models):
    for name in ("other", "../canny", "/etc/passwd"):
        with pytest.raises(UnknownName):
            models.net(name, "shapes")


def test_errors_are_told_without_places_and_traces():
    assert told(DataError("x is no picture")) == ("DataError", "x is no picture", True, False)
    kind, message, mistaken, _ = told(RuntimeError("secret at /root"))
    assert kind == "Unexpected" and "secret" not in message and not mistaken
    assert told(MemoryError())[3]
