"""The folder in which the embedded world is made, and the folder of weights that comes of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controlnet.errors import SettingError

PACKAGED: Final = Path(__file__).resolve().parents[2] / "shapes" / "weights"


@dataclass(frozen=True)
class World:
    """corpus/, model/ with its runs, judge/, controlnets/NAME/: all that the recipe leaves on the way."""

    root: Path

    @property
    def corpus(self) -> Path:
        """Rendered scenes."""
        return self.root / "corpus"

    @property
    def model(self) -> Path:
        """Autoencoder and base, a pipeline folder in single precision."""
        return self.root / "model"

    @property
    def judge(self) -> Path:
        """The judge."""
        return self.root / "judge"

    def controlnet(self, name: str) -> Path:
        """The run of a ControlNet."""
        return self.root / "controlnets" / name

    def controlnets(self) -> list[str]:
        """Name the ControlNets whose training is complete, sorted."""
        return sorted(path.parent.name for path in self.root.glob("controlnets/*/controlnet.safetensors"))

    def logs(self) -> dict[str, Path]:
        """Name the logs of the networks that the recipe has trained."""
        places = {
            "autoencoder": self.model / "vae_run",
            "base": self.model / "base_run",
            "judge": self.judge / "run",
        }
        return {
            name: place / "log.jsonl" for name, place in places.items() if (place / "log.jsonl").is_file()
        }

    def wants(self, path: Path, command: str) -> Path:
        """Return a path of an earlier stage; SettingError, which names its command, where it is not there."""
        if not path.exists():
            raise SettingError(
                f"{path} is missing; make it first: controlnet shapes {command} --out {self.root}"
            )
        return path


@dataclass(frozen=True)
class Weights:
    """base/, judge/, controlnets/NAME.safetensors, quality.json, README.md, curves.png: what is shipped."""

    root: Path

    @property
    def base(self) -> Path:
        """The base, a pipeline folder in half precision."""
        return self.root / "base"

    @property
    def judge(self) -> Path:
        """The judge."""
        return self.root / "judge"

    @property
    def controlnets(self) -> dict[str, Path]:
        """The ControlNets by name."""
        return {path.stem: path for path in sorted(self.root.glob("controlnets/*.safetensors"))}

    @property
    def quality(self) -> Path:
        """What was measured."""
        return self.root / "quality.json"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.root / "README.md"

    @property
    def curves(self) -> Path:
        """The training curves that the card shows."""
        return self.root / "curves.png"

    @property
    def size(self) -> int:
        """Bytes of all weights together."""
        return sum(path.stat().st_size for path in self.root.rglob("*.safetensors"))
