"""The whole service with its page, at an address of this machine; brought up once for this folder."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlnet.api.app import build
from controlnet.api.server import Server, listen
from controlnet.service import Catalog, Engine, Limits, Settings
from controlnet.web import router
from tests.web.chromium import Page, program


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    engine = Engine(Catalog.of(), Settings(devices=("cpu",), threads=1), Limits())
    opened = listen("127.0.0.1", 0)
    server = Server(build(engine, further=[router()]), engine, drain=0)
    serving = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    serving.start()
    try:
        assert engine.wait_ready(300), engine.trouble
        yield f"http://127.0.0.1:{opened.getsockname()[1]}/"
    finally:
        server.should_exit = True
        serving.join(60)
        opened.close()


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Page]:
    executable = program()
    assert executable is not None
    opened = Page(executable, tmp_path / "profile")
    try:
        opened.look(1280, 900)
        opened.open(address)
        opened.until("document.body?.dataset.ready")
        yield opened
        assert not opened.trouble
        # Nothing was asked of any other host.
        assert not [url for url in opened.requested if not url.startswith((address, "data:", "blob:"))]
    finally:
        opened.close()
