"""From studies to runs and measurements: whatever is there is kept, whatever was stopped goes on."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from controlnet.backbones import load_base
from controlnet.checkpoints import save_controlnet
from controlnet.errors import TrainingDiverged, TrainingStopped
from controlnet.evaluation.run import Bar
from controlnet.studies.asking import Asked, asked_of
from controlnet.studies.places import DIVERGED, Places
from controlnet.studies.study import END, Moment, Study
from controlnet.training import Listener, TrainingPlan, train
from controlnet.training.setup import make_net
from controlnet.training.source import drawings_kept

AGAIN: Final = "the same command goes on"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """One arm of a study under one seed."""

    study: Study
    arm: str
    seed: int

    def __str__(self) -> str:
        return f"{self.study.name}: {self.arm}, seed {self.seed}"


@final
@dataclass(frozen=True)
class Work:
    """How studies are worked on: where, with which other bases, what all plans change, who is told."""

    places: Places
    bases: Mapping[str, str] = field(default_factory=dict[str, str])
    changes: Sequence[str] = ()
    device: str = "cpu"
    on_event: Listener | None = None
    bar: Bar | None = None

    def run(self, studies: Sequence[Study], seeds: Sequence[int] | None = None) -> Iterator[Piece]:
        """Train and measure what is lacking, seed by seed, so that a part of it is of use; give what is done.

        Raises TrainingStopped where a signal came, and whatever training and measuring raise.
        """
        for study in studies:
            for arm in study.arms:
                study.check(arm, self.changes)
            for name in study.bases.keys() - self.bases.keys():
                log.warning("%s: left out is what wants the base %r, %s", study.name, name, study.bases[name])
        with drawings_kept():
            for piece in pieces(studies, seeds):
                if self.possible(piece):
                    log.info("%s", piece)
                    self._work(piece)
                    yield piece

    def possible(self, piece: Piece) -> bool:
        """Tell whether the bases of an arm were given."""
        return not piece.study.wanted(piece.arm) - self.bases.keys()

    def plan_of(self, piece: Piece) -> TrainingPlan:
        """Return what an arm's run follows, in the folder of such runs."""
        plan = piece.study.plan_of(piece.arm, piece.seed, self.changes)
        plan = plan.model_copy(update={"base": self.bases.get(plan.base, plan.base)})
        return plan.model_copy(update={"out": str(self.places.run(plan).root)})

    def asked(self, piece: Piece) -> list[Asked]:
        """Return the evaluations of an arm, what stands beside it first; none where only the run counts."""
        base = self.bases.get(piece.study.arms[piece.arm].base or "", piece.study.arms[piece.arm].base)
        plan = self.plan_of(piece) if piece.study.trains(piece.arm) else None
        return asked_of(piece.study, piece.arm, piece.seed, plan, base, self.places)

    def _work(self, piece: Piece) -> None:
        plan = self.plan_of(piece) if piece.study.trains(piece.arm) else None
        asked = self.asked(piece)
        if plan is not None and not asked:  # what the run itself records is all that counts
            self._bring(plan, END)
        for one in asked:
            ready = plan is None or one.kind == "beside" or self._bring(plan, one.at)
            if ready and not one.done:
                one.make(self.device, self.bar)

    def _bring(self, plan: TrainingPlan, at: Moment) -> bool:
        """Bring a run so far that it has its weights of a step; False where it has diverged before."""
        if self.places.has(plan, at):
            return True
        if at == 0:
            told = {"plan": plan.model_copy(update={"out": None}).values()}
            save_controlnet(
                make_net(plan, load_base(plan.base)), self.places.weights(plan, at), metadata=told
            )
            return True
        folder = self.places.run(plan)
        if (folder.root / DIVERGED).is_file():
            return False
        try:
            train(plan, resume=folder.states.is_dir(), on_event=self.on_event)
        except TrainingDiverged as error:
            log.warning("%s", error)
            folder.write_json(folder.root / DIVERGED, {"why": str(error)})
            return False
        except TrainingStopped as error:
            raise TrainingStopped(f"{str(error).partition(';')[0]}; {AGAIN}") from error
        return True


def pieces(studies: Iterable[Study], seeds: Sequence[int] | None = None) -> Iterator[Piece]:
    """Give the arms of all studies under their first seed, then under their second …"""
    found = [
        (number, Piece(study, arm, seed))
        for study in studies
        for arm in study.arms
        for number, seed in enumerate(seeds or study.seeds)
    ]
    yield from (piece for _, piece in sorted(found, key=lambda pair: pair[0]))
