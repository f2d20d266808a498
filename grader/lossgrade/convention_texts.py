"""What a setting of a function's convention means, in words for the student."""

from __future__ import annotations

from typing import Any

from lossgrade.language import later

# (says, change, kind, how): what it is when a function keeps to it; what to do when it is asked
# for; and how a function that was graded under it was called: taking, with or returning it.
Texts = tuple[str, str, str, str]

TEXTS: dict[tuple[Any, ...], Texts] = {
    ("targets", "one-hot"): (
        later("it takes one-hot targets"),
        later("Take one-hot rows as targets: multiply by them and sum over the classes."),
        "taking",
        later("one-hot targets"),
    ),
    ("targets", "class-indices"): (
        later("it takes class indices as targets"),
        later("Take class indices as targets: pick each example's entry by its index."),
        "taking",
        later("class indices"),
    ),
    ("targets", "class-probabilities"): (
        later("it takes class probabilities as targets"),
        later("Take class probabilities as targets: multiply by them and sum over the classes."),
        "taking",
        later("class probabilities as targets"),
    ),
    ("order", "prediction-first"): (
        later("it takes the prediction first"),
        later("Take the prediction first, then the targets."),
        "with",
        later("the prediction first"),
    ),
    ("order", "targets-first"): (
        later("it takes the targets first"),
        later("Take the targets first."),
        "with",
        later("the targets first"),
    ),
    ("order", "classes-first"): (
        later("it takes the number of classes first"),
        later("Take the number of classes first."),
        "with",
        later("the number of classes first"),
    ),
    ("classes", "argument"): (
        later("it takes the number of classes as an argument"),
        later("Take the number of classes as an argument."),
        "taking",
        later("the number of classes as an argument"),
    ),
    ("classes", "from-targets"): (
        later("it finds the number of classes in the targets"),
        later("Take the targets alone: there are as many classes as the largest of them, plus 1."),
        "taking",
        later("the targets alone"),
    ),
    ("reduction", "none"): (
        later("it returns one loss for each example"),
        later("Return one loss for each example: take no mean and no sum over the batch."),
        "returning",
        later("one loss for each example"),
    ),
    ("reduction", "mean"): (
        later("it returns the mean over the batch"),
        later("Return the mean over the batch."),
        "returning",
        later("the mean"),
    ),
    ("reduction", "sum"): (
        later("it returns the sum over the batch"),
        later("Return the sum over the batch."),
        "returning",
        later("the sum"),
    ),
    ("examples", "batch"): (
        later("it takes a batch of examples"),
        later("Take a batch: one example in each row."),
        "taking",
        later("a batch of examples"),
    ),
    ("examples", "single"): (
        later("it takes one example at a time"),
        later("Take one example, without a batch axis."),
        "taking",
        later("one example at a time"),
    ),
    ("axis", 1): (
        later("it takes each row as an example"),
        later("Take each row as an example: the classes lie along axis 1."),
        "with",
        later("examples in rows"),
    ),
    ("axis", 0): (
        later("it takes each column as an example"),
        later("Take each column as an example: the classes lie along axis 0."),
        "with",
        later("examples in columns"),
    ),
    ("one_hot", "axis", 1): (
        later("it returns a row for each target"),
        later("Return one row for each target: a matrix (N, C)."),
        "returning",
        later("a row for each target"),
    ),
    ("one_hot", "axis", 0): (
        later("it returns a column for each target"),
        later("Return one column for each target: a matrix (C, N)."),
        "returning",
        later("a column for each target"),
    ),
    ("result", "vector"): (
        later("it returns a vector"),
        later("Return a vector of shape (N,): do not keep the axis that is summed over."),
        "returning",
        later("a vector"),
    ),
    ("result", "column"): (
        later("it keeps the axis that it reduces: a column (N, 1), or a row where examples do"),
        later("Keep the axis that is reduced, as keepdims does."),
        "returning",
        later("a column (N, 1)"),
    ),
    ("class_label", "result", "vector"): (
        later("it returns a vector"),
        later("Return a vector of shape (N,): do not keep the axis that is searched."),
        "returning",
        later("a vector"),
    ),
    ("result", "fraction"): (
        later("it returns a fraction"),
        later("Return a fraction between 0 and 1."),
        "returning",
        later("a fraction"),
    ),
    ("result", "percent"): (
        later("it returns a percentage"),
        later("Return a percentage between 0 and 100."),
        "returning",
        later("a percentage"),
    ),
    ("result", "count"): (
        later("it returns a count"),
        later("Return how many predictions are right."),
        "returning",
        later("a count"),
    ),
    ("returns", "loss"): (
        later("it returns the loss alone"),
        later("Return the loss alone, and the gradient from a function of its own."),
        "with",
        later("the loss returned alone"),
    ),
    ("returns", "loss-and-gradient"): (
        later("it returns the loss and its gradient together"),
        later("Return the loss and its gradient as a tuple, the loss first."),
        "with",
        later("the gradient returned beside the loss"),
    ),
    ("log_base", "e"): (
        later("it takes the natural logarithm"),
        later("Take the natural logarithm, log."),
        "with",
        later("natural logarithms"),
    ),
    ("log_base", "2"): (
        later("it takes the logarithm to base 2"),
        later("Take the logarithm to base 2, log2."),
        "with",
        later("logarithms to base 2"),
    ),
    ("log_base", "10"): (
        later("it takes the logarithm to base 10"),
        later("Take the logarithm to base 10, log10."),
        "with",
        later("logarithms to base 10"),
    ),
    ("prediction", "probabilities"): (
        later("it takes probabilities"),
        later("Take probabilities: their logarithm is all there is to do with them."),
        "taking",
        later("probabilities"),
    ),
    ("prediction", "logits"): (
        later("it takes net inputs (logits)"),
        later("Take net inputs (logits)."),
        "taking",
        later("logits"),
    ),
    ("prediction", "log-probabilities"): (
        later("it takes log-probabilities"),
        later("Take log-probabilities."),
        "taking",
        later("log-probabilities"),
    ),
    ("prediction", "class-labels"): (
        later("it takes class indices as predictions"),
        later("Take class indices as predictions: compare them with the targets."),
        "taking",
        later("class indices as predictions"),
    ),
}

# What leads from one kind of prediction to another, by what the function takes and should take.
FROM_TO = {
    ("logits", "probabilities"): later(
        "Take probabilities: leave the softmax out, and take the logarithm of what is given."
    ),
    ("log-probabilities", "probabilities"): later(
        "Take probabilities: take their logarithm inside the function."
    ),
    ("probabilities", "logits"): later(
        "Take net inputs (logits): apply softmax to them inside the function."
    ),
    ("log-probabilities", "logits"): later(
        "Take net inputs (logits): apply log-softmax to them inside the function."
    ),
    ("probabilities", "log-probabilities"): later(
        "Take log-probabilities: leave the logarithm out."
    ),
    ("logits", "log-probabilities"): later("Take log-probabilities: leave the log-softmax out."),
    ("class-labels", "logits"): later(
        "Take net inputs (logits): the predicted class is the place of each row's largest entry."
    ),
}


def says_of(rubric: str, field: str, value: Any) -> str:
    """Return what it means that a function keeps to `field = value`."""
    return _texts(rubric, field, value)[0]


def change_of(rubric: str, field: str, found: Any, wanted: Any) -> str:
    """Return what makes of a function with `field = found` one with `field = wanted`."""
    if field == "prediction" and (found, wanted) in FROM_TO:
        return FROM_TO[found, wanted]
    # Where several reductions are accepted, the first is as good as any.
    return _texts(rubric, field, wanted[0] if isinstance(wanted, list) else wanted)[1]


def how_of(rubric: str, field: str, value: Any) -> tuple[str, str]:
    """Return the kind of the clause ("taking", "with" or "returning"), and what stands in it."""
    return _texts(rubric, field, value)[2:]


def _texts(rubric: str, field: str, value: Any) -> Texts:
    return TEXTS.get((rubric, field, value)) or TEXTS[field, value]
