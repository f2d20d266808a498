"""The words by which a program can do what the rules look for; see `Rule.needs`.

A meaning can come about in more ways than by the function that is named after it: the exponential
of log-probabilities are probabilities, and so are exponentials divided by their sum.
"""

from __future__ import annotations

from lossgrade_checks.meaning import tables

# --- losses ------------------------------------------------------------------------------------
CROSS_ENTROPY = frozenset({"cross_entropy", "CrossEntropyLoss"})
NLL = frozenset({"nll_loss", "NLLLoss", "NLLLoss2d"})
BCE = frozenset({"binary_cross_entropy", "BCELoss"})
# Those that apply the sigmoid themselves.
BINARY_LOGITS = frozenset(
    {
        "binary_cross_entropy_with_logits",
        "BCEWithLogitsLoss",
        "multilabel_soft_margin_loss",
        "MultiLabelSoftMarginLoss",
    }
)
KL_DIV = frozenset({"kl_div", "KLDivLoss"})
LOSSES = frozenset(path.rpartition(".")[2] for path in tables.LOSSES)

# --- what makes a meaning ------------------------------------------------------------------------
EXP = frozenset({"exp", "exp_"})
LOG = frozenset({"log", "log_"})
PROBABILITIES = EXP | {
    "softmax",
    "softmax_",
    "Softmax",
    "Softmax2d",
    "softmin",
    "Softmin",
    "log_softmax",
    "LogSoftmax",
}
# By its name alone.
SOFTMAX = PROBABILITIES - EXP - {"Softmax2d"}
LOG_PROBABILITIES = LOG | {"log_softmax", "LogSoftmax", "logsumexp"}
SIGMOID = EXP | {"sigmoid", "sigmoid_", "Sigmoid", "expit", "log_expit", "logsigmoid", "LogSigmoid"}
# The layers whose outputs are logits.
OUTPUT_LAYERS = frozenset(path.rpartition(".")[2] for path in tables.LAYER_OUTPUTS)
SCORES = PROBABILITIES | LOG_PROBABILITIES | SIGMOID | OUTPUT_LAYERS
# By which a loss is known to be trained on.
TRAINS = frozenset({"backward", "manual_backward", "grad", "training_step", "compute_loss"})
