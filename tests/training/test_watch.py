"""The watch for sudden convergence: no alarm by chance, none missed, and never asked of the loss."""

import numpy as np
import pytest

from controlnet.training.watch import ADHERENCE_ROW, GAIN_ROW, ArrivalWatch


def gains(watch: ArrivalWatch, values: list[float], error: float = 0.1, loss: float = 1.0) -> None:
    for number, value in enumerate(values, 1):
        watch.feed({"step": 10 * number, "gain": value, "gain_error": error, "held_out_loss": loss})


def test_gain_has_risen_at_the_first_of_a_row() -> None:
    watch = ArrivalWatch(with_adherence=False)
    gains(watch, [0.0, 0.5, 0.0, *[0.5] * (GAIN_ROW - 1)])
    assert watch.arrived is None
    gains(watch, [0.0])
    gains(watch, [0.0, 0.0, *[0.5] * GAIN_ROW, 0.0])
    assert watch.arrived == 30


def test_what_has_arrived_stays_so() -> None:
    watch = ArrivalWatch(with_adherence=False)
    gains(watch, [0.5] * GAIN_ROW + [0.0] + [0.5] * GAIN_ROW)
    assert watch.arrived == 10


@pytest.mark.parametrize(
    ("value", "error", "loss"),
    [(0.2, 0.1, 1.0), (1e-6, 1e-9, 0.02), (0.0, 0.0, 1.0), (-0.5, 0.1, 1.0)],
    ids=["within three errors", "certain but tiny", "exactly zero", "worse with the condition"],
)
def test_what_is_no_arrival(value: float, error: float, loss: float) -> None:
    watch = ArrivalWatch(with_adherence=False)
    gains(watch, [value] * 10, error, loss)
    assert watch.arrived is None


def test_with_both_instruments_the_later_one_decides() -> None:
    watch = ArrivalWatch(with_adherence=True)
    gains(watch, [0.5] * 10)
    assert watch.gain.at == 10 and watch.arrived is None
    for step in (100, 200, 300)[: ADHERENCE_ROW + 1]:
        watch.feed({"step": step, "adherence_gain": 0.2 if step > 100 else 0.01, "adherence_error": 0.02})
    assert watch.adherence.at == 200 and watch.arrived == 200


def test_the_loss_alone_says_nothing() -> None:
    watch = ArrivalWatch(with_adherence=False)
    for step in range(1, 100):
        watch.feed({"step": step, "loss": 1 / step})
    assert watch.arrived is None


def test_noise_raises_no_alarm_and_a_jump_is_found_where_it_is() -> None:
    """Two hundred runs of a hundred measurements: 32 paired differences around nought, then around 1."""
    alarms, found = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        watch = ArrivalWatch(with_adherence=False)
        for number in range(1, 101):
            differences = rng.normal(0.0 if number <= 60 else 1.0, 1.0, 32)
            record = {
                "gain": differences.mean(),
                "gain_error": differences.std(ddof=1) / 32**0.5,
                "held_out_loss": 1.0,
            }
            watch.feed({"step": number, **record})
            if number == 60:
                alarms += watch.arrived is not None
        found.append(watch.arrived)
    assert alarms == 0
    assert np.median([step for step in found if step is not None]) == 61 and None not in found
