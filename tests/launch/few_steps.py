"""Three steps of the tiny config, token by token, or a reading of held-out rows; prints what all hosts must agree on.

    bash run_tpu.sh local 2 tests.launch.few_steps take DIRECTORY [NAME=VALUE ...]
    bash run_tpu.sh local 2 tests.launch.few_steps read DIRECTORY [NAME=VALUE ...]

DIRECTORY holds `text` and `rows` of the tiny config; values are of the config, by dotted name.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys

import jax
from etils import epath

from hybridlm.config.evaluation import EvaluationConfig, standard_readings
from hybridlm.config.objective import autoregressive
from hybridlm.evaluation.run import batches, evaluate
from hybridlm.sharding import distributed, placement
from hybridlm.training.session import Session, first_state, open_session
from tests.end_to_end import tiny

STEPS = 3


def opened(directory: pathlib.Path, changes: dict[str, str]) -> Session:
    """A run on the mesh of all hosts, without its files."""
    distributed.start()
    changes = {"model.layers": 1, "training.batch_rows": 8} | changes
    run = tiny.experiment(directory / "text", directory / "rows", **changes)
    run = dataclasses.replace(
        run,
        objectives={"ar": autoregressive()},
        evaluation=EvaluationConfig(batch_rows=8, rows=24, readings={"ar": standard_readings()["ar"]}),
    )
    return open_session(run, epath.Path(directory / "run"))


def take(session: Session) -> dict:
    """The numbers of the rows that this host reads, and the loss of every step."""
    state, losses = first_state(session), []
    tables = placement.everywhere(session.task.tables, session.mesh)
    for step in range(STEPS):
        state = session.take_step(state, session.place(session.stream.batch(step)), tables)
        losses.append(float(state.loss))
    return {"rows": [session.stream.indices(step) for step in range(STEPS)], "losses": losses}


def read(session: Session) -> dict:
    """Counts by group of text, and a hash of every sum of a reading."""
    config, params = session.experiment.evaluation, first_state(session).params
    rows = batches(session.held_out, config)
    (total, *_) = evaluate(session.reader, config, session.score, params, rows, place=session.spread).totals
    sums = total.nats_NC.tobytes() + total.details_KNC.tobytes() + total.gate_NC.tobytes()
    return {"counts": total.tokens_NC[:, 0].tolist(), "sums": hashlib.sha256(sums).hexdigest()}


if __name__ == "__main__":
    what, directory, *changes = sys.argv[1:]
    session = opened(pathlib.Path(directory), dict(change.split("=") for change in changes))
    print(json.dumps({"hosts": jax.process_count()} | {"take": take, "read": read}[what](session)))
