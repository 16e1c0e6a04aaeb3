"""The page's files: all are there, none leads elsewhere, and what they repeat of the library is the same."""

import re

import pytest
from fastapi.testclient import TestClient

from controlnet.api.app import build
from controlnet.api.policy import Policy
from controlnet.conditions._pose import LIMBS, WHEEL
from controlnet.service import Catalog, Engine
from controlnet.web import router
from controlnet.web.page import ASSETS, KINDS

FILES = sorted(file for file in ASSETS.iterdir() if file.suffix in KINDS)
TEXTS = [file for file in FILES if file.suffix != ".png"]
TOKEN = "a token that is long enough"


@pytest.fixture(scope="module")
def locked() -> TestClient:
    app = build(Engine(Catalog.of()), Policy(token=TOKEN), owns_engine=False, further=[router()])
    return TestClient(app, base_url="http://127.0.0.1:7860")


def test_the_page_is_there_before_the_token_and_what_it_shows_is_not(locked):
    answer = locked.get("/")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert locked.get("/v1/catalog").status_code == 401


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_is_served_as_what_it_is(locked, file):
    answer = locked.get(f"/assets/{file.name}")
    assert answer.content == file.read_bytes() and answer.headers["content-type"] == KINDS[file.suffix]


@pytest.mark.parametrize("name", ["nothing.js", "..%2fpage.py", "%2e%2e/page.py", "page.py", ""])
def test_no_other_file_is(locked, name):
    assert locked.get(f"/assets/{name}").status_code == 404


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_no_file_leads_elsewhere_or_runs_text(file):
    text = file.read_text()
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", re.sub(r"^\s*//.*$", "", text, flags=re.M)))
    assert addresses <= {"http://www.w3.org"}  # the name of SVG
    assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write)\b|\bstyle=", text)
    assert len(text.splitlines()) < 300


def test_every_module_that_is_imported_is_there():
    for file in TEXTS:
        named = re.findall(r'(?:from "\./|"/assets/)([\w.]+)"', file.read_text())
        assert {ASSETS / name for name in named} <= set(FILES), file.name


def test_poses_have_the_limbs_and_colours_of_the_condition():
    text = (ASSETS / "people.js").read_text()
    for name, wanted in (("LIMBS", LIMBS), ("WHEEL", WHEEL)):
        (block,) = re.findall(rf"export const {name} = \[(.*?)\];", text, re.S)
        found = [tuple(map(int, one.split(","))) for one in re.findall(r"\[([\d, ]+)\]", block)]
        assert found == list(wanted)
