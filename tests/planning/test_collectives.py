"""Traffic read from a small program written down by hand, and from one that XLA partitioned."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hybridlm.planning.collectives import Collective, collectives

TEXT = """\
HloModule step

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%begin (p: bf16[4,8]) -> bf16[32,8] {
  ROOT %g.1 = bf16[32,8]{1,0} all-gather(%p), channel_id=7, replica_groups=mesh['data'=2,'fsdp'=8] {'fsdp'}
}

%finish (p: bf16[4,8]) -> bf16[32,8] {
  ROOT %g.2 = bf16[32,8]{1,0} all-gather(%p), channel_id=7, replica_groups=mesh['data'=2,'fsdp'=8] {'fsdp'}
}

%rounds (i: s32[]) -> pred[] {
  %most = s32[] constant(12)
  ROOT %less = pred[] compare(%i, %most), direction=LT
}

%inner (x: f32[]) -> f32[] {
  ROOT %sent = f32[5]{0} collective-permute(%x), channel_id=9, source_target_pairs={{0,1},{1,0}}
}

%layer (i: s32[]) -> s32[] {
  %start = bf16[32,8] fusion(%w), kind=kCustom, calls=%begin
  %done = bf16[32,8] fusion(%w), kind=kCustom, calls=%finish
  %reduced = (f32[10]{0}, f32[6]{0}) all-reduce(%g, %h), channel_id=8, replica_groups=[4,4]<=[16], to_apply=%add
  %again = f32[] while(%x), condition=%rounds, body=%inner, backend_config={"known_trip_count":{"n":"3"}}
}

%unused (p: f32[4]) -> f32[4] {
  ROOT %gone = f32[4]{0} all-to-all(%p), channel_id=11, replica_groups={{0,1}}
}

ENTRY %main (p: f32[2]) -> f32[2] {
  %layers = s32[] while(%p), condition=%rounds, body=%layer
  ROOT %scattered = f32[3]{0} reduce-scatter(%p), channel_id=10, replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
}
"""


def test_loops_multiply_groups_divide_and_halves_of_one_operation_count_once():
    assert sorted(collectives(TEXT)) == [
        Collective("all-gather", 12, 8, 32 * 8 * 2 * 7 // 8),
        Collective("all-reduce", 12, 4, 16 * 4 * 2 * 3 // 4),
        Collective("collective-permute", 36, 1, 5 * 4),
        Collective("reduce-scatter", 1, 4, 3 * 4 * 3),
    ]


def test_the_start_of_an_asynchronous_operation_names_its_operands_before_its_results():
    started = """\
ENTRY %main (p: f32[2]) -> f32[2] {
  %a = ((bf16[4,8], bf16[2]), (bf16[32,8], bf16[16])) all-gather-start(%p, %q), replica_groups=[1,8]<=[8]
  %b = ((f32[32]{0}), f32[4]{0}) reduce-scatter-start(%p), replica_groups=[1,8]<=[8], to_apply=%add
  %c = ((f32[8]{0}), f32[8]{0}) all-reduce-start(%p), replica_groups=[1,8]<=[8], to_apply=%add
  %d = (bf16[4]{0}, bf16[32]{0}, u32[]) all-gather-start(%p), replica_groups=[1,8]<=[8]
}
"""
    assert list(collectives(started)) == [
        Collective("all-gather", 1, 8, (32 * 8 + 16) * 2 * 7 // 8),
        Collective("reduce-scatter", 1, 8, 4 * 4 * 7),
        Collective("all-reduce", 1, 8, 8 * 4 * 2 * 7 // 8),
        Collective("all-gather", 1, 8, 32 * 2 * 7 // 8),
    ]


def test_a_partitioned_program_gathers_its_weights_once_per_layer():
    where = Mesh(np.array(jax.devices()[:4]), ("fsdp",))
    weights = jax.ShapeDtypeStruct((6, 32, 32), jnp.float32, sharding=NamedSharding(where, P(None, None, "fsdp")))
    rows = jax.ShapeDtypeStruct((8, 32), jnp.float32, sharding=NamedSharding(where, P("fsdp")))

    def layer(x, w):
        whole = jax.lax.with_sharding_constraint(w, NamedSharding(where, P()))
        return jax.lax.with_sharding_constraint(jnp.tanh(x @ whole), NamedSharding(where, P("fsdp"))), None

    program = jax.jit(lambda w, x: jax.lax.scan(layer, x, w)[0]).lower(weights, rows).compile()
    gathers = [found for found in collectives(program.as_text()) if found.kind == "all-gather"]
    assert sum(found.count * found.received for found in gathers) == 6 * 32 * 32 * 4 * 3 // 4
