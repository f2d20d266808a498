"""Misconceptions that show in how a function behaves, whatever it computes: without a formula."""

from __future__ import annotations

from lossgrade.diagnosis.bank import misconception

KEEP = "STAT 453, lecture 8.7.2: tensors in, tensors out"
GRADIENT = "STAT 453, lecture 8.7.2: autograd needs every step from the net inputs to the loss"
SHAPE = "STAT 453, lecture 8.7.2: cross_entropy returns one loss for each example, shape (N,)"
FLOATS = "STAT 453, lecture 8.7.2: to_onehot returns a float matrix"
LABELS = "STAT 453, lecture 8.7.2: class labels are integers, shape (N,)"
EXAMPLE = "STAT 453, lecture 8.7.2: the example of four flowers and three classes"


@misconception(source=KEEP)
def mutates_its_input() -> None:
    """Your function changes the array that it is given, and so the caller's data.

    Fix: work on a copy: no `x -= ...`, `x[...] = ...`, `x.exp_()` on an argument.
    """


@misconception(source=GRADIENT, rule="LG503")
def breaks_autograd() -> None:
    """The values are right, but the result is cut off from its input: no gradient flows back, and
    nothing could be trained with it.

    Fix: stay in torch from input to result: no .detach(), .item(), .numpy(), torch.tensor(...) of
    results, no torch.no_grad().
    """


@misconception(source=KEEP)
def returns_list() -> None:
    """You return a list of the right values.

    Fix: return an array of the library you were given: torch.stack(...), np.array(...).
    """


@misconception(source=KEEP)
def returns_tuple() -> None:
    """You return a tuple of the right values.

    Fix: return one array of the library you were given.
    """


@misconception(source=KEEP)
def returns_float() -> None:
    """You return a plain Python number, which has left the library and its gradient.

    Fix: return the array or tensor itself: no `.item()`, no `float(...)`.
    """


@misconception(source=KEEP)
def returns_numpy() -> None:
    """You were given a torch tensor and return a NumPy array.

    Fix: use torch's own functions throughout.
    """


@misconception(source=KEEP)
def returns_torch() -> None:
    """You were given a NumPy array and return a torch tensor.

    Fix: use NumPy's own functions throughout.
    """


@misconception(source=SHAPE)
def keeps_column_shape() -> None:
    """The values are right but stand in a column, shape (N, 1): subtracting targets of shape (N,)
    from that would give a matrix (N, N).

    Fix: sum without keepdim, or squeeze the last axis.
    """


@misconception(source=LABELS)
def labels_in_column() -> None:
    """The labels are right but stand in a column, shape (N, 1): comparing them with labels of shape
    (N,) would give a matrix (N, N).

    Fix: take argmax without keepdim.
    """


@misconception(source=FLOATS, rule="LG201")
def int_one_hot() -> None:
    """The matrix is right but made of integers, which no loss multiplies with probabilities gladly.

    Fix: return floats: `.float()`, `.astype(float)`, or start from float zeros.
    """


@misconception(source=FLOATS)
def bool_one_hot() -> None:
    """The matrix holds True and False.

    Fix: return floats: `.float()`, `.astype(float)`.
    """


@misconception(source=LABELS, rule="LG202")
def float_labels() -> None:
    """The labels are right but floats, which cannot index a matrix.

    Fix: return integers: `.long()`, `.astype(int)`; argmax gives them.
    """


@misconception()
def state_between_calls() -> None:
    """The same input gives another result when it is passed again: something is kept between calls.

    Fix: keep nothing in globals, in default arguments such as `x=[]`, or in attributes.
    """


@misconception()
def random() -> None:
    """The same input gives another result each time: something random goes into it.

    Fix: draw no random numbers; the result must follow from the arguments alone.
    """


@misconception(source=EXAMPLE)
def only_for_n_4() -> None:
    """It is right for four examples alone, as many as the lecture's example has.

    Fix: take the number of examples from the argument's shape.
    """


@misconception(source=EXAMPLE)
def only_for_c_3() -> None:
    """It is right for three classes alone, as many as the lecture's example has.

    Fix: take the number of classes from the argument.
    """


@misconception(source=EXAMPLE)
def hard_coded_lecture_softmax() -> None:
    """You return the lecture's own probabilities, whatever the input.

    Fix: compute the result from the argument.
    """


@misconception(source=EXAMPLE)
def hard_coded_lecture_losses() -> None:
    """You return the lecture's own losses, whatever the input.

    Fix: compute the result from the arguments.
    """


@misconception(source=EXAMPLE)
def hard_coded_lecture_one_hot() -> None:
    """You return the lecture's own matrix, whatever the labels.

    Fix: compute the result from the arguments.
    """


@misconception(source=EXAMPLE)
def hard_coded_lecture_labels() -> None:
    """You return the lecture's own labels, whatever the input.

    Fix: compute the result from the argument.
    """
