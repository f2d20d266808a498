"""What the functions, methods, layers and losses of PyTorch, NumPy and SciPy do to a meaning.

Tables, not code: another framework is another table. A function is found by its namespace and
short name; a method of a tensor by its short name alone. The word on the right names one of the
effects in `effects.py`.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from lossgrade_checks.meaning import values as v


class Loss(NamedTuple):
    """What a loss expects of its first argument, and the names of all its arguments."""

    name: str
    # A meaning of `values`, or "any".
    expects: str
    # Of the function, and of the constructor of the class.
    parameters: tuple[str, ...]
    constructor: tuple[str, ...]
    function: str
    cls: str


_REDUCED = ("size_average", "reduce", "reduction")
_INDEXED = ("weight", "size_average", "ignore_index", "reduce", "reduction")


def _loss(
    function: str, cls: str, expects: str, *constructor: str, first: str = "input"
) -> tuple[Loss, ...]:
    parameters = (first, "target", *constructor)
    return (Loss(function, expects, parameters, constructor, function, cls),)


_LOSSES: tuple[Loss, ...] = (
    *_loss("cross_entropy", "CrossEntropyLoss", v.LOGITS, *_INDEXED, "label_smoothing"),
    *_loss("nll_loss", "NLLLoss", v.LOG_PROBABILITIES, *_INDEXED),
    *_loss("nll_loss", "NLLLoss2d", v.LOG_PROBABILITIES, *_INDEXED),
    *_loss("binary_cross_entropy", "BCELoss", v.SIGMOID, "weight", *_REDUCED),
    *_loss(
        "binary_cross_entropy_with_logits",
        "BCEWithLogitsLoss",
        "binary logits",
        "weight",
        *_REDUCED,
        "pos_weight",
    ),
    *_loss("kl_div", "KLDivLoss", "log of the approximation", *_REDUCED, "log_target"),
    *_loss("mse_loss", "MSELoss", "any", *_REDUCED),
    *_loss("l1_loss", "L1Loss", "any", *_REDUCED),
    *_loss("smooth_l1_loss", "SmoothL1Loss", "any", *_REDUCED, "beta"),
    *_loss("huber_loss", "HuberLoss", "any", "reduction", "delta"),
    *_loss("multi_margin_loss", "MultiMarginLoss", "any", "p", "margin", "weight", *_REDUCED),
    *_loss(
        "multilabel_soft_margin_loss",
        "MultiLabelSoftMarginLoss",
        "binary logits",
        "weight",
        *_REDUCED,
    ),
    *_loss("multilabel_margin_loss", "MultiLabelMarginLoss", "any", *_REDUCED),
    *_loss("soft_margin_loss", "SoftMarginLoss", "any", *_REDUCED),
)
LOSSES: dict[str, Loss] = {
    **{f"torch.nn.functional.{loss.function}": loss for loss in _LOSSES},
    **{f"torch.nn.{loss.cls}": loss for loss in _LOSSES},
    # The same classes by the module that defines them.
    **{f"torch.nn.modules.loss.{loss.cls}": loss for loss in _LOSSES},
}
SYMMETRIC = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"}

# --- functions and methods ---------------------------------------------------------------------


def _effect(effect: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), effect)


# Of functions and of methods of tensors alike.
TENSOR: dict[str, str] = {
    **_effect("activation", "softmax log_softmax softmin sigmoid sigmoid_ softmax_ logsigmoid"),
    **_effect("activation", "expit log_expit"),
    **_effect("same", "to cuda cpu contiguous clone type_as requires_grad_ pin_memory alias"),
    **_effect("same", "as_tensor asarray ascontiguousarray from_numpy numpy copy Variable dropout"),
    **_effect("same", "resolve_conj squeeze_ unsqueeze_ retain_grad positive"),
    **_effect("dtype", "float double half bfloat16 long int short char byte bool type astype"),
    **_effect("detach", "detach detach_"),
    **_effect("item", "item tolist"),
    **_effect("guard", "clamp clamp_ clip clip_ clamp_min clamp_min_ nan_to_num nan_to_num_"),
    **_effect("maximum_of_two", "maximum"),
    **_effect("reshape", "view reshape"),
    **_effect("flatten", "flatten ravel"),
    **_effect("axes", "permute transpose t swapaxes swapdims movedim moveaxis unflatten expand"),
    **_effect("axes", "expand_as repeat view_as reshape_as atleast_2d tile roll flip"),
    **_effect("squeeze", "squeeze"),
    **_effect("unsqueeze", "unsqueeze expand_dims"),
    **_effect("select", "gather index_select narrow masked_select take take_along_dim select"),
    **_effect("select", "take_along_axis sort diagonal diag"),
    **_effect("sum", "sum nansum"),
    **_effect("mean", "mean nanmean average median"),
    **_effect("max", "max amax nanmax"),
    **_effect("min", "min amin"),
    **_effect("argmax", "argmax argmin"),
    **_effect("topk", "topk"),
    **_effect("round", "round round_ floor ceil trunc rint sign sgn heaviside"),
    **_effect("exp", "exp exp_"),
    **_effect("log", "log log_ log2 log10"),
    **_effect("log1p", "log1p log1p_"),
    **_effect("logsumexp", "logsumexp"),
    **_effect("negate", "neg neg_ negative"),
    **_effect("divide", "div div_ divide true_divide"),
    **_effect("multiply", "mul mul_ multiply"),
    **_effect("add", "add add_"),
    **_effect("subtract", "sub sub_ subtract"),
    **_effect("product", "matmul mm bmm mv dot einsum baddbmm addmm linear conv2d conv1d"),
    **_effect("one_hot", "one_hot"),
    **_effect("scatter", "scatter scatter_"),
    **_effect("plain", "relu leaky_relu gelu elu tanh normalize layer_norm batch_norm cosine_sim"),
    **_effect("plain", "max_pool2d avg_pool2d adaptive_avg_pool2d abs sqrt square pow softplus"),
    **_effect("backward", "backward"),
}
# Of functions alone: they make tensors, or combine several.
CREATION: dict[str, str] = {
    **_effect("literal", "tensor array LongTensor FloatTensor IntTensor Tensor DoubleTensor"),
    **_effect("drawn", "rand randn normal uniform standard_normal random"),
    **_effect("drawn_int", "randint integers randperm"),
    **_effect("arange", "arange"),
    **_effect("filled", "zeros ones full empty"),
    **_effect("like", "zeros_like ones_like rand_like randn_like full_like empty_like"),
    **_effect("eye", "eye identity"),
    **_effect("joined", "cat concat concatenate stack vstack hstack"),
    **_effect("where", "where"),
}
NAMESPACES: dict[str, str] = {
    "torch": "torch",
    "torch.nn.functional": "torch",
    "torch.special": "torch",
    "torch.linalg": "torch",
    "torch.Tensor": "torch",
    "torch.autograd": "torch",
    "numpy": "numpy",
    "numpy.random": "numpy",
    "scipy.special": "numpy",
}
# Meanings of activations by short name, and whether they run over an axis.
ACTIVATIONS: dict[str, tuple[str, bool]] = {
    "softmax": (v.PROBABILITIES, True),
    "softmax_": (v.PROBABILITIES, True),
    "log_softmax": (v.LOG_PROBABILITIES, True),
    "softmin": (v.PROBABILITIES, True),
    "sigmoid": (v.SIGMOID, False),
    "sigmoid_": (v.SIGMOID, False),
    "expit": (v.SIGMOID, False),
    "logsigmoid": (v.LOG_SIGMOID, False),
    "log_expit": (v.LOG_SIGMOID, False),
}

# --- layers ------------------------------------------------------------------------------------
LAYER_ACTIVATIONS: dict[str, str] = {
    "torch.nn.Softmax": "softmax",
    "torch.nn.Softmax2d": "softmax",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.Softmin": "softmin",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.LogSigmoid": "logsigmoid",
}
# The position and name of the argument that says how many outputs a layer has, and their axis.
LAYER_OUTPUTS: dict[str, tuple[int, str, int]] = {
    "torch.nn.Linear": (1, "out_features", -1),
    "torch.nn.LazyLinear": (0, "out_features", -1),
    "torch.nn.Bilinear": (2, "out_features", -1),
    "torch.nn.Conv1d": (1, "out_channels", 1),
    "torch.nn.Conv2d": (1, "out_channels", 1),
    "torch.nn.Conv3d": (1, "out_channels", 1),
    "torch.nn.ConvTranspose1d": (1, "out_channels", 1),
    "torch.nn.ConvTranspose2d": (1, "out_channels", 1),
    "torch.nn.ConvTranspose3d": (1, "out_channels", 1),
}
LAYERS_THAT_KEEP = frozenset(
    f"torch.nn.{name}"
    for name in "Identity Dropout Dropout1d Dropout2d Dropout3d AlphaDropout Unflatten".split()
)
CONTAINERS = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ParameterList"})
# Methods of modules that return the module itself.
RETURNS_SELF = frozenset(
    "to cuda cpu train eval double float half bfloat16 apply requires_grad_ share_memory "
    "xpu type to_empty".split()
)
# Functions that return their first argument, or something that behaves as it does.
WRAPPERS = frozenset(
    {
        "torch.compile",
        "torch.jit.script",
        "torch.jit.trace",
        "torch.nn.DataParallel",
        "torch.nn.parallel.DataParallel",
        "torch.nn.parallel.DistributedDataParallel",
        "copy.deepcopy",
        "copy.copy",
        "tqdm.tqdm",
        "tqdm.auto.tqdm",
        "tqdm.notebook.tqdm",
        "torch.nn.utils.weight_norm",
        "torch.nn.utils.spectral_norm",
        "torch.nn.utils.parametrizations.spectral_norm",
        "torch.nn.utils.parametrizations.weight_norm",
    }
)
NO_GRAD = frozenset({"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad"})
LOADERS = frozenset({"torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader"})
DTYPES: dict[str, str] = {
    **dict.fromkeys(("float", "double", "half", "bfloat16"), "float"),
    **dict.fromkeys(("float16", "float32", "float64", "FloatTensor", "DoubleTensor"), "float"),
    **dict.fromkeys(("long", "int", "short", "char", "byte", "int8", "int16", "int32"), "int"),
    **dict.fromkeys(("int64", "uint8", "LongTensor", "IntTensor", "int_", "intp"), "int"),
    **dict.fromkeys(("bool", "bool_", "BoolTensor"), "bool"),
    **dict.fromkeys(("float_", "HalfTensor", "Tensor"), "float"),
}


@functools.cache
def effect_of(path: str) -> tuple[str, str, str]:
    """Return (effect, short name, library) of the function at `path`, or empty strings."""
    namespace, _, name = path.rpartition(".")
    library = NAMESPACES.get(namespace, "")
    if not library:
        return "", "", ""
    effect = TENSOR.get(name) or CREATION.get(name, "")
    return (effect, name, library) if effect else ("", "", "")


def members(path: str) -> tuple[str, ...]:
    """Return the names that `from path import *` binds and that a table speaks of."""
    if path == "torch.nn.functional":
        names = {p.rpartition(".")[2] for p in LOSSES if p.startswith(path)}
        return (*names, *TENSOR)
    if path == "torch.nn":
        listed = {*LOSSES, *LAYER_ACTIVATIONS, *LAYER_OUTPUTS, *LAYERS_THAT_KEEP, *CONTAINERS}
        names = {p.removeprefix("torch.nn.") for p in listed if p.startswith("torch.nn.")}
        return ("Module", "functional", *(n for n in names if "." not in n))
    if path in {"torch", "numpy"}:
        return (*TENSOR, *CREATION, "nn")
    return ()
