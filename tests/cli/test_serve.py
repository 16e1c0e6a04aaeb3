"""`controlnet serve`: who may be reached, and how it ends."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import httpx
import pytest

from controlnet.api.app import build
from controlnet.api.server import Server, listen
from controlnet.cli.app import main
from controlnet.service import Busy, Catalog, Closing, Engine, Generate, Limits


def test_another_address_wants_a_token(capsys, monkeypatch):
    monkeypatch.delenv("CONTROLNET_TOKEN", raising=False)
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "token" in capsys.readouterr().err
    assert main(["serve", "--host", "0.0.0.0", "--token", "short"]) == 2
    assert "characters" in capsys.readouterr().err


def test_a_base_that_is_not_there_is_told_in_one_line(capsys):
    assert main(["serve", "--base", "./nowhere/at all"]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (["--replicas", "2"], "--ray"),
        (["--address", "10.0.0.1:6379"], "--ray"),
        (["--ray", "--device", "cuda:0", "--device", "cuda:1"], "--replicas"),
    ],
)
def test_what_only_ray_can_do_wants_ray(given, word, capsys):
    assert main(["serve", *given]) == 2
    assert word in capsys.readouterr().err.partition("wanted")[2]


def test_a_signal_finishes_the_jobs_in_hand_and_a_second_one_does_not_wait():
    engine = Engine(Catalog.of(), limits=Limits(per_client=1))
    server = Server(build(engine, owns_engine=False), engine, drain=60)
    engine.submit(Generate("shapes", "a cube"))
    (job,) = engine.take(0)
    server.handle_exit(signal.SIGTERM, None)
    with pytest.raises(Closing, match="stopping"):
        while True:
            with suppress(Busy):  # it is told in a thread of its own, a moment later
                engine.submit(Generate("shapes", "a cube"))
    assert not server.should_exit
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit

    server.should_exit = False
    engine.finish(job, "done", {})
    for _ in range(300):
        if server.should_exit:
            break
        threading.Event().wait(0.1)
    assert server.should_exit
    engine.stop()


def test_small_answers_do_not_wait_for_an_acknowledgement_of_their_head():
    async def connected() -> int:
        waiting: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            waiting.set_result(writer.get_extra_info("socket"))
            writer.close()

        opened = listen("127.0.0.1", 0)
        async with await asyncio.start_server(meet, sock=opened):
            _, writer = await asyncio.open_connection(*opened.getsockname())
            delay = (await waiting).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            await writer.wait_closed()
        return delay

    assert asyncio.run(connected()) == 1


@pytest.mark.slow
def test_a_whole_service_from_start_to_sigterm():
    command = [sys.executable, "-m", "controlnet", "serve", "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        (place,) = re.findall(r"http://[\d.:]+", process.stdout.readline())
        with httpx.Client(base_url=place, timeout=120) as client:
            for _ in range(1200):
                if client.get("/ready").is_success:
                    break
                threading.Event().wait(0.1)
            wanted = {"prompt": "a cube", "steps": 60, "width": 64, "height": 64}
            jobs = [client.post("/v1/jobs", json=wanted).json()["id"] for _ in range(2)]
            process.send_signal(signal.SIGTERM)
            for job in jobs:
                assert '"state":"done"' in client.get(f"/v1/jobs/{job}/events").text
                assert client.get(f"/v1/jobs/{job}/pictures/0").content.startswith(b"\x89PNG")
            assert client.post("/v1/jobs", json=wanted).status_code == 503
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
