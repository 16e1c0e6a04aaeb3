"""A replica's talk without Ray: its box is a stand-in, its models are none."""

import asyncio
import sys
import threading
from typing import Any

import numpy as np
import pytest

from controlnet.errors import MissingExtra
from controlnet.service import Annotate, Catalog, Limits, Settings, replica
from controlnet.service.box import Box
from controlnet.service.on_ray import Replicas
from controlnet.service.replica import Replica
from controlnet.shapes import render


class Models:
    """What a worker asks of its models besides models."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, int]] = {}

    def usage(self) -> dict[str, Any]:
        return {"models": 0}

    def begin(self) -> None:
        pass


class Actor:
    """A box as Ray shows it: calls that are waited for; `kill` is its end."""

    def __init__(self) -> None:
        self._box, self._dead = Box(), asyncio.Event()
        self.take = self

    async def remote(self) -> list[Any]:
        taken, dead = asyncio.ensure_future(self._box.take()), asyncio.ensure_future(self._dead.wait())
        done, _ = await asyncio.wait([taken, dead], return_when=asyncio.FIRST_COMPLETED)
        if dead in done:
            taken.cancel()
            raise ConnectionError("the actor died")
        return taken.result()

    async def say(self, *message: Any) -> None:
        async def referred() -> tuple[Any, ...]:
            return message

        await self._box.put([referred()])

    def kill(self) -> None:
        self._dead.set()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[Replica, list[int]]:
    loaded: list[int] = []
    monkeypatch.setattr(replica, "set_up", lambda *_: loaded.append(1) or Models())
    monkeypatch.setattr(replica, "name_of_actor", lambda: "replica 7")
    return Replica(Catalog.of(), Settings(), Limits()), loaded


def test_a_replica_works_for_one_talk_after_the_other_with_the_same_models(made):
    worker, loaded = made
    scene = np.asarray(render(seed=2, index=0).image)

    async def talk() -> list[str]:
        box = Actor()
        told: list[str] = []
        await box.say("group", [("job", Annotate("canny", (scene,)))])
        async for message in worker.talk(box):
            told.append(message[0])
            if message[0] == "idle":
                box.kill()
        return told

    wanted = ["here", "ready", "taken", "step", "done", "idle"]
    assert [asyncio.run(talk()) for _ in range(2)] == [wanted, wanted]
    assert loaded == [1]


def test_without_ray_serve_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match="ray-serve"):
        Replicas(Catalog.of(), Settings(), Limits(), 2)


def test_who_leaves_in_the_middle_stops_the_work_at_its_next_step(made, monkeypatch):
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work(line, models_of, settings, limits):
        begun.set()
        assert go_on.wait(10) and line.poll()
        try:
            line.recv()
        except EOFError:
            with pytest.raises(BrokenPipeError):
                line.send(("step",))
            ended.set()
            raise

    monkeypatch.setattr(replica, "attend", work)

    async def leave() -> None:
        talk = made[0].talk(Actor())
        assert await anext(talk) == ("here", "replica 7")
        waiting = asyncio.ensure_future(anext(talk))
        await asyncio.to_thread(begun.wait, 10)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        go_on.set()
        assert await asyncio.to_thread(ended.wait, 10)

    asyncio.run(leave())
