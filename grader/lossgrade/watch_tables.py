"""What the functions and methods of PyTorch do to the meaning of a tensor while a program runs.

The linter's tables (`lossgrade_checks.meaning.tables`), as far as a tensor that is there can tell:
a function that stands in neither list loses the meaning. Names alone, so that nothing is imported.
"""

from __future__ import annotations

LOGITS = "logits"
PROBABILITIES = "probabilities"
LOG_PROBABILITIES = "log-probabilities"
SIGMOID = "sigmoid"
LOG_SIGMOID = "log-sigmoid"
# On the way to a softmax by hand: exponentials, divided by their own sum.
EXPONENTIAL = "exponentials"
SUM = "sum of exponentials"

# A number up to this that is added to probabilities is there to guard a logarithm.
SMALL = 1e-2

# What is reported: code, name and severity of the linter's rules.
RULES = {
    "LG101": ("softmax-into-cross-entropy", "error"),
    "LG102": ("log-softmax-into-cross-entropy", "warning"),
    "LG103": ("sigmoid-into-cross-entropy", "error"),
    "LG104": ("softmax-into-nll", "error"),
    "LG105": ("logits-into-nll", "error"),
    "LG106": ("sigmoid-into-bce-with-logits", "error"),
    "LG107": ("logits-into-bce", "error"),
    "LG108": ("probs-into-kl-div", "error"),
    "LG110": ("swapped-arguments", "error"),
    "LG112": ("double-activation", "error"),
}

# Where the names below are looked up.
NAMESPACES = ("torch", "torch.Tensor", "torch.nn.functional", "torch.special")

LOSSES = (
    "cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits "
    "multilabel_soft_margin_loss kl_div"
).split()

# The meaning of what they give.
ACTIVATIONS = {
    "softmax": PROBABILITIES,
    "softmin": PROBABILITIES,
    "log_softmax": LOG_PROBABILITIES,
    "sigmoid": SIGMOID,
    "sigmoid_": SIGMOID,
    "expit": SIGMOID,
    "logsigmoid": LOG_SIGMOID,
}
# Those that are reported where their operand already is what they give.
AGAIN = {
    PROBABILITIES: frozenset({"softmax", "softmin", "log_softmax"}),
    SIGMOID: frozenset({"sigmoid", "sigmoid_", "expit", "logsigmoid"}),
}
# Of these layers the outputs are logits, unless something is done to them; of `F.linear` on
# weights of one's own nothing is known.
LAYERS = (
    "linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
).split()
LAYER_FILES = ("activation.py", "conv.py", "linear.py")
# What a logarithm and an exponential make of a meaning.
LOGARITHMS = {PROBABILITIES: LOG_PROBABILITIES, SIGMOID: LOG_SIGMOID}
EXPONENTIALS = {LOG_PROBABILITIES: PROBABILITIES, LOG_SIGMOID: SIGMOID}


def _effects(effect: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), effect)


EFFECTS: dict[str, str] = {
    **dict.fromkeys(LOSSES, "loss"),
    **dict.fromkeys(ACTIVATIONS, "activation"),
    **dict.fromkeys(LAYERS, "layer"),
    # The axes stay.
    **_effects("same", "to cuda cpu contiguous clone type type_as requires_grad_ pin_memory"),
    **_effects("same", "as_tensor asarray resolve_conj resolve_neg positive as_subclass"),
    **_effects("same", "float double half bfloat16 detach detach_ __deepcopy__ xpu"),
    **_effects("same", "dropout dropout_ data.__get__ real.__get__ roll flip"),
    **_effects("guard", "clamp clamp_ clip clip_ clamp_min clamp_min_ clamp_max clamp_max_"),
    **_effects("guard", "nan_to_num nan_to_num_"),
    # The axes move.
    **_effects("shape", "view reshape flatten ravel unflatten expand expand_as repeat tile"),
    **_effects("shape", "view_as reshape_as atleast_2d"),
    **_effects("permute", "permute"),
    **_effects("transpose", "transpose swapaxes swapdims transpose_ swapaxes_ swapdims_"),
    **_effects("reverse", "t T.__get__ t_"),
    **_effects("swap_last", "mT.__get__"),
    **_effects("move", "movedim moveaxis"),
    **_effects("squeeze", "squeeze squeeze_"),
    **_effects("unsqueeze", "unsqueeze unsqueeze_"),
    # Parts.
    **_effects("index", "__getitem__"),
    **_effects("select", "select"),
    **_effects("narrow", "index_select narrow sort"),
    **_effects("pieces", "chunk split tensor_split unsafe_chunk unsafe_split split_with_sizes"),
    **_effects("unbind", "unbind"),
    **_effects("pick", "gather masked_select take take_along_dim diagonal diag"),
    # Several tensors.
    **_effects("cat", "cat concat concatenate"),
    **_effects("stack", "stack"),
    **_effects("attach", "vstack hstack"),
    # Arithmetic.
    **_effects("exp", "exp exp_"),
    **_effects("sum", "sum"),
    **_effects("log", "log log_"),
    **_effects("add", "add add_"),
    **_effects("scale", "mul mul_ multiply multiply_"),
    **_effects("divide", "div div_ divide divide_ true_divide true_divide_"),
    **_effects("negate", "neg neg_ negative negative_"),
}
