"""LG502: a loss is reduced by the arguments that `reduction` has replaced."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade_checks.finding import Edit
from lossgrade_checks.fixes import Patch, safe
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.meaning.events import Construction, LossCall

USES_F = "import torch.nn.functional as F\n\n\n"
USES_NN = "import torch.nn as nn\n\n"
OLD = ("size_average", "reduce")


class DeprecatedReductionArgs(Rule):
    """Say `reduction=` where a loss is given `size_average` or `reduce`.

    The two have been deprecated since PyTorch 0.4.1 of 2018, and each call with one of them
    warns. They win over `reduction`: `cross_entropy(x, y, size_average=False, reduction="mean")`
    is the sum, for a batch of 64 some 64 times the mean. `size_average=True` is
    `reduction="mean"`, `size_average=False` is "sum", and `reduce=False` is "none", whatever
    `size_average` says.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG502"
    name = "deprecated-reduction-args"
    severity = "warning"
    fix = "safe"
    examples = (
        Example(
            bad=USES_F + "def total(logits, targets):\n"
            "    return F.cross_entropy(logits, targets, size_average=False)\n",
            good=USES_F + "def total(logits, targets):\n"
            '    return F.cross_entropy(logits, targets, reduction="sum")\n',
        ),
        Example(
            bad=USES_F + "def each(logits, targets):\n"
            "    return F.cross_entropy(logits, targets, reduce=False, ignore_index=0)\n",
            good=USES_F + "def each(logits, targets):\n"
            '    return F.cross_entropy(logits, targets, reduction="none", ignore_index=0)\n',
        ),
        Example(
            bad=USES_F + "def total(logits, targets):\n"
            "    return F.cross_entropy(\n"
            '        logits, targets, size_average=False, reduction="mean"\n'
            "    )\n",
            good=USES_F + "def total(logits, targets):\n"
            "    return F.cross_entropy(\n"
            '        logits, targets, reduction="sum"\n'
            "    )\n",
        ),
        Example(
            bad=USES_NN + "criterion = nn.BCELoss(size_average=True)\n",
            good=USES_NN + 'criterion = nn.BCELoss(reduction="mean")\n',
        ),
        Example(
            bad=USES_NN + "criterion = nn.CrossEntropyLoss(None, False)\n",
            good=USES_NN + 'criterion = nn.CrossEntropyLoss(None, reduction="sum")\n',
        ),
        Example(
            bad=USES_NN + "criterion = nn.NLLLoss(None, True, -1, reduce=False)\n",
            good=USES_NN + 'criterion = nn.NLLLoss(None, reduction="none", ignore_index=-1)\n',
        ),
        Example(
            bad="from torch.nn import CosineEmbeddingLoss\n\n"
            "criterion = CosineEmbeddingLoss(0.5, size_average=False)\n",
            good="from torch.nn import CosineEmbeddingLoss\n\n"
            'criterion = CosineEmbeddingLoss(0.5, reduction="sum")\n',
        ),
        # The name may hold another value elsewhere.
        Example(
            bad=USES_NN
            + "AVERAGE = False\ncriterion = nn.CrossEntropyLoss(size_average=AVERAGE)\n",
        ),
        # What decides is not known before the program runs.
        Example(
            bad=USES_F + "def loss(logits, targets, options):\n"
            '    average = options["average"]\n'
            "    return F.cross_entropy(logits, targets, size_average=average)\n",
        ),
    )
    near_misses = (
        USES_NN + 'criterion = nn.CrossEntropyLoss(reduction="sum")\n',
        USES_NN + "criterion = nn.CrossEntropyLoss(size_average=None, reduce=None)\n",
        # Handed through: nothing is said until somebody gives one.
        USES_F + "def loss(logits, targets, size_average=None, reduce=None):\n"
        "    return F.cross_entropy(logits, targets, size_average=size_average, reduce=reduce)\n",
        # Arguments of that name of something else.
        USES_F + "def cross_entropy(logits, targets, size_average=True):\n"
        "    losses = F.cross_entropy(logits, targets, reduction='none')\n"
        "    return losses.mean() if size_average else losses.sum()\n\n\n"
        "def total(logits, targets):\n"
        "    return cross_entropy(logits, targets, size_average=False)\n",
        "import functools\nimport operator\n\n"
        "product = functools.reduce(operator.mul, [1, 2, 3])\n",
        # The arguments of these stand elsewhere: a margin, an exponent.
        USES_NN + "criterion = nn.TripletMarginLoss(1.0, 2)\n"
        "hinge = nn.MultiMarginLoss(1, 0.5)\n"
        "huber = nn.HuberLoss('sum', 0.5)\n",
    )
    needs = (
        frozenset(
            {
                *("size_average", "reduce"),
                # Positional arguments need neither word: the names of the losses.
                *("CrossEntropyLoss", "NLLLoss", "NLLLoss2d", "BCELoss", "BCEWithLogitsLoss"),
                *("KLDivLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "MultiMarginLoss"),
                *("MultiLabelSoftMarginLoss", "MultiLabelMarginLoss", "SoftMarginLoss"),
                *("CosineEmbeddingLoss", "MarginRankingLoss", "HingeEmbeddingLoss"),
                *("PoissonNLLLoss", "TripletMarginLoss"),
                *("cross_entropy", "nll_loss", "binary_cross_entropy", "kl_div", "mse_loss"),
                *("binary_cross_entropy_with_logits", "l1_loss", "smooth_l1_loss"),
                *("multi_margin_loss", "multilabel_soft_margin_loss", "multilabel_margin_loss"),
                *("soft_margin_loss", "cosine_embedding_loss", "margin_ranking_loss"),
                *("hinge_embedding_loss", "poisson_nll_loss", "triplet_margin_loss"),
            }
        ),
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        if call.layer is None:
            signature = SIGNATURES.get(call.loss.function)
            if signature is not None:
                given = {name: call.options.get(name) for name in OLD}
                yield from _report(call, signature, given)

    def construction(self, made: Construction) -> Iterable[Report]:
        signature = SIGNATURES.get(made.layer.path.rpartition(".")[2])
        if signature is not None and signature.home(made.layer.path):
            given = {name: made.layer.argument(signature.names.index(name), name) for name in OLD}
            yield from _report(made, signature, given)


class Signature(NamedTuple):
    """The names of the positional arguments of a loss, in order."""

    names: tuple[str, ...]
    function: bool

    def home(self, path: str) -> bool:
        """Whether `path` lies where PyTorch has its functions or its classes."""
        homes = ("torch.nn.functional",) if self.function else ("torch.nn", "torch.nn.modules.loss")
        return path.rpartition(".")[0] in homes


def _signatures() -> dict[str, Signature]:
    """Return the signatures of PyTorch 2.13; what comes before `reduction` is that of 0.4.1.

    A line has the function and the class, what the function alone takes, and what both take. The
    first bar stands for `size_average`, the second for `reduce` and `reduction`.
    """
    table = """
        cross_entropy CrossEntropyLoss: input target: weight | ignore_index | label_smoothing
        nll_loss NLLLoss: input target: weight | ignore_index |
        nll_loss NLLLoss2d: input target: weight | ignore_index |
        binary_cross_entropy BCELoss: input target: weight | |
        binary_cross_entropy_with_logits BCEWithLogitsLoss: input target: weight | | pos_weight
        kl_div KLDivLoss: input target: | | log_target
        mse_loss MSELoss: input target: | |
        l1_loss L1Loss: input target: | |
        smooth_l1_loss SmoothL1Loss: input target: | | beta
        soft_margin_loss SoftMarginLoss: input target: | |
        multilabel_margin_loss MultiLabelMarginLoss: input target: | |
        multilabel_soft_margin_loss MultiLabelSoftMarginLoss: input target: weight | |
        multi_margin_loss MultiMarginLoss: input target: p margin weight | |
        hinge_embedding_loss HingeEmbeddingLoss: input target: margin | |
        margin_ranking_loss MarginRankingLoss: input1 input2 target: margin | |
        cosine_embedding_loss CosineEmbeddingLoss: input1 input2 target: margin | |
        poisson_nll_loss PoissonNLLLoss: input target: log_input full | eps |
        triplet_margin_loss TripletMarginLoss: anchor positive negative: margin p eps swap | |
    """
    found: dict[str, Signature] = {}
    for line in table.strip().splitlines():
        names, tensors, shared = line.split(":")
        function, cls = names.split()
        first, between, last = [part.split() for part in shared.split("|")]
        both = (*first, "size_average", *between, "reduce", "reduction", *last)
        found[function] = Signature((*tensors.split(), *both), True)
        found[cls] = Signature(both, False)
    return found


SIGNATURES = _signatures()


def _report(
    event: LossCall | Construction, signature: Signature, given: dict[str, Any]
) -> Iterable[Report]:
    said = {name: value for name, value in given.items() if value not in (None, v.NONE)}
    flags = {name: _flag(value) for name, value in said.items()}
    named = {argument.keyword for argument in event.node.arguments}
    # A parameter that is handed through says nothing yet; and what stands in its place, but is
    # not True or False, may be there by another mistake.
    handed_through = any(_handed_through(value) for value in said.values())
    misplaced = any(flag is None and name not in named for name, flag in flags.items())
    if not said or handed_through or misplaced:
        return
    names = " and ".join(f"`{name}`" for name in said)
    verb = "is" if len(said) == 1 else "are"
    # A name may hold another value next time.
    written = [type(node) is p.Constant for node in _written(event, signature)]
    if not all(written) or len(written) < len(said) or None in flags.values():
        message = f"{names} {verb} deprecated: say how to reduce with `reduction=`"
        yield Report(event, message, local=True)
        return
    reduction = "none"
    if flags.get("reduce", True):
        reduction = "mean" if flags.get("size_average", True) else "sum"
    message = f'{names} {verb} deprecated: say `reduction="{reduction}"`'
    mend = partial(_fix, event=event, signature=signature, reduction=reduction)
    yield Report(event, message, fix=mend, local=True)


def _written(event: LossCall | Construction, signature: Signature) -> Iterator[p.Expression]:
    """Return the expressions that the two are given."""
    for position, argument in enumerate(event.node.arguments):
        name = argument.keyword or dict(enumerate(signature.names)).get(position)
        if name in OLD:
            yield argument.value


def _handed_through(value: Any) -> bool:
    return isinstance(value, v.Unknown) and value.source == "parameter"


def _flag(value: Any) -> bool | None:
    known = isinstance(value, v.Constant) and isinstance(value.value, bool | int)
    return bool(value.value) if known else None


def _fix(
    patch: Patch, event: LossCall | Construction, signature: Signature, reduction: str
) -> Fix | None:
    call = patch.call(event.node)
    names = signature.names
    if call is None or any(arg.star for arg in call.args) or len(call.args) > len(names):
        return None
    named = [
        arg.keyword.value if arg.keyword else names[position]
        for position, arg in enumerate(call.args)
    ]
    spans = [patch.span_of_argument(arg) for arg in call.args]
    # `reduction` stands where it stood, or where the first of the two did.
    carrier = next((i for i, name in enumerate(named) if name == "reduction"), -1)
    if carrier < 0:
        carrier = next(i for i, name in enumerate(named) if name in OLD)
    kept = [i for i, name in enumerate(named) if i == carrier or name not in OLD]
    edits = []
    for i, arg in enumerate(call.args):
        start, end = spans[i]
        if i == carrier:
            edits.append(Edit(start, end, f'reduction="{reduction}"'))
        elif i in kept:
            # Positional arguments after those that went are given by name.
            if arg.keyword is None and (i > carrier or kept.index(i) != i):
                edits.append(Edit(start, start, f"{named[i]}="))
        elif i < kept[0]:
            edits.append(Edit(start, spans[i + 1][0], ""))
        else:
            edits.append(Edit(spans[i - 1][1], end, ""))
    return safe(f'Say `reduction="{reduction}"`', *edits)
