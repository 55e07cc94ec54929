"""Learning-rate schedules: their first and last rounds, their course, and what they refuse."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.errors import BadInput
from gossipnet.training.schedule import make_schedule, schedules

ROUNDS = st.integers(1, 60)


def course(text, rounds):
    schedule = make_schedule(text)
    return [schedule(r, rounds) for r in range(1, rounds + 1)]


@pytest.mark.parametrize("name", schedules.names())
@given(rounds=ROUNDS)
def test_every_round_has_a_factor_that_trains(name, rounds):
    """In (0, 1]: a round at rate 0 would be for nothing, one above 1 is not what was asked for."""
    assert all(0 < f <= 1 for f in course(name, rounds) if not (name == "step" and f < 1e-300))
    assert max(course(name, rounds)) == 1


@given(rounds=ROUNDS)
def test_constant_is_one(rounds):
    assert set(course("constant", rounds)) == {1.0}


@given(rounds=ROUNDS, every=st.integers(1, 50), factor=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_step_is_torchs(rounds, every, factor):
    expected, optimizer = [], torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, every, factor)
    for _ in range(rounds):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step(), scheduler.step()
    assert course(f"step:every={every},factor={factor}", rounds) == pytest.approx(expected)


@given(rounds=ROUNDS, floor=st.floats(0, 1))
def test_cosine_is_torchs(rounds, floor):
    expected, optimizer = [], torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, rounds, eta_min=floor)
    for _ in range(rounds):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step(), scheduler.step()
    assert course(f"cosine:floor={floor}", rounds) == pytest.approx(expected, abs=1e-6)


@given(rounds=ROUNDS, warmup=st.floats(0, 1), floor=st.floats(0, 1))
def test_warmup_rises_evenly_then_falls_as_cosine(rounds, warmup, floor):
    factors = course(f"warmup-cosine:warmup={warmup},floor={floor}", rounds)
    top = factors.index(1.0)
    assert top == min(rounds - 1, math.ceil(warmup * rounds))
    assert factors[:top] == pytest.approx([(r + 1) / (top + 1) for r in range(top)])
    assert factors[top:] == course(f"cosine:floor={floor}", rounds - top)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("cosine:floor=2", "floor=2, expected a number from 0 to 1"),
        ("step:every=0", "every=0, expected 1 round or more"),
        ("step:factor=-1", "factor=-1"),
        ("warmup-cosine:warmup=1.5", "warmup=1.5"),
        ("warmup-cosine:floor=-1", "floor=-1"),
    ],
)
def test_bad_options_are_refused(text, said):
    with pytest.raises(BadInput, match=said):
        make_schedule(text)


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf])
def test_a_users_schedule_is_held_to_its_word(factor):
    schedules.register("schedule-test")(lambda: lambda round, rounds: factor)
    try:
        with pytest.raises(BadInput, match="expected a number >= 0"):
            make_schedule("schedule-test")(1, 10)
    finally:
        del schedules._factories["schedule-test"]
