"""The container file, read and not built: its sources exist, its commands are what the program takes."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer
from fastapi.testclient import TestClient

from controlnet.api.app import build
from controlnet.api.policy import Policy
from controlnet.cli.app import app, main
from controlnet.conditions._weights import FOLDER_VARIABLE
from controlnet.service import Catalog, Engine

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
KNOWN = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL"}


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n?", "", (ROOT / "Containerfile").read_text(), flags=re.M)
    lines = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in lines]


def only(wanted: str) -> str:
    (found,) = [rest for name, rest in instructions() if name == wanted]
    return found


def test_it_is_of_a_slim_python_that_the_project_takes_and_nobody_is_root() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) <= KNOWN | {"ENTRYPOINT", "CMD", "HEALTHCHECK"} and names[0] == "FROM"
    (version,) = re.fullmatch(r"python:(3\.\d+)-slim", only("FROM")).groups()  # type: ignore[union-attr]
    assert PROJECT["requires-python"] == f">={version}"
    assert only("USER") == "controlnet" and names.index("USER") < names.index("ENTRYPOINT")
    assert any(name == "RUN" and "useradd" in rest and "controlnet" in rest for name, rest in instructions())
    assert FOLDER_VARIABLE in only("ENV") and only("STOPSIGNAL") == "SIGTERM"
    assert only("ENV").partition("=")[2].startswith(f"{only('VOLUME')}/")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = {source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]}
    assert copied == kept and all((ROOT / source).exists() for source in copied)
    needed = {PROJECT["readme"], *PROJECT["license-files"], "src", "pyproject.toml"}
    assert needed <= copied


def test_it_installs_extras_that_there_are_under_the_constraints() -> None:
    (line,) = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', line)
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    assert "--constraint constraints.txt" in line and "${TORCH_INDEX}" in line
    assert only("ARG").startswith("TORCH_INDEX=https://") and only("ARG").endswith("/cpu")


def test_it_starts_what_the_command_line_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,), arguments = json.loads(only("ENTRYPOINT")), json.loads(only("CMD"))
    assert program in PROJECT["scripts"]
    command = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    told = command.make_context(arguments[0], arguments[1:]).params
    assert told["host"] == "0.0.0.0" and str(told["port"]) == only("EXPOSE")
    assert told["controls"] == [f"{only('VOLUME')}/controls"]
    monkeypatch.delenv("CONTROLNET_TOKEN", raising=False)
    assert main(arguments) == 2
    assert "CONTROLNET_TOKEN" in capsys.readouterr().err


def test_its_health_is_asked_where_the_service_answers_without_a_token() -> None:
    (place,) = re.findall(r"urlopen\('http://127\.0\.0\.1:(\d+/\w+)'", only("HEALTHCHECK"))
    port, _, path = place.partition("/")
    assert port == only("EXPOSE")
    compile(json.loads(only("HEALTHCHECK").partition("CMD ")[2])[-1], "HEALTHCHECK", "exec")
    service = build(Engine(Catalog.of()), Policy(token="a token that is long enough"), owns_engine=False)
    assert TestClient(service, base_url=f"http://127.0.0.1:{port}").get(f"/{path}").status_code == 200
