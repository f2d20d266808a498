"""What is told of a model and a loss that do not fit: the linter's names for the same mistakes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossgrade.language import say
from lossgrade.rubric import meanings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lossgrade.rubric.meanings import Floats, Pair, Recognised
    from lossgrade.trial import Trial


def right_loss(outputs: Floats, targets: NDArray[np.int64], given: str) -> float:
    """Return the mean cross entropy of outputs of that meaning."""
    return float(meanings.right_losses(outputs, targets, given).mean())


def named(given: str) -> str:
    """Return the name of a meaning, for a message."""
    return {
        "logits": say("logits"),
        "probabilities": say("probabilities"),
        "log-probabilities": say("log-probabilities"),
        "sigmoids": say("sigmoids, each class by itself"),
        "column-probabilities": say("probabilities that sum to 1 over the batch"),
        "ones": say("all exactly 1"),
    }[given]


def misconception(trial: Trial, given: str, found: list[Recognised], pairs: list[Pair]) -> str:
    """Say what went wrong between the model and its loss, with the linter's name for it."""
    if trial.spec.task == "binary":
        return _binary_misconception(given, found, pairs)
    loss = found[0].formula.name if found else ""
    c = trial.spec.classes
    floor = f"{math.log(math.e + c - 1) - 1:.3f}"
    if given == "column-probabilities":
        return say(
            "The softmax is taken over the batch (softmax-wrong-dim): use dim=1, and leave it out "
            "before CrossEntropyLoss."
        )
    if loss == "cross_entropy of softmax" or (loss == "cross_entropy" and given == "probabilities"):
        if given == "probabilities":
            return say(
                "Your model ends in a softmax, and CrossEntropyLoss applies another "
                "(softmax-into-cross-entropy): of {classes} classes the loss cannot fall below "
                "{floor}. Return the outputs of the last linear layer.",
                classes=c,
                floor=floor,
            )
        return say(
            "A softmax is applied before cross entropy, which applies another "
            "(softmax-into-cross-entropy): of {classes} classes the loss cannot fall below "
            "{floor}. Give the loss the outputs of the model.",
            classes=c,
            floor=floor,
        )
    if loss == "cross_entropy" and given == "sigmoids":
        return say(
            "Your model ends in a sigmoid, and CrossEntropyLoss applies softmax to it "
            "(sigmoid-into-cross-entropy): of {classes} classes the loss cannot fall below "
            "{floor}. Return the outputs of the last linear layer.",
            classes=c,
            floor=floor,
        )
    if loss == "nll_loss of softmax" or (loss == "nll_loss" and given == "probabilities"):
        return say(
            "NLLLoss expects log-probabilities and was given probabilities (softmax-into-nll): the "
            "loss is minus the probability, between -1 and 0. Use log_softmax, or CrossEntropyLoss "
            "on logits."
        )
    if loss == "nll_loss":
        return say(
            "NLLLoss expects log-probabilities and was given logits (logits-into-nll): the loss "
            "falls without an end. Use CrossEntropyLoss, or log_softmax before NLLLoss."
        )
    if loss.startswith("mse_loss"):
        return say(
            "The squared error is no cross entropy (softmax-then-mse): its gradient vanishes where "
            "the model is surely wrong. Use CrossEntropyLoss on logits."
        )
    if loss.startswith("binary_cross_entropy"):
        return say(
            "The binary loss takes each class by itself: use CrossEntropyLoss on logits, since the "
            "classes exclude each other."
        )
    if loss == "-log":
        return say("The loss is right for probabilities: return logits and use CrossEntropyLoss.")
    return _follows(pairs)


def _binary_misconception(given: str, found: list[Recognised], pairs: list[Pair]) -> str:
    loss = found[0].formula.name if found else ""
    if given == "ones":
        return say(
            "A softmax over one output is always 1 (single-output-softmax): use a sigmoid, or "
            "BCEWithLogitsLoss without either."
        )
    if loss == "binary_cross_entropy_with_logits of sigmoid" or (
        loss == "binary_cross_entropy_with_logits" and given == "probabilities"
    ):
        return say(
            "A sigmoid is applied, and BCEWithLogitsLoss applies another "
            "(sigmoid-into-bce-with-logits): a sure and right yes still costs {yes}, a no {no}. "
            "Use BCELoss after the sigmoid, or leave the sigmoid out.",
            yes=f"{math.log1p(math.exp(-1)):.3f}",
            no=f"{math.log(2):.3f}",
        )
    if loss.startswith("mse_loss"):
        return say(
            "The squared error is no cross entropy (softmax-then-mse): its gradient vanishes where "
            "the model is surely wrong. Use BCELoss after the sigmoid."
        )
    if given == "logits" and any(not math.isfinite(value) for _, _, value in pairs):
        return say(
            "The logarithm of numbers that are no probabilities is taken (logits-into-bce): end "
            "the model in a sigmoid, or use BCEWithLogitsLoss."
        )
    return _follows(pairs)


def _follows(pairs: list[Pair]) -> str:
    """Say whether the loss depends on anything at all."""
    if len({round(loss, 6) for _, _, loss in pairs}) == 1:
        return say("The loss is the same number for every batch: compute it from the outputs.")
    return say("Compute the loss from the outputs of the model and the targets, and nothing else.")


def other_reduction(given: str, found: list[Recognised]) -> str:
    """Say how the loss differs from the mean, where its formula is right."""
    matching = [each.reduction for each in found if given in each.formula.takes]
    return {
        "sum": say("This is the sum over the batch: take the mean, so that a larger batch needs "
                   "no other learning rate."),
        "mean over classes": say("This is divided by the number of classes too."),
        "minus": say("The minus is missing."),
        "log2": say("This is the loss with log2: use the natural logarithm."),
        "log10": say("This is the loss with log10: use the natural logarithm."),
    }.get(matching[0] if matching else "", "")  # fmt: skip
