"""What import-linter cannot say: plug-ins are reached through the registry only, and start-up is light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlnet import registry

SOURCE = Path(registry.__file__).parent
FAMILIES = tuple(registry._FAMILIES)
FILES = sorted(SOURCE.rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Yield every module that a file's import statements may mean, at any depth of the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def plugins() -> set[str]:
    return {
        f"{package}.{name}"
        for family in FAMILIES
        for package in registry._FAMILIES[family].packages
        for name in registry._files(package)
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_nobody_imports_a_plugin_by_name(file: Path) -> None:
    assert plugins().isdisjoint(imported(file))


def test_the_scan_sees_imports_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("def f():\n    import a.b\n    from c import d\n    from e.f import g as h\n")
    assert set(imported(file)) == {"a.b", "c", "c.d", "e.f", "e.f.g"}


def test_no_relative_imports_and_no_stars() -> None:
    found = [
        f"{file.relative_to(SOURCE)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.level or any(alias.name == "*" for alias in node.names))
    ]
    assert not found


@pytest.mark.parametrize("call", ["print", "eval", "exec"])
def test_the_library_never_calls(call: str) -> None:
    found = [
        f"{file.relative_to(SOURCE)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == call
    ]
    assert not found


def test_files_stay_short() -> None:
    lengths = {str(file.relative_to(SOURCE)): len(file.read_text().splitlines()) for file in FILES}
    assert not {name: length for name, length in lengths.items() if length > 300}


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    code = "import sys, controlnet.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "cv2", "PIL", "diffusers", "transformers", "accelerate", "pydantic", "yaml"}
    assert heavy.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_of_each_family_that_has_plugins_exists(family: str) -> None:
    if registry.names(family):
        assert isinstance(registry._load(registry._FAMILIES[family].base), type)
