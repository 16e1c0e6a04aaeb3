"""The application: exit statuses, one line for each mistake, help that teaches."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from controlnet import __version__, errors
from controlnet.cli import app as application
from controlnet.cli._errors import guarded

COMMANDS = (
    "demo",
    "sample",
    "upscale",
    "frames",
    "annotate",
    "gallery",
    "serve",
    "dataset",
    "train",
    "evaluate",
    "study",
    "info",
    "convert",
    "weights",
    "shapes",
)


def fail_with(error: BaseException, debug: bool = False) -> int:
    def work() -> int:
        raise error

    return guarded(work, lambda: debug)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controlnet", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def commands(app: typer.Typer) -> Iterator[str]:
    yield from (
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    )
    yield from (
        str(group.name or group.typer_instance.info.name)
        for group in app.registered_groups
        if group.typer_instance
    )


def test_the_commands_are_those_listed() -> None:
    assert set(commands(application.app)) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert application.main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.count(f"controlnet {command}") >= 2, "no example beside the line of usage"


def test_help_names_the_commands_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert application.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)
    assert "Exit status" in said


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert application.main([]) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.out + captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert application.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["anotate"], "annotate"),
        (["annotate", "--ot", "x"], "--out"),
        (["annotate", "--out"], "--out"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_option_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert application.main(arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("controlnet: ") and line.count("\n") == 1
    assert said in line and "--help" in line


def classes(
    root: type[errors.ControlNetError] = errors.ControlNetError,
) -> Iterator[type[errors.ControlNetError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from classes(child)


@pytest.mark.parametrize("kind", sorted(set(classes()), key=lambda kind: kind.__name__))
def test_every_error_of_the_tree_has_its_status(
    kind: type[errors.ControlNetError], capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = {errors.TrainingStopped, errors.TrainingDiverged}
    failures = {errors.ControlNetError, errors.ServiceError, *stopped}
    assert fail_with(kind("got this,\n  wanted that")) == (1 if kind in failures else 2)
    assert capsys.readouterr().err == "controlnet: got this, wanted that\n"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("boom"), 1, "unexpected RuntimeError: boom"),
        (KeyError("k"), 1, "--debug"),
        (OSError(28, "No space left on device"), 2, "free space"),
        (PermissionError(13, "Permission denied"), 2, "rights"),
        (ConnectionError(104, "reset by peer"), 1, "reset"),
        (KeyboardInterrupt(), 130, "stopped"),
        (typer.Abort(), 1, "stopped"),
        (SystemExit(143), 143, ""),
        (SystemExit("text"), 1, ""),
    ],
)
def test_other_failures(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(error) == status
    line = capsys.readouterr().err
    assert said in line and line.count("\n") <= 1 and "Traceback" not in line


def test_debug_shows_the_traceback_and_still_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail_with(errors.DataError("bad"), debug=True) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said and said.endswith("controlnet: bad\n")


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_is_asked_for_by_option_or_environment(how: str, tmp_path: Path) -> None:
    arguments = ["annotate", "canny", str(tmp_path / "none.png"), "--out", str(tmp_path / "map.png")]
    done = run("--debug", *arguments) if how == "option" else run(*arguments, CONTROLNET_DEBUG="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith("controlnet: no picture")
    assert "Traceback" not in run(*arguments).stderr


def test_a_success_restores_the_signal_handler() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert guarded(lambda: None, lambda: False) == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_unwinds_the_stack(tmp_path: Path, sent: signal.Signals, status: int) -> None:
    code = f"""
import sys, time
from pathlib import Path
from controlnet.cli._errors import guarded
from controlnet.files import whole
def work():
    with whole({str(tmp_path / "map.png")!r}) as part:
        part.write_text("half")
        Path({str(tmp_path / "begun")!r}).touch()
        time.sleep(60)
sys.exit(guarded(work, lambda: False))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not (tmp_path / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(sent)
    assert process.wait() == status
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [((), {"info", "warning"}), (("-v",), {"debug", "info", "warning"}), (("-q",), {"warning"})],
)
def test_how_much_is_logged(options: tuple[str, ...], shown: set[str]) -> None:
    code = f"""
import logging
from controlnet.cli import app
from controlnet.cli._logs import configure
configure({"-v" in options}, {"-q" in options})
log = logging.getLogger("controlnet.somewhere")
log.debug("a debug line"); log.info("an info line"); log.warning("a warning line")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {kind for kind in ("debug", "info", "warning") if f"{kind} line" in done.stderr} == shown
    assert "warning: " in done.stderr and not done.stdout
