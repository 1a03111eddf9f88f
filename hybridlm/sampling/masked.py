"""Samplers of masked diffusion: by time, as the process runs backwards, or by order, so many tokens a step.

Whether a token is written is drawn before what is written, and by time it does not depend on the prediction: a step
that writes nothing does not ask the network.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from hybridlm.config.errors import one_of, require
from hybridlm.config.sampling import Choice
from hybridlm.diffusion.denoising import noise_left
from hybridlm.diffusion.schedules import Schedule
from hybridlm.sampling.canvas import Ask, Canvas, erase, write
from hybridlm.sampling.noise import Keys, drawn, split, uniform
from hybridlm.sampling.order import ORDERS, entropy, foremost, within_bound
from hybridlm.sampling.remask import NEVER_AGAIN, Remask

AS_TRAINED = Choice()


def check_steps(steps: int) -> None:
    """Refuses a sampler that would never begin."""
    require(
        steps >= 1,
        f"a sampler needs at least 1 step, but steps={steps}; as many as there are tokens to write is exact, fewer are "
        "faster.",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ancestral:
    """The reverse process on a grid of times: exact as steps → ∞, and with `remask` it revises what it wrote.

    Attributes:
      steps: of the grid. schedule: α(t). choice: how a token is chosen from its prediction.
    """

    steps: int
    schedule: Schedule
    choice: Choice = AS_TRAINED
    remask: Remask = NEVER_AGAIN

    def __post_init__(self):
        check_steps(self.steps)

    @property
    def revises(self) -> bool:
        """Whether it goes on when nothing is masked."""
        return self.remask.eta > 0

    def __call__(self, keys_B: Keys, number: Int[Array, ""], canvas: Canvas, ask: Ask) -> Canvas:
        """One step, from a time of the grid to the next."""
        whether_B, what_B = split(keys_B)
        noise_N = noise_left(self.schedule, jnp.asarray(self.remask.times(self.steps), jnp.float32))
        noise_t, noise_s = noise_N[number], noise_N[number + 1]
        sigma_BT = self.remask.sigma(canvas, noise_t, noise_s)
        stays_BT = (noise_s - sigma_BT * (1 - noise_t)) / noise_t
        uniform_BT = uniform(whether_B, canvas.tokens_BT.shape[1])
        is_written_BT = canvas.is_masked_BT & (uniform_BT >= stays_BT)
        is_erased_BT = canvas.is_open_BT & ~canvas.is_masked_BT & (uniform_BT < sigma_BT)

        def reveal(canvas):
            canvas, logits_BTV = ask(canvas, jnp.broadcast_to(noise_t, canvas.tokens_BT.shape[:1]))
            return write(canvas, is_written_BT, drawn(what_B, logits_BTV, self.choice), logits_BTV)

        return erase(jax.lax.cond(is_written_BT.any(), reveal, lambda canvas: canvas, canvas), is_erased_BT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ordered:
    """The same number of tokens at every step, chosen by an order of `order.ORDERS`; more where it is sure enough.

    As many steps as there are tokens to write them one at a time. In random order that is exact sampling of masked
    diffusion, which meets its tokens so (first hitting, Zheng et al., arXiv:2409.02908). The network is told what share
    is masked of all that may be, as a chain tells it that scores the text.

    Attributes:
      steps: how many there are at most. order: a name of `ORDERS`. choice: how a token is chosen from its prediction.
      threshold: probability from which a token is written at once (order "confidence"; Fast-dLLM, arXiv:2505.22618);
        0 is none.
      bound: nats of entropy that tokens written at once may have together (order "entropy"; 2505.24857); 0 is none.
    """

    steps: int
    order: str = "random"
    choice: Choice = AS_TRAINED
    threshold: float = 0.0
    bound: float = 0.0

    revises = False

    def __post_init__(self):
        check_steps(self.steps)
        one_of("order", self.order, ORDERS)
        require(
            0 <= self.threshold <= 1,
            f"threshold={self.threshold} is a probability, so it must lie between 0 and 1; at 0 it has no effect.",
        )
        require(
            not self.threshold or self.order == "confidence",
            f"threshold={self.threshold} goes with order='confidence'; order is {self.order!r}.",
        )
        require(
            self.bound >= 0 and not (self.bound and self.order != "entropy"),
            f"bound={self.bound} is in nats, not negative, and goes with order='entropy'; order is {self.order!r}.",
        )

    def __call__(self, keys_B: Keys, number: Int[Array, ""], canvas: Canvas, ask: Ask) -> Canvas:
        """One step: draws every token, and writes the foremost of the masked ones."""
        what_B, order_B = split(keys_B)
        is_masked_BT, masked_B = canvas.is_masked_BT, canvas.is_masked_BT.sum(1)
        canvas, logits_BTV = ask(canvas)
        drawn_BT = drawn(what_B, logits_BTV, self.choice)
        number_BT = ORDERS[self.order](order_B, logits_BTV, drawn_BT)
        due_B = -(-masked_B // (self.steps - number))
        is_written_BT = foremost(number_BT, is_masked_BT, due_B)
        if self.threshold:
            is_written_BT |= is_masked_BT & (number_BT >= jnp.log(self.threshold))
        if self.bound:
            is_written_BT |= within_bound(entropy(logits_BTV), is_masked_BT, self.bound)
        return write(canvas, is_written_BT, drawn_BT, logits_BTV)
