import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import controlnet.core


@pytest.fixture
def unchecked(monkeypatch):
    """Load a module of the core as users have it; in tests, types are checked before its own checks come."""

    def load(name: str) -> ModuleType:
        path = Path(controlnet.core.__file__).parent / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"unchecked_{name}", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load
