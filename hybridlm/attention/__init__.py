"""One mask in, the fastest exact kernel out; says which and why.

    plan = attention.plan(mask, facts, dtype=jnp.bfloat16, head_width=64)
    out_BTHK = plan.attend(q_BTHK, k_BTJK, v_BTJK)

A mask is prepared once per batch and shared by all layers. No backend is ever replaced silently: `explain` names the
one taken, the reason, and the share of the work it does; one asked for by name runs or is refused with the reason.
"""

from hybridlm.attention.plans import Explanation, Mixing, Plan, explain, plan

__all__ = ["Explanation", "Mixing", "Plan", "explain", "plan"]
