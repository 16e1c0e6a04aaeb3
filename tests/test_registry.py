"""Plug-ins: found by file, read from text, refused with a mend."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlnet import registry
from controlnet.conditions._base import Condition
from controlnet.conditions._image import Pixels
from controlnet.errors import ControlNetError, SettingError, UnknownName


class Flat(Condition):
    title: ClassVar[str] = "the picture itself"
    paper: ClassVar[str] = "none"
    licence: ClassVar[str] = "Apache-2.0"

    def detect(self, image: Pixels) -> Pixels:
        return image


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("a_third_party")
    module.Flat = Flat  # pyright: ignore[reportAttributeAccessIssue]
    module.Condition = Condition  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "a_third_party", module)
    return "a_third_party"


def test_names_are_the_files_without_an_underscore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conditions").mkdir()
    for file in ("_base.py", "__init__.py", "zebra.py", "ant.py", "notes.txt"):
        (tmp_path / "conditions" / file).write_text("raise RuntimeError('imported')")
    monkeypatch.setattr(registry, "_ROOT", tmp_path)
    assert registry.names("conditions") == ("ant", "zebra")


def test_a_folder_that_does_not_exist_offers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ROOT", tmp_path)
    assert registry.names("metrics") == ()


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean conditions"):
        registry.names("condition")


def test_find_by_name() -> None:
    assert registry.find("conditions", "canny").__name__ == "Canny"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    aliases = {
        "edges": "canny",
        "canny_faint": "canny(low=7, high=9)",
        "canny (from colour & grey)": "canny(low=3)",
    }
    monkeypatch.setattr(registry.find("conditions", "canny"), "aliases", aliases)


@pytest.mark.usefixtures("others")
def test_find_by_alias() -> None:
    assert registry.find("conditions", "edges").__name__ == "Canny"
    assert registry.aliases("conditions")["edges"] == "canny"
    with pytest.raises(UnknownName, match="edges"):
        registry.find("conditions", "edgess")


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("edges", "canny"),
        ("edges(low=50)", "canny(low=50)"),
        ("canny_faint", "canny(low=7, high=9)"),
        ("canny_faint(low=8)", "canny(low=8, high=9)"),
        ("canny_faint(resolution=64)", "canny(resolution=64, low=7, high=9)"),
        ("canny (from colour & grey)", "canny(low=3)"),
    ],
)
def test_an_alias_brings_settings_and_those_of_the_text_win(spec: str, wanted: str) -> None:
    assert str(registry.get("conditions", spec)) == wanted


@pytest.mark.usefixtures("others")
def test_a_mistake_is_told_under_the_alias() -> None:
    with pytest.raises(SettingError, match=r"canny_faint: .*low=10 is above high=9"):
        registry.get("conditions", "canny_faint(low=10)")


def test_aliases_are_looked_up_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from controlnet import registry, nearest\n"
        "registry.aliases('conditions'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "transformers", "onnxruntime"}.isdisjoint(done.stdout.split())


def test_a_family_may_have_several_folders(third_party: str) -> None:
    assert registry.name_of("conditions", registry.find("conditions", "canny")) == "canny"
    assert registry.name_of("conditions", Flat) == f"{Flat.__module__}:Flat"
    for package in registry._FAMILIES["conditions"].packages:
        for name in registry._files(package):
            found = registry.find("conditions", name)
            assert found.__module__ == f"{package}.{name}" and found.name() == name


def test_find_a_third_party_class(third_party: str) -> None:
    assert registry.find("conditions", f"{third_party}:Flat") is Flat
    assert isinstance(registry.get("conditions", f"{third_party}:Flat(resolution=64)"), Flat)


@pytest.mark.parametrize(
    "address", ["a_third_party:Nothing", "no_such_package:Flat", ":Flat", "a_third_party:"]
)
def test_an_address_that_leads_nowhere(address: str, third_party: str) -> None:
    with pytest.raises(UnknownName, match=r"package\.module:Class"):
        registry.find("conditions", address)


@pytest.mark.parametrize("address", ["os:system", "pathlib:Path", "a_third_party:Condition"])
def test_an_address_of_something_else(address: str, third_party: str) -> None:
    with pytest.raises(SettingError, match="complete subclass of Condition"):
        registry.find("conditions", address)


def test_a_file_that_offers_two_classes_is_a_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "".join(
        f"class {name}(Condition):\n    def detect(self, image):\n        return image\n" for name in "AB"
    )
    (tmp_path / "twice.py").write_text(f"from controlnet.conditions._base import Condition\n{body}")
    import controlnet.conditions

    monkeypatch.setattr(controlnet.conditions, "__path__", [*controlnet.conditions.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "names", lambda family: ("twice",))
    try:
        with pytest.raises(ControlNetError, match="offers A, B; wanted one"):
            registry.find("conditions", "twice")
    finally:
        sys.modules.pop("controlnet.conditions.twice", None)


@pytest.mark.parametrize(
    ("spec", "name", "arguments"),
    [
        ("canny", "canny", {}),
        (" canny ( ) ", "canny", {}),
        ("canny(low=50, high=120)", "canny", {"low": 50, "high": 120}),
        ("x(a=-1.5, b='t', c=None, d=True, e=(1, 2), f=[3])", "x",
         {"a": -1.5, "b": "t", "c": None, "d": True, "e": (1, 2), "f": [3]}),
        ("p.m:C(a=')')", "p.m:C", {"a": ")"}),
        ("depth-any_2", "depth-any_2", {}),
    ],
)  # fmt: skip
def test_parse(spec: str, name: str, arguments: dict[str, object]) -> None:
    assert registry.parse(spec) == (name, arguments)


@pytest.mark.parametrize(
    "spec",
    [
        "", "()", "canny(", "canny)", "canny(low=50", "canny(low=50))", "canny(low=1)(high=2)",
        "canny(low=1) + x()", "canny(50)", "canny(low=x)", "canny(low=1, low=2)", "canny(**{})",
        "canny(*[1])", "canny low=1", "canny(low=__import__('os').getpid())", "canny(low=1 for _ in [1])",
        "canny(a) if b", "canny(low='\0')", "canny(low=" + "-" * 900 + "1)", "canny(" + "-" * 20_000,
        "canny(low=" + "(" * 5000 + "1" + ")" * 5000 + ")",
        "canny(low=1 #)",
    ],
    ids=lambda spec: ascii(spec[:30]),
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_line(spec: str) -> None:
    with pytest.raises(SettingError) as error:
        registry.parse(spec)
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


def test_nothing_in_a_text_is_executed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    with pytest.raises(SettingError):
        registry.get("conditions", f"canny(low=open({str(trap)!r}, 'w'))")
    assert not trap.exists()


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        name, arguments = registry.parse(text)
    except SettingError:
        return
    assert name and isinstance(arguments, dict)


literals = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
identifiers = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True).filter(lambda name: name.isidentifier())


@given(st.dictionaries(identifiers.map(lambda name: f"{name}_"), literals, max_size=4))
def test_settings_survive_their_text_form(settings: dict[str, object]) -> None:
    text = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    assert registry.parse(f"name({text})") == ("name", settings)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cany", "did you mean canny"),
        ("CANNY", "did you mean canny"),
        ("zzz", "there are: "),
        ("canny(lo=3)", "no setting is called 'lo'; did you mean low"),
        ("canny(low=300)", "low=300: input should be less than or equal to 255"),
        ("canny(low=0)", "greater than or equal to 1"),
        ("canny(low='x')", "low='x': input should be a valid integer"),
        ("canny(low=120, high=50)", "wanted low at most high"),
    ],
)
def test_a_mistake_is_told_with_its_mend(spec: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        registry.get("conditions", spec)
    assert said in str(error.value)


def test_schema_is_that_of_the_model() -> None:
    properties = registry.schema("conditions", "canny")["properties"]
    assert properties["low"]["minimum"] == 1 and properties["low"]["maximum"] == 255


def test_near_names_whatever_their_case() -> None:
    assert registry.near("Dpeth", ["depth", "Depth_zoe", "canny"])[0] == "depth"
    assert registry.near("xyz", ["depth"]) == []
