"""The arithmetic of an expected value, step by step, for a person with a pocket calculator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.counterexample.literal import bracketed, number
from lossgrade.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Calculators overflow at exp(230); beyond this the largest is taken away first.
LARGE = 20.0
LOGARITHMS = {"e": "log", "2": "log2", "10": "log10"}


def nothing() -> list[str]:
    return [say("there are no examples, so nothing is computed")]


def in_place(lines: Sequence[Sequence[str]], *, columns: bool = False) -> list[str]:
    """Return the steps of each example; those of several in one line each, with its place."""
    if not lines:
        return nothing()
    if len(lines) == 1:
        return list(lines[0])
    places = (
        say("column {place}: {steps}", place=place, steps="; ".join(steps))
        if columns
        else say("row {place}: {steps}", place=place, steps="; ".join(steps))
        for place, steps in enumerate(lines)
    )
    return list(places)


# --- net inputs ----------------------------------------------------------------------------------


def _shifted(row: Floats, digits: int) -> tuple[list[str], Floats, float]:
    """Take the largest away where exp would be too large for a calculator."""
    largest = float(row.max())
    if abs(row[np.isfinite(row)]).max() <= LARGE:
        return [], row, 0.0
    shown = ", ".join(number(z, digits) for z in row - largest)
    step = say(
        "the largest is {largest}; each less the largest: {differences}",
        largest=number(largest, digits),
        differences=shown,
    )
    return [step], row - largest, largest


def _exponentials(row: Floats, digits: int) -> tuple[list[str], float]:
    powers = np.exp(row)
    terms = [f"exp({number(z)}) = {number(e, digits)}" for z, e in zip(row, powers, strict=True)]
    total = float(powers.sum())
    return [", ".join(terms), say("their sum: {total}", total=number(total, digits))], total


def softmax(row: Floats, digits: int) -> list[str]:
    """Return the steps of one row of net inputs."""
    first, row, _ = _shifted(row, digits)
    steps, total = _exponentials(row, digits)
    shares = [
        f"{number(e, digits)} / {number(total, digits)} = {number(e / total, digits)}"
        for e in np.exp(row)
    ]
    return [*first, *steps, ", ".join(shares)]


def log_softmax(row: Floats, digits: int) -> list[str]:
    """Return the steps of one row of net inputs."""
    first, row, _ = _shifted(row, digits)
    steps, total = _exponentials(row, digits)
    log = math.log(total)
    less = [
        f"{number(z)} - {bracketed(log, digits)} = {number(z - log, digits)}" for z in row.tolist()
    ]
    return [
        *first,
        *steps,
        f"log({number(total, digits)}) = {number(log, digits)}",
        ", ".join(less),
    ]


def sigmoid(values: Floats, digits: int) -> list[str]:
    """Return the steps of each net input."""
    with np.errstate(over="ignore"):
        powers = np.exp(-values.reshape(-1))
    return [
        f"1 / (1 + exp({number(-z)})) = 1 / (1 + {number(e, digits)}) = "
        f"{number(float(oracle.sigmoid(z)), digits)}"
        for z, e in zip(values.reshape(-1), powers, strict=True)
    ] or nothing()


# --- labels --------------------------------------------------------------------------------------


def one_hot(targets: NDArray[Any], *, single: bool = False, flipped: bool = False) -> list[str]:
    """Return where each label puts its 1; `flipped`: each column is an example."""
    if single:
        return [say("label {label} puts a 1 at index {label}", label=int(targets[0]))]
    return [
        say("label {label} puts a 1 into row {label} of column {place}", label=label, place=place)
        if flipped
        else say(
            "label {label} puts a 1 into column {label} of row {place}", label=label, place=place
        )
        for place, label in enumerate(targets.tolist())
    ] or nothing()


def class_label(rows: NDArray[Any], *, single: bool = False, flipped: bool = False) -> list[str]:
    """Return where the largest entry of each row stands."""
    steps = []
    for place, row in enumerate(rows.astype(np.float64)):
        largest, index = number(row.max(), 9), int(row.argmax())
        if single:
            text = say("the largest entry is {largest}, at index {index}",
                       largest=largest, index=index)  # fmt: skip
        elif flipped:
            text = say("the largest of column {place} is {largest}, at index {index}",
                       place=place, largest=largest, index=index)  # fmt: skip
        else:
            text = say("the largest of row {place} is {largest}, at index {index}",
                       place=place, largest=largest, index=index)  # fmt: skip
        if (row == row.max()).sum() > 1:
            text = say("{text}: of equal ones the first counts", text=text)
        steps.append(text)
    return steps or nothing()


def accuracy(predicted: NDArray[Any], targets: NDArray[Any], result: str, digits: int) -> list[str]:
    """Return which predictions are right, and their count, fraction or percentage."""
    steps = class_label(predicted) if predicted.ndim == 2 else []
    labels = oracle.class_label(predicted) if predicted.ndim == 2 else predicted
    for place, (label, target) in enumerate(zip(labels.tolist(), targets.tolist(), strict=True)):
        about = {"place": place, "label": label, "target": target}
        if label == target:
            steps.append(say("example {place}: {label} is the target {target}: right", **about))
        else:
            steps.append(say("example {place}: {label} is not the target {target}", **about))
    n, right = len(targets), int((labels == targets).sum())
    if result == "count":
        return [*steps, say("right: {right}", right=right)]
    if result == "percent":
        share = f"100 * {right} / {n} = {number(100 * right / n, digits)}"
    else:
        share = f"{right} / {n} = {number(right / n, digits)}"
    return [*steps, say("right of all: {share}", share=share)]


# --- losses --------------------------------------------------------------------------------------


def _ln(base: str) -> float:
    return 1.0 if base == "e" else math.log(float(base))


def _weighted_logs(weights: Floats, values: Floats, base: str, digits: int) -> str:
    """Return -(0.5 * log2(0.5) + ...) = 1, without the terms that are 0."""
    kept = [(w, v) for w, v in zip(weights, values, strict=True) if w != 0]
    loss = -sum(w * math.log(v) for w, v in kept) / _ln(base)
    log = LOGARITHMS[base]
    terms = " + ".join(f"{number(w, digits)} * {log}({number(v, digits)})" for w, v in kept)
    return f"-({terms}) = {number(loss, digits)}"


def cross_entropy(
    predicted: Floats, target: int | Floats, kind: str, base: str, loss: float, digits: int
) -> list[str]:
    """Return the steps of one example.

    Args:
        predicted: probabilities, logits or log-probabilities (C,).
        target: a class index, or class probabilities (C,).
        kind: what `predicted` is, as the assignment calls it.
        base: of the logarithm: "e", "2" or "10".
        loss: the expected loss.
        digits: significant ones.
    """
    weights = target if isinstance(target, np.ndarray) else None
    if weights is not None and sorted(weights.tolist())[-2:] in ([0.0, 1.0], [1.0]):
        target, weights = int(weights.argmax()), None
    steps: list[str] = []
    if kind == "logits":
        steps = log_softmax(predicted, digits)
        predicted = oracle.log_softmax(predicted)
    shown = number(loss, digits)
    if weights is None:
        assert not isinstance(target, np.ndarray)
        steps.append(say("the true class is {label}", label=target))
        value = float(predicted[target])
        if kind == "probabilities":
            return [*steps, f"-{LOGARITHMS[base]}({number(value, digits)}) = {shown}"]
        over = "" if base == "e" else f" / log({base})"
        return [*steps, f"-({number(value, digits)}){over} = {shown}"]
    if kind == "probabilities":
        if ((weights == 0) & (predicted == 0)).any():
            steps.append(say("0 * log(0) counts as 0"))
        return [*steps, _weighted_logs(weights, predicted, base, digits)]
    terms = " + ".join(
        f"{number(w, digits)} * ({number(v, digits)})"
        for w, v in zip(weights, predicted, strict=True)
        if w
    )
    over = "" if base == "e" else f" / log({base})"
    return [*steps, f"-({terms}){over} = {shown}"]


def reduction(losses: Floats, how: str, digits: int) -> list[str]:
    """Return how the losses of several examples become one number."""
    if how == "none" or losses.size < 2:
        return []
    total = " + ".join(bracketed(loss, digits) for loss in losses)
    if how == "sum":
        return [say("their sum: {total}", total=f"{total} = {number(losses.sum(), digits)}")]
    mean = f"({total}) / {losses.size} = {number(losses.mean(), digits)}"
    return [say("their mean: {mean}", mean=mean)]


def binary_cross_entropy(p: float, y: float, loss: float, digits: int) -> str:
    """Return the one term that counts, of a target 0 or 1."""
    inside = number(p, digits) if y == 1 else f"1 - {number(p, digits)}"
    arithmetic = f"-log({inside}) = {number(loss, digits)}"
    return say("target {y}: {arithmetic}", y=number(y), arithmetic=arithmetic)


def entropy(p: Floats, base: str, digits: int) -> list[str]:
    """Return the sum of -p log p."""
    certain = [say("0 * log(0) counts as 0")] if (p == 0).any() else []
    return [*certain, _weighted_logs(p, p, base, digits)]


def kl_divergence(p: Floats, q: Floats, digits: int) -> list[str]:
    """Return the sum of p log(p / q)."""
    certain = [say("0 * log(0) counts as 0")] if (p == 0).any() else []
    kept = [(a, b) for a, b in zip(p, q, strict=True) if a != 0]
    terms = [
        f"{number(a, digits)} * log({number(a, digits)} / {number(b, digits)}) = "
        f"{number(a * math.log(a / b), digits)}"
        for a, b in kept
    ]
    total = number(float(oracle.kl_divergence(p, q)), digits)
    return [*certain, ", ".join(terms), say("their sum: {total}", total=total)]


def mean_squared_error(targets: Floats, predictions: Floats, digits: int) -> list[str]:
    """Return each squared difference and their mean."""
    pairs = list(zip(targets.reshape(-1), predictions.reshape(-1), strict=True))
    squares = np.array([(t - p) ** 2 for t, p in pairs])
    terms = [f"({number(t)} - {bracketed(p)})^2 = {number((t - p) ** 2, digits)}" for t, p in pairs]
    if len(squares) == 1:
        return terms
    total = " + ".join(number(square, digits) for square in squares)
    mean = f"({total}) / {len(squares)} = {number(squares.mean(), digits)}"
    return [", ".join(terms), say("their mean: {mean}", mean=mean)]


def hinge_loss(targets: Floats, outputs: Floats, digits: int) -> list[str]:
    """Return max(0, 1 - y * h) of each example, and their sum."""
    pairs = list(zip(targets, outputs, strict=True))
    losses = np.array([max(0.0, 1.0 - y * h) for y, h in pairs])
    terms = [
        f"max(0, 1 - {bracketed(y)} * {bracketed(h)}) = {number(loss, digits)}"
        for (y, h), loss in zip(pairs, losses, strict=True)
    ]
    return [*terms, *reduction(losses, "sum", digits)] or nothing()
