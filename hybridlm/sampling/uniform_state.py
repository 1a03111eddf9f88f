"""The sampler of uniform-state diffusion: it begins with random tokens, and any of them may change at any step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from hybridlm.config.errors import require
from hybridlm.config.sampling import Choice
from hybridlm.diffusion import uniform
from hybridlm.diffusion.schedules import Schedule
from hybridlm.sampling.canvas import Ask, Canvas, write
from hybridlm.sampling.choose import filtered
from hybridlm.sampling.masked import AS_TRAINED, check_steps
from hybridlm.sampling.noise import Keys, split


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformState:
    """The reverse process of `diffusion.uniform` on an even grid of times: exact as steps → ∞.

    Attributes:
      steps: of the grid. schedule: α(t). choice: how a token is chosen from its prediction.
      size: V. never: ids that are never predicted, and so no noise either.
    """

    steps: int
    schedule: Schedule
    size: int
    never: tuple[int, ...]
    choice: Choice = AS_TRAINED

    revises = True

    def __post_init__(self):
        check_steps(self.steps)
        require(
            len(set(self.never)) < self.size,
            f"uniform noise is drawn from the ids that may be predicted, but never={self.never} leaves none of "
            f"{self.size}; leave out special ids alone.",
        )

    def __call__(self, keys_B: Keys, number: Int[Array, ""], canvas: Canvas, ask: Ask) -> Canvas:
        """One step, from a time of the grid to the next; what is masked is first replaced by noise."""
        noise_B, step_B = split(keys_B)
        ordinary_N = jnp.asarray(np.setdiff1d(np.arange(self.size), self.never))
        noisy_BT = jnp.where(canvas.is_masked_BT, self._noise(noise_B, ordinary_N, canvas), canvas.tokens_BT)
        t, s = 1 - number / self.steps, 1 - (number + 1) / self.steps
        told_B = jnp.broadcast_to(self.schedule.one_minus_alpha(t), noisy_BT.shape[:1])
        canvas, logits_BTV = ask(dataclasses.replace(canvas, tokens_BT=noisy_BT), told_B)
        chosen_BTV = filtered(logits_BTV, self.choice)

        def step(key, logits_TV, noisy_T):
            return uniform.denoise_step(logits_TV[None], noisy_T[None], t, s, self.schedule, ordinary_N, key=key)[0]

        return write(canvas, canvas.is_open_BT, jax.vmap(step)(step_B, chosen_BTV, noisy_BT), logits_BTV)

    def _noise(self, keys_B, ordinary_N, canvas):
        tokens_T = canvas.tokens_BT[0]
        return jax.vmap(lambda key: jax.random.choice(key, ordinary_N, tokens_T.shape).astype(tokens_T.dtype))(keys_B)
