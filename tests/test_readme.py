"""The README keeps its word: its examples run, and the commands, options and files that it names exist.

A block headed by ```python run is run, all of them in order and in one namespace; other blocks are only read.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from controlnet.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```([^\n]*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)


def lines(program: str) -> Iterator[str]:
    """Yield every line of a block, and every inline code, that calls a program."""
    texts = [line for _, body in BLOCKS for line in body.replace("\\\n", " ").splitlines()]
    for text in [*texts, *re.findall(r"`([^`\n]+)`", PROSE)]:
        call = text.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if call == program or call.startswith(f"{program} "):
            yield call.split("  #")[0].strip()


def words(call: str) -> list[str]:
    """Split a call into words, without the brackets and ellipses of a synopsis."""
    return shlex.split(re.sub(r"[\[\]…|]", " ", call), comments=True)[1:]


@pytest.mark.parametrize("call", sorted(set(lines("make"))))
def test_make_targets_exist(call: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in words(call) if "=" not in word} <= targets


def command_of(names: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words lead to, through groups, and the words that remain."""
    command: Any = typer.main.get_command(app)
    while names and not names[0].startswith("-") and hasattr(command, "commands"):
        assert names[0] in command.commands, f"no command {names[0]} in {command.name}"
        command, names = command.commands[names[0]], names[1:]
    return command, names


def check_call(call: str) -> None:
    command, rest = command_of(words(call))
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
    used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert used <= known, f"{call}: no option {', '.join(sorted(used - known))}"


@pytest.mark.parametrize("call", sorted(set(lines("controlnet"))))
def test_commands_and_options_exist(call: str) -> None:
    check_call(call)


@pytest.mark.parametrize("call", ["controlnet nonsense", "controlnet annotate canny a.png --nonsense"])
def test_the_check_of_commands_can_fail(call: str) -> None:
    with pytest.raises(AssertionError):
        check_call(call)


def test_files_that_it_names_exist() -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", README)
    named = re.findall(r"\b(?:plans|docs|examples|benchmarks)/[\w./-]+\.\w+", README)
    assert not [name for name in {*links, *named} if not (ROOT / name).exists()]


def test_its_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "readme"}
    for heading, body in BLOCKS:
        if heading.split() == ["python", "run"]:
            exec(compile(body, "README.md", "exec"), namespace)
