"""The loop: passes, updates, measurements, states; stopped anywhere, it goes on as if it had not been."""

import math
from contextlib import closing
from pathlib import Path

from controlnet.errors import TrainingDiverged, TrainingStopped
from controlnet.training.bands import mean_and_bands
from controlnet.training.book import Book
from controlnet.training.divergence import blown_up, no_number, set_aside
from controlnet.training.engine import engine_of
from controlnet.training.events import Listener
from controlnet.training.folder import Opened, RunFolder, enter
from controlnet.training.instruments import Instruments
from controlnet.training.optim import set_rates
from controlnet.training.page import RunPage
from controlnet.training.plan import TrainingPlan
from controlnet.training.result import TrainingResult
from controlnet.training.state import commit
from controlnet.training.stop import stop_requests
from controlnet.training.telling import Teller
from controlnet.training.trackers import TensorBoard
from controlnet.training.turn import begin_phase, end_phase
from controlnet.training.weights_and_biases import WeightsAndBiases
from controlnet.training.workshop import Workshop


def train(
    plan: TrainingPlan, resume: bool = False, on_event: Listener | None = None, weighs: bool = False
) -> TrainingResult:
    """Train a ControlNet as the plan says, in the plan's folder, and return what came of it.

    resume goes on from the newest whole state, exactly: on one machine a run that was killed and resumed
    ends with the same weights, bit for bit, and the same metrics.jsonl as one that was left alone. Ctrl-C
    and SIGTERM save the state and raise TrainingStopped; a loss that is no number or blows up (see
    `divergence`) raises TrainingDiverged, without saving, which names the last good state. on_event is told
    of all that happens (see `events`). weighs: log an estimate of the memory first. Raises PlanError for a
    plan that cannot be followed, for one that is weighed and does not fit the device, and for a folder that
    is taken, DataError for data that cannot be used, CheckpointError for weights that cannot be loaded,
    SettingError for a folder that cannot be written to, or no more.
    """
    with engine_of(plan) as engine, stop_requests() as stop:
        leads = engine.is_main_process
        with engine.main_process_first():
            run = enter(plan, resume, writes=leads)
        shop = Workshop(plan, engine, run.state, weighs)
        instruments = Instruments(shop, run.folder)
        tell = Teller(_listeners(plan, run.folder, on_event) if leads else [], plan.steps, lambda: shop.net)

        def cached(done: int, total: int) -> bool:
            tell("cache", run.step, {"done": done, "total": total})
            return stop.by is not None

        if not shop.fill_cache(cached):
            raise TrainingStopped(_stopped_caching(stop.by or "a signal", run))
        with (
            tell.last_words(run.folder),
            closing(Book(run.folder, plan, run.step, run.seconds, writes=leads)) as book,
            closing(shop.loader.batches(run.step)) as batches,
        ):
            if run.changes:
                book.note(run.step, "the plan was changed", run.changes)
            tell("begin", run.step)
            for step in range(run.step + 1, plan.steps + 1):
                rates = set_rates(shop.optimizer, step, plan.steps, shop.stage.optim)
                parts = range(plan.optim.accumulation)
                passes = [shop.run_pass(next(batches), step, part) for part in parts]
                loss, bands = mean_and_bands(passes, shop.base.objective.timesteps)
                norm = shop.gradient_norm()
                if not math.isfinite(loss) or not (math.isfinite(norm) or shop.skips_overflows):
                    raise TrainingDiverged(no_number(step, loss, norm, run.folder))
                if (since := book.divergence.feed(step, loss)) is not None:
                    if leads:
                        set_aside(run.folder, since)
                    shop.engine.wait()
                    raise TrainingDiverged(blown_up(step, since, book.divergence, run.folder))
                shop.update(step)

                if instruments.due(step):
                    shop.gather()
                over = False
                if leads:
                    record = {"step": step, "loss": loss, **bands, "lr": rates["copy"], "grad_norm": norm}
                    record |= instruments.measure(step)
                    arrival = book.write(record, instruments.seconds, shop.loader.waited)
                    tell("step", step, record)
                    if arrival is not None:
                        tell("arrival", step, arrival)
                    if preview := instruments.preview(step):
                        tell("preview", step, path=preview)
                    over = end_phase(shop, book, record)
                if shop.stage.until is not None and shop.agreed(over):
                    shop.phase = shop.stage.number + 1
                stopping = shop.agreed(stop.by is not None) and step < plan.steps
                turn = shop.phase > shop.stage.number
                if saving := stopping or turn or step % plan.save.every == 0 or step == plan.steps:
                    shop.gather()
                if leads and saving:
                    tell("save", step, path=_save(shop, book, run.folder, step))
                if stopping:
                    shop.engine.wait()  # a process that ends early makes its launcher end the others, too
                    raise TrainingStopped(_stopped(stop.by or "a signal", step, plan, run.folder))
                if turn:
                    begin_phase(shop, run.folder)
                    tell("phase", step, shop.stage.told())

            result = book.result(run.folder.weights)
            shop.gather()
            if leads:
                shop.save_weights(run.folder.weights, plan.steps)
                run.folder.write_json(run.folder.result, result.values())
            tell("end", plan.steps, result.values(), run.folder.weights)
            return result


def _save(shop: Workshop, book: Book, folder: RunFolder, step: int) -> Path:
    book.to_disk()  # a state must not be newer than its records
    keep = shop.plan.save.keep
    return commit(
        folder.states, step, lambda place: {"seconds": book.seconds, **shop.save_state(place, step)}, keep
    )


def _stopped(by: str, step: int, plan: TrainingPlan, folder: RunFolder) -> str:
    mend = f"go on with: controlnet train {folder.plan} --resume"
    return f"stopped by {by} after step {step} of {plan.steps}, with the state saved; {mend}"


def _stopped_caching(by: str, run: Opened) -> str:
    resume = " --resume" if run.state is not None else ""
    mend = f"go on with: controlnet train {run.folder.plan}{resume}"
    return f"stopped by {by} while latents and captions were cached, with those done kept; {mend}"


def _listeners(plan: TrainingPlan, folder: RunFolder, on_event: Listener | None) -> list[Listener]:
    listeners = [] if on_event is None else [on_event]
    if plan.watch.tensorboard:
        listeners.append(TensorBoard(folder.root / "tensorboard"))
    if plan.watch.wandb:
        listeners.append(WeightsAndBiases(plan))
    return [*listeners, RunPage(plan, folder)] if plan.watch.page else listeners
