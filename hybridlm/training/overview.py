"""What a run says of itself before it starts: parameters, mesh, tokens, attention, and the work a step is."""

import jax
import jax.numpy as jnp
from absl import logging
from rich.console import Console
from rich.table import Table

from hybridlm import attention
from hybridlm.config.rows import allocate
from hybridlm.facts.loss_inputs import LossInputs
from hybridlm.facts.tokens import check_range
from hybridlm.models import size
from hybridlm.scoring import nll, own_loss
from hybridlm.sharding import distributed, placement
from hybridlm.sharding.rules import constrain
from hybridlm.storage.workdir import METRICS
from hybridlm.training import blind
from hybridlm.training.session import Session
from hybridlm.training.state import TrainState
from hybridlm.training.step import draw
from hybridlm.training.work import peak_flops, step_flops, visible_keys


def show(session: Session, state: TrainState) -> float:
    """Prints the overview on the first process; returns the floating-point operations of a step."""
    inputs = _first_inputs(session)
    check_range(inputs.facts)
    visible_BT = visible_keys(inputs)
    flops = step_flops(session.experiment.model, session.task.vocab_size, inputs, float(visible_BT.mean()))
    if distributed.is_primary():
        console = Console(stderr=True)
        console.print(_parameters(state.params))
        for name, text in _facts(session, state, inputs, flops):
            # a log has no width, and a fact is found by its line
            console.print(f"[bold]{name:<12}[/bold]{text}", highlight=False, soft_wrap=True)
        for warning in blind.warnings(inputs, visible_BT):
            logging.warning("%s", warning)
    return flops


def _first_inputs(session: Session) -> LossInputs:
    """Of the whole batch, on one device of each process: what a process asks of them, no other need answer."""
    batch, everywhere = session.place(session.stream.batch(0)), placement.replicated(session.mesh)
    key = jax.random.key(session.experiment.seed)
    first = jax.jit(lambda batch: draw(session.experiment, session.task, batch, key), out_shardings=everywhere)
    return jax.tree.map(lambda column: column.addressable_data(0), first(batch))


def _facts(session: Session, state: TrainState, inputs: LossInputs, flops: float):
    experiment, mesh = session.experiment, session.mesh
    rows, width = inputs.inputs_BT.shape
    tokens = experiment.training.batch_rows * experiment.data.row_length
    yield "parameters", f"{size.count(state.params):,}"
    sizes = ", ".join(f"{axis} {n}" for axis, n in mesh.shape.items())
    yield "mesh", f"{mesh.size} x {jax.devices()[0].device_kind}: {sizes}"
    rows_of = allocate(experiment.objectives, experiment.training.batch_rows).order
    shares = ", ".join(f"{name} {rows_of.count(n)}" for n, name in enumerate(experiment.objectives))
    pairs = ", each two rows of text or one beside its noisy copy" if width > experiment.data.row_length else ""
    yield "step", f"{tokens:,} tokens of text in {rows} rows of {width} positions{pairs} ({shares})"
    row = jax.tree.map(lambda column: column[:1], inputs.facts)
    found = attention.explain(
        inputs.mask,
        row,
        dtype=experiment.model.dtype,
        head_width=experiment.model.key_width,
        backend=experiment.model.attention_backend,
    )
    yield "mask", f"{inputs.mask!r} says who may attend to whom (docs/masks.md)"
    yield "attention", str(found)
    yield "head", _head(session, inputs)
    peak = peak_flops()
    yield "work", f"{flops:.3g} FLOP a step" + (f", {peak:.3g} FLOP/s at best" if peak else "")
    yield "data", f"{len(session.stream.rows):,} rows; fingerprint {session.metadata['fingerprints']['data'][:12]}"
    read = session.stream.epochs(experiment.training.steps)
    yield "epochs", ", ".join(f"{name} {epochs:.2f}" for name, epochs in read.items()) + " by the last step"
    often = f"every {experiment.training.log_every} steps, the mean since the line before"
    yield "log", f"nats per token of each objective {often}; by kind of token in {METRICS}"


def _head(session: Session, inputs: LossInputs) -> str:
    model, training = session.task.model, session.experiment.training
    ids, (rows, width) = model.padded_vocab(session.task.vocab_size), inputs.inputs_BT.shape
    about = ids, model.width, model.logit_softcap or None, jnp.dtype(model.dtype)
    split = {"chunk": training.head_chunk, "constrain": constrain(session.mesh)}
    if inputs.loss is not None:
        return own_loss.explain(inputs.loss, *about, (rows // training.accumulate, width), **split)
    split |= {"groups": placement.shards(session.mesh), "dense": inputs.dense}
    return nll.explain(*about, rows * width // training.accumulate, **split)


def _parameters(params) -> Table:
    table = Table(box=None, header_style="bold")
    for heading, side in (("parameter", "left"), ("shape", "left"), ("size", "right")):
        table.add_column(heading, justify=side)
    for row in size.table(params):
        table.add_row(row.path, " x ".join(map(str, row.shape)), f"{row.size:,}")
    return table
