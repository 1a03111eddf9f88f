"""Path rules: which dimension of which parameter lies along which mesh axis, as a picture and as laws."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec as P

from hybridlm.config.errors import ConfigError
from hybridlm.config.mesh import MeshConfig
from hybridlm.config.model import ModelConfig
from hybridlm.models import decoder
from hybridlm.sharding import mesh, rules

EVERY_SWITCH = ModelConfig(
    width=32,
    kv_heads=2,
    ffn=64,
    norm="layer",
    embedding_norm=True,
    attention_bias="all",
    ffn_bias=True,
    positions="learned",
    max_positions=20,
    qk_norm="full",
    tied_head=False,
    head_bias=True,
    time_conditioning=True,
    final_dense="gelu",
)

PICTURE = """
embedding/norm/bias              replicated
embedding/norm/scale             replicated
embedding/positions              - fsdp+sequence
embedding/tokens                 tensor+fsdp+sequence -
final_dense/dense                fsdp+sequence -
final_dense/dense_bias           replicated
final_norm/bias                  replicated
final_norm/scale                 replicated
final_norm/time                  - - fsdp+sequence
head/bias                        tensor
head/kernel                      tensor+fsdp+sequence -
layers/attention/key_norm        replicated
layers/attention/out             - tensor - fsdp+sequence
layers/attention/out_bias        replicated
layers/attention/qkv             - fsdp+sequence tensor - -
layers/attention/qkv_bias        - tensor - -
layers/attention/query_norm      replicated
layers/attention_norm/bias       replicated
layers/attention_norm/scale      replicated
layers/attention_norm/time       - - - fsdp+sequence
layers/ffn/down                  - tensor+fsdp+sequence -
layers/ffn/down_bias             replicated
layers/ffn/up                    - fsdp+sequence - tensor
layers/ffn/up_bias               - - tensor
layers/ffn_norm/bias             replicated
layers/ffn_norm/scale            replicated
layers/ffn_norm/time             - - - fsdp+sequence
time/first                       replicated
time/first_bias                  replicated
time/second                      replicated
time/second_bias                 replicated
"""


def shapes(vocab_size=64):
    return decoder.shapes(EVERY_SWITCH, vocab_size)


def of(data, fsdp, tensor):
    return mesh.make(MeshConfig(data=data, fsdp=fsdp, tensor=tensor))


def test_every_parameter_as_a_picture():
    shown = rules.readable(rules.shardings(shapes(), of(2, 2, 2)))
    assert [line.split() for line in shown.splitlines()] == [line.split() for line in PICTURE.strip().splitlines()]


def test_a_table_is_cut_along_its_rows_into_whole_tiles_and_else_along_its_width():
    """Over eight ways, parts of 16 rows, of 12, and of none that divide."""
    tree = {"layers/ffn/down": jnp.zeros((1, 128, 32)), "embedding/tokens": jnp.zeros((96, 32))}
    found = rules.shardings(tree | {"head/kernel": jnp.zeros((100, 32))}, of(1, 4, 2))
    assert rules.readable(found).splitlines() == [
        "embedding/tokens  tensor fsdp+sequence",
        "head/kernel       tensor fsdp+sequence",
        "layers/ffn/down   - tensor+fsdp+sequence -",
    ]


def test_adam_moments_lie_where_their_parameters_do():
    state = jax.eval_shape(optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3)).init, shapes())
    found = rules.specs({"params": shapes(), "opt_state": state})
    moments = found["opt_state"][1][0]
    assert moments.mu == moments.nu == found["params"]
    assert moments.count == P()


def test_factored_statistics_replicate():
    state = jax.eval_shape(optax.adafactor(1e-3, min_dim_size_to_factor=16).init, shapes())
    placed = rules.shardings(state, of(2, 2, 2))
    assert placed[0].v_row["embedding"]["tokens"].spec == P()
    assert placed[0].v["layers"]["attention"]["qkv_bias"].spec == P(None, "tensor", None, None)


def test_the_first_rule_that_matches_decides():
    tree = {"a": {"kernel": jnp.zeros((4, 4))}, "b": {"kernel": jnp.zeros((4, 4))}}
    ordered = [("a/kernel", P("fsdp")), ("kernel", P(None, "tensor"))]
    assert rules.readable(rules.specs(tree, ordered)) == "a/kernel  fsdp\nb/kernel  - tensor"


def test_a_rule_matches_whole_components_of_a_path():
    with pytest.raises(ConfigError, match="no sharding rule matches the parameter 'mykernel'"):
        rules.specs({"mykernel": jnp.zeros((4,))}, [("kernel", P())])


def test_a_parameter_without_a_rule_is_an_error_that_names_it():
    with pytest.raises(ConfigError) as error:
        rules.specs(shapes() | {"adapter": {"down": jnp.zeros((8, 2))}})
    assert str(error.value) == (
        "no sharding rule matches the parameter 'adapter/down' of shape (8, 2); add (pattern, PartitionSpec) for it to "
        "the rules, with P() where every device should hold all of it."
    )


def test_a_dimension_that_does_not_divide_is_named_with_valid_sizes():
    with pytest.raises(ConfigError) as error:
        rules.shardings(shapes(vocab_size=61), of(2, 2, 2))
    assert str(error.value) == (
        "dimension 0 of 'embedding/tokens', shape (61, 32), does not divide over mesh axis 'tensor' of size 2; valid "
        "sizes up to 8 are [1] (a vocabulary can be padded with model.vocab_multiple)."
    )
