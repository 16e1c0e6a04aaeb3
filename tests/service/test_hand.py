"""A hand and its link, without a worker: what it does when workers die, hang or never come up."""

import queue
from collections.abc import Callable, Iterator

import pytest

from controlnet.service import Catalog, Engine, Generate, Job, Limits, Settings
from controlnet.service.link import Message

Answer = Callable[["Wire", Message], None]


class Wire:
    """A link to a worker that answers as it is told to."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self._told = answer, queue.SimpleQueue[Message]()
        self.alive, self.was_cut, self.heard = True, False, list[Message]()
        self.tell("ready", {"process": 0}, {})

    def tell(self, *message) -> None:
        self._told.put(message)

    def send(self, message: Message) -> None:
        if not self.alive:
            raise BrokenPipeError
        self.heard.append(message)
        self._answer(self, message)

    def receive(self, seconds: float) -> Message | None:
        try:
            return self._told.get(timeout=0.02)
        except queue.Empty:
            return None

    def how(self) -> str:
        return "its node was lost"

    def cut(self) -> None:
        self.was_cut = True


class Given:
    """Workers that answer in turn as in a list, the last one for ever."""

    names = ("elsewhere",)

    def __init__(self, *answers: Answer) -> None:
        self._answers, self.wires, self.stopped = list(answers), list[Wire](), False

    def start(self, name: str) -> Wire:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.wires.append(Wire(answer))
        return self.wires[-1]

    def stop(self) -> None:
        self.stopped = True


def works(wire: Wire, message: Message) -> None:
    if message[0] == "group":
        wire.tell("taken")
        for id, _ in message[1]:
            wire.tell("picture", id, b"a picture", 1, "")
            wire.tell("done", id, {})
        wire.tell("idle", {"process": 0}, {})


def dies_at_work(wire: Wire, message: Message) -> None:
    wire.tell("taken")
    wire.alive = False


def dies_before(wire: Wire, message: Message) -> None:
    wire.alive = False


def hangs(wire: Wire, message: Message) -> None:
    if message[0] == "group":
        wire.tell("taken")


@pytest.fixture
def served() -> Iterator[Callable[..., tuple[Engine, Given]]]:
    engines: list[Engine] = []

    def serve(*answers: Answer) -> tuple[Engine, Given]:
        workers = Given(*answers)
        engines.append(Engine(Catalog.of(), Settings(), Limits(grace=0.1), workers))
        engines[-1].start()
        return engines[-1], workers

    yield serve
    for engine in engines:
        engine.stop()


def asked(engine: Engine, **how) -> Job:
    return engine.submit(Generate("shapes", "a cube", width=64, height=64), **how)


def test_a_worker_elsewhere_makes_jobs_and_leaves_with_the_engine(served):
    engine, workers = served(works)
    job = asked(engine)
    assert job.wait(10) and job.state == "done" and job.pictures[0].png == b"a picture"
    assert engine.usage() == [{"process": 0, "ready": True}]
    engine.stop()
    assert workers.stopped and workers.wires[0].was_cut


def test_the_job_of_a_lost_worker_fails_with_what_the_link_says_and_the_next_one_is_made(served):
    engine, workers = served(dies_at_work, works)
    job = asked(engine)
    assert job.wait(10) and job.failure is not None and job.failure.kind == "WorkerDied"
    assert "its node was lost" in str(job.failure)
    job = asked(engine)
    assert job.wait(10) and job.state == "done"
    assert len(workers.wires) == 2 and workers.wires[0].was_cut and engine.tally.restarts == 1


def test_a_worker_that_was_lost_before_it_began_costs_nobody_a_job(served):
    engine, _ = served(dies_before, works)
    job = asked(engine)
    assert job.wait(10) and job.state == "done" and job.attempts == 2


def test_a_worker_that_hears_nothing_is_cut_off(served):
    engine, workers = served(hangs, works)
    job = asked(engine, deadline=0.1)
    assert job.wait(10) and job.failure is not None and "did not react" in str(job.failure)
    assert ("drop", job.id) in workers.wires[0].heard and workers.wires[0].was_cut


def test_workers_that_cannot_be_started_are_the_engine_s_trouble():
    class Nowhere(Given):
        def start(self, name: str) -> Wire:
            raise OSError("no room in the cluster")

    engine = Engine(Catalog.of(), workers=Nowhere(works))
    engine.start()
    assert not engine.wait_ready(10) and "no room in the cluster" in str(engine.trouble)
    engine.stop()
