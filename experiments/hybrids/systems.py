"""The systems of the articles over one shared network: autoregression and the chain of its diffusion mode, combined.

bash run_tpu.sh experiments.hybrids.systems --model=runs/hybrids/shared [--rows=256]

Whatever has numbers is fitted on validation text alone, and the combinations are written beside the run, from where
experiments.hybrids.score reads them; also the curve of what logit adjustment gives rare tokens and takes from others.
"""

import dataclasses
import json
import sys

import numpy as np

from hybridlm.cli.flags import Parser
from hybridlm.cli.main import answer
from hybridlm.config.combination import (
    FEATURES,
    Calibration,
    Combination,
    average,
    frequency_gate,
    learned_gate,
    product,
    refiner,
    token_adaptive,
)

EXPERTS = {"experts": ("ar", "chain")}
FITTED = "systems.json"
BANDS = "frequency_mass"
RARE = "rarest_quarter"
REFINED_BELOW = (0.2, 0.4, 0.6, 0.8)
SHARPNESS = (0.5, 1.0, 2.0, 4.0)
THRESHOLDS = tuple(np.linspace(-10.0, -3.0, 15).tolist())
TAUS = tuple(np.linspace(-0.3, 0.6, 10).round(2).tolist())

PLAIN: dict[str, Combination] = {
    "average": average(**EXPERTS),
    "product": product(**EXPERTS),
    "token_adaptive": token_adaptive(**EXPERTS),
}
LEARNED: dict[str, Combination] = {
    "learned_gate": learned_gate(**EXPERTS),
    "calibrated_ar": average(1.0, calibration=Calibration(bands=BANDS), **EXPERTS),
    "calibrated_gate": learned_gate(calibration=Calibration(bands=BANDS), **EXPERTS),
}
SEARCHED: dict[str, tuple[Combination, ...]] = {
    "frequency_gate": tuple(frequency_gate(at, how, **EXPERTS) for at in THRESHOLDS for how in SHARPNESS),
    "refiner": tuple(refiner(below, **EXPERTS) for below in REFINED_BELOW),
    "half_refiner": tuple(refiner(below, 0.5, **EXPERTS) for below in REFINED_BELOW),
}
"""Name -> candidates, of which the one of least NLL on validation text is kept."""


def main(argv: list[str]) -> int:
    """Fits, searches, and writes systems.json into the run."""
    parser = Parser("experiments.hybrids.systems", __doc__)
    parser.add_argument("--model", required=True, help="the directory of a run of the family `shared`")
    parser.add_argument("--rows", type=int, default=256, help="validation rows to fit on")
    flags, _ = parser.read(argv)

    from etils import epath

    found = fitted(flags.model, flags.rows)
    path = epath.Path(flags.model) / FITTED
    path.write_text(json.dumps(found, indent=1))
    print(f"systems: {path}")
    return 0


def fitted(model: str, rows: int) -> dict[str, dict]:
    """Every system as a config stores it, and the curve of logit adjustment."""
    from hybridlm.config.storage import to_dict
    from hybridlm.data.prepare import prepare
    from hybridlm.evaluation import combined, combined_fit
    from hybridlm.evaluation.run import batches
    from hybridlm.offline.opened import open_model

    opened = open_model(model, overrides={})
    experiment, task = opened.experiment, opened.task
    readings = experiment.evaluation.readings
    experts = {name: combined.Expert(task, readings[name]) for name in EXPERTS["experts"]}
    config = dataclasses.replace(experiment.evaluation, rows=rows, split="validation")
    text = combined_fit.held_out(
        PLAIN["average"],
        experts,
        dict.fromkeys(experts, opened.params),
        batches(prepare(experiment.data, experiment.data.prepared).rows("validation"), config),
    )

    told = known(text, task)
    systems = PLAIN | {name: combined_fit.fit(one, task, text) for name, one in LEARNED.items()}
    systems |= {name: min(candidates, key=lambda one: cost(one, *told)) for name, candidates in SEARCHED.items()}
    ar = average(1.0, **EXPERTS)
    labels = {family.name: family.labels for family in task.tables.families}[BANDS]
    is_rare_V = combined.bands(task, LEARNED["calibrated_ar"])[0] == labels.index(RARE)
    curve = combined_fit.adjustment_curve(ar, task, text, TAUS, is_rare_V)
    return {
        "combinations": {name: to_dict(one) for name, one in systems.items()},
        "adjustment": {name: np.asarray(column).tolist() for name, column in vars(curve).items()},
    }


def known(text, task) -> tuple[np.ndarray, np.ndarray]:
    """Of every token of the text the NLL of both experts [N, 2], and the features that gates read [N, F]."""
    import functools

    import jax

    from hybridlm.combine.combined import combined
    from hybridlm.evaluation.combined import frequencies
    from hybridlm.scoring.combined import combined_scores

    even = PLAIN["average"]
    of_ids = frequencies(task, even)

    @jax.jit
    def score(text, of_ids):
        combine = functools.partial(combined, even, frequencies=of_ids)
        found = combined_scores(text.hidden, text.heads, text.targets_N, combine)
        return found.expert_nll, found.features

    return tuple(map(np.asarray, score(text, of_ids)))


def cost(combination: Combination, nll_NG: np.ndarray, features_NF: np.ndarray) -> float:
    """Mean NLL of a linear mixture with this gate, which needs no more than what the experts said."""
    from hybridlm.combine import gates
    from hybridlm.combine.context import Context

    context = Context(**dict(zip(FEATURES, features_NF.T, strict=True)))
    share_N = np.asarray(gates.gate(combination.gate)(context, combination))
    with np.errstate(divide="ignore"):
        mixed_N = np.logaddexp(np.log(share_N) - nll_NG[:, 0], np.log1p(-share_N) - nll_NG[:, 1])
    return float(-mixed_N.mean())


if __name__ == "__main__":
    sys.exit(answer(lambda: main(sys.argv[1:])))
