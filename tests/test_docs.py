"""The documents keep their word: their examples run, the commands and files that they name exist."""

import re
from pathlib import Path
from typing import Any

import pytest

from controlnet import registry
from tests.test_readme import ROOT, check_call

DOCS = sorted((ROOT / "docs").glob("*.md"))
RUN = re.compile(r"^```python run\n(.*?)^```", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"^\s*(controlnet [a-z].*)$|`(controlnet [a-z][^`]*)`", re.MULTILINE)


WITH_EXAMPLES = [doc for doc in DOCS if RUN.search(doc.read_text())]


@pytest.mark.parametrize("doc", WITH_EXAMPLES, ids=lambda doc: doc.stem)
def test_examples_run(doc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": doc.stem}
    for body in RUN.findall(doc.read_text()):
        exec(compile(body, str(doc), "exec"), namespace)


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.stem)
def test_commands_and_their_options_exist(doc: Path) -> None:
    for line, quoted in CALL.findall(doc.read_text()):
        check_call((line or quoted).split("  #")[0].split("  (")[0].strip())


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.stem)
def test_files_that_they_link_to_exist(doc: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", doc.read_text())
    assert not [link for link in links if not (doc.parent / link).exists()]


def test_every_condition_and_its_other_names_are_told() -> None:
    text = (ROOT / "docs" / "conditions.md").read_text()
    names = [*registry.names("conditions"), *registry.aliases("conditions")]
    assert not [name for name in names if f"`{name}`" not in text]
