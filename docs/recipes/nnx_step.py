"""Accuracy, entropy and NLL by kind of token inside somebody's own Flax NNX step: only hidden states and a kernel."""

import optax
from flax import nnx

from hybridlm.facts.head import Head
from hybridlm.scoring.sums import cluster_sums
from hybridlm.scoring.token_scores import metrics, token_scores


@nnx.jit(static_argnames=("categories", "clusters"))
def step(model, optimizer, ids_BT, labels_MBT, document_BT, *, categories, clusters):
    """One update of a model of hidden states with a tied head; its loss, and `metrics` by document and label.

    The labels of ids_BT[:, 1:] are `flat_labels(tables, ids_BT[:, 1:], {})` of hybridlm.categories.tables.
    """

    def loss_of(model):
        h_BTD = model(ids_BT[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(model.embed.attend(h_BTD), targets_BT).mean(), h_BTD

    targets_BT, shape = ids_BT[:, 1:], {"clusters": clusters, "categories": categories}
    (loss, h_BTD), grads = nnx.value_and_grad(loss_of, has_aux=True)(model)
    values_KBT = metrics(token_scores(h_BTD, Head(model.embed.embedding[...]), targets_BT))
    optimizer.update(model, grads)
    return loss, cluster_sums(labels_MBT, document_BT, values_KBT, targets_BT > 0, **shape)
