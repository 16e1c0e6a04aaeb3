"""What an arm's evaluations are: of its weights at each step that is asked for, and what stands beside."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from controlnet.backbones import load_base
from controlnet.errors import SettingError
from controlnet.evaluation.cases import SHAPES, Cases
from controlnet.evaluation.choice import adherence
from controlnet.evaluation.run import GUIDANCE, Bar, Request, evaluate_request
from controlnet.evaluation.subjects import control
from controlnet.files import whole
from controlnet.studies.distance import distance
from controlnet.studies.places import Places, fingerprint
from controlnet.studies.study import END, Moment, Study
from controlnet.training.plan import TrainingPlan

APART: Final = 1000  # from the noise of one seed to the next, more than there are scenes
TAKEN: Final = ("attributes", "fid_shapes")  # beside adherence, where a study does not say
CONTROL: Final = "control"
RESULTS: Final = "results.json"
DISTANCE: Final = "distance.json"

Kind = Literal["beside", "arm"]


@dataclass(frozen=True)
class Asked:
    """One evaluation: the base by itself and the ceiling ("beside"), or an arm's ControlNets at a step.

    weights: where the distance of y_c from y is asked for, too, the ControlNet that it is taken with.
    """

    kind: Kind
    at: Moment
    request: Request
    weights: Path | None = None

    @property
    def done(self) -> bool:
        """Whether it was made."""
        wanted = [RESULTS] if self.weights is None else [RESULTS, DISTANCE]
        return all((self.request.out / name).is_file() for name in wanted)

    def make(self, device: str, bar: Bar | None) -> None:
        """Make it; a stopped one goes on."""
        request = self.request
        base = load_base(str(request.base), device=device)
        evaluate_request(replace(request, base=base), bar)
        if self.weights is not None:
            cases = Cases(request.data, request.condition, base.sample_size, request.count)
            found = distance(base, self.weights, cases)
            with whole(request.out / DISTANCE) as part:
                part.write_text(json.dumps({"distance": found}), encoding="utf-8")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics' texts, adherence first."""
        return tuple(self.request.metrics or ())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of what was measured; none where it was not made."""
        if not self.done:
            return []
        rows = self._read(RESULTS)["conditions"][0]["rows"]
        if self.weights is not None:
            rows[0]["measures"]["distance"] = {"value": self._read(DISTANCE)["distance"]}
        return rows

    def higher(self) -> dict[str, bool]:
        """Return for each metric whether more is better."""
        metrics = self._read(RESULTS)["conditions"][0]["metrics"] if self.done else {}
        return {name: about["higher_is_better"] for name, about in metrics.items()}

    def _read(self, name: str) -> dict[str, Any]:
        return json.loads((self.request.out / name).read_text(encoding="utf-8"))


def asked_of(
    study: Study, arm: str, seed: int, plan: TrainingPlan | None, base: str | None, places: Places
) -> list[Asked]:
    """Return the evaluations of an arm under a seed, what stands beside it first.

    plan: what its run follows; None for ready ControlNets, whose pictures begin with the seed's noise. base:
    what is measured on, else the base of training. Raises SettingError where no condition is told.
    """
    measure = study.measure_of(arm)
    if not measure.count:
        return []
    nets = [control(net) for net in study.arms[arm].nets]
    own = next((net.guidance for net in nets if net.guidance is not None), GUIDANCE)
    condition = measure.condition or (nets[0].condition if plan is None else plan.data.condition)
    if condition is None:
        raise SettingError(
            f"arm {arm!r} of {study.name!r} is of no condition that is told; give measure.condition"
        )
    shared: dict[str, Any] = {
        "base": base or (SHAPES if plan is None else plan.base),
        "condition": condition,
        "count": measure.count,
        "prompts": measure.prompts,
        "metrics": measure.metrics or (adherence(Cases(SHAPES, condition, 64, 1).spec), *TAKEN),
        "steps": measure.steps,
        "guidance_scale": own if plan is None else plan.watch.guidance_scale,
        "seed": seed * APART if plan is None else 0,
    }
    if measure.guidance_scale is not None:
        shared["guidance_scale"] = measure.guidance_scale
    decides = {**shared, "base": fingerprint(shared["base"])}
    beside = Request({}, places.measured("beside", decides), title=f"Beside {condition}", **shared)

    def of(controls: Any, named: list[Any], label: str) -> Request:
        how = {"mode": measure.mode, "law": measure.law}
        out = places.measured(label, {**decides, **how, "weights": named})
        title = f"{study.name}: {arm}"
        return Request({CONTROL: controls}, out, baselines=False, title=title, **how, **shared)

    found = [Asked("beside", END, beside)]
    if plan is None:
        request = of(study.arms[arm].nets, [net.digest for net in nets], "+".join(net.name for net in nets))
        return [*found, Asked("arm", END, request)]
    run = places.run(plan).root.name
    for at in measure.at:
        weights = places.weights(plan, at)
        request = of(weights, [run, at], f"{plan.name}-{at}")
        found.append(Asked("arm", at, request, weights if measure.distance else None))
    return found
