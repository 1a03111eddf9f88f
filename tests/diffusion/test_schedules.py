import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.diffusion import schedules

NAMES = ("linear", "cosine", "polynomial:2", "polynomial:0.5", "polynomial:3")
everywhere = pytest.mark.parametrize("schedule", [schedules.from_name(name) for name in NAMES], ids=NAMES)


@everywhere
def test_all_tokens_are_kept_at_0_and_none_at_1(schedule):
    assert float(schedule.alpha(0.0)) == 1
    assert float(schedule.alpha(1.0)) == pytest.approx(0, abs=1e-7)


@everywhere
def test_fewer_tokens_are_kept_as_time_goes_on(schedule):
    assert np.all(np.diff(schedule.alpha(jnp.linspace(0.0, 1.0, 101))) < 0)


@everywhere
def test_slope_matches_finite_differences(schedule):
    t = np.linspace(0.1, 0.9, 9)
    with jax.enable_x64(True):
        slope = (schedule.alpha(jnp.asarray(t + 1e-5)) - schedule.alpha(jnp.asarray(t - 1e-5))) / 2e-5
        np.testing.assert_allclose(schedules.alpha_prime(schedule, jnp.asarray(t)), slope, rtol=1e-7)


@everywhere
def test_weight_is_minus_the_slope_of_alpha_over_the_masked_share(schedule):
    t = jnp.linspace(0.1, 1.0, 10)
    expected = -schedules.alpha_prime(schedule, t) / (1 - schedule.alpha(t))
    np.testing.assert_allclose(schedules.likelihood_weight(schedule, t), expected, rtol=1e-4, atol=1e-6)


def test_weight_of_linear_noise_is_one_over_t_also_where_one_minus_alpha_would_cancel():
    t = jnp.array([1e-8, 1e-6, 0.01, 0.5, 1.0])
    np.testing.assert_allclose(schedules.likelihood_weight(schedules.from_name("linear"), t), 1 / t, rtol=1e-6)


def test_cosine_is_the_one_of_md4():
    t = np.linspace(0, 1, 11)
    expected = 1 - np.cos(np.pi / 2 * (1 - t))
    np.testing.assert_allclose(schedules.from_name("cosine").alpha(t), expected, atol=1e-6)


def test_equal_schedules_share_a_compilation():
    traces = []

    @jax.jit(static_argnums=0)
    def alpha(schedule, t):
        traces.append(schedule)
        return schedule.alpha(t)

    assert float(alpha(schedules.from_name("polynomial:2"), 0.5)) == 0.75
    assert float(alpha(schedules.from_name("polynomial:2.0"), 0.1)) == pytest.approx(0.99)
    assert len(traces) == 1


def test_a_schedule_of_ones_own_needs_only_a_function():
    mine = schedules.Schedule(lambda t, sharpness: t**sharpness * (2 - t**sharpness), (2.0,))
    assert float(mine.alpha(0.5)) == pytest.approx((1 - 0.25) ** 2)
    assert float(schedules.alpha_prime(mine, 0.5)) == pytest.approx(-2 * (1 - 0.25))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cosin", "schedule 'cosin' is not one of linear, cosine, polynomial:k."),
        ("polynomial", "has 0 parameter(s) after its name but takes 1; write 'polynomial:k'."),
        ("linear:2", "has 1 parameter(s) after its name but takes 0; write 'linear'."),
        ("polynomial:two", "'two' is not a number; write it like 'polynomial:2'."),
        ("polynomial:-1", "a parameter must be positive and finite, or α cannot fall."),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(name, message):
    with pytest.raises(ConfigError) as error:
        schedules.from_name(name)
    assert message in str(error.value)


def falls(t):
    return t * (1.5 - t)


def stops_short(t):
    return 0.02 + 0.9 * t


def overshoots(t):
    return 1.2 * t


def squared(t):
    return t**2


def own(function):
    return f"{__name__}:{function.__name__}"


def test_a_function_of_ones_own_is_named_by_its_import_path():
    schedule = schedules.from_name(own(squared))
    assert schedule == schedules.Schedule(squared)
    assert float(schedules.likelihood_weight(schedule, 0.5)) == 4
    schedules.check_ends(schedule, own(squared))
    assert schedules.from_name(own(stops_short)).replaced is stops_short, "training may use it"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (own(falls), "must never fall, since noise only grows with time, but the replaced share falls after t=0.75;"),
        (own(overshoots), "gives replaced shares from 0 to 1.2; a share lies between 0 and 1."),
        (
            own(squared) + "s",
            "has no attribute 'squareds'); it must read 'package.module:function' and name a function",
        ),
        ("no.such:thing", "could not be imported (No module named 'no'); it must read 'package.module:function'"),
    ],
)
def test_a_function_that_is_no_schedule_is_refused(name, message):
    with pytest.raises(ConfigError) as error:
        schedules.from_name(name)
    assert message in str(error.value)


@everywhere
def test_schedules_by_name_reach_both_ends_also_while_a_step_is_traced(schedule):
    jax.jit(lambda t: schedules.check_ends(schedule, "") or t)(0.5)


def test_a_bound_of_a_schedule_that_stops_short_is_refused():
    with pytest.raises(ConfigError) as error:
        schedules.check_ends(schedules.from_name(own(stops_short)), "short")
    assert str(error.value) == (
        "schedule 'short' replaces a share of 0.02 at t=0 and 0.92 at t=1, not 0 and 1, so the value would lack the "
        "reconstruction or the prior term and be no bound. It may be trained with; read the model with a schedule that "
        "reaches both ends, such as 'linear'."
    )
