"""Models and their losses: found as students write them, judged by values, forged by nobody."""

from __future__ import annotations

import json
import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.assignment import AssignmentError, load_assignment, parse_assignment
from lossgrade.manifest import manifest
from lossgrade.rubric import meanings
from lossgrade.rubric.runs import Clusters, reference_loss
from support import FIXTURES, lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lossgrade.result import CriterionRecord, Result
    from support import Engine

MODEL = {"output_shape", "any_batch_size", "examples_independent"}
LOSS = {"output_means_what_the_loss_expects", "loss_is_the_mean_cross_entropy", "targets_count"}
GRADIENT = {"gradient_is_that_of_the_loss", "gradient_reaches_every_parameter"}
TRAINED = {"loss_falls", "reaches_the_reference"}
ALL = MODEL | LOSS | GRADIENT | TRAINED

HEAD = """
import torch
import torch.nn as nn
import torch.nn.functional as F
"""
NET = """
class Net(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.fc1 = nn.Linear(features, 16)
        self.fc2 = nn.Linear(16, classes)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))
"""
CRITERION = """
criterion = nn.CrossEntropyLoss()
"""


@pytest.fixture
def hand_in(tmp_path: Path, engine: Engine) -> Callable[..., Result]:
    """Grade a text under multi-class-net, or under another assignment; short of time if asked."""

    def grade(*texts: str, assignment: Any = "multi-class-net", **more: Any) -> Result:
        path = tmp_path / "hw.py"
        path.write_text(HEAD + "".join(map(textwrap.dedent, texts)), encoding="utf-8")
        return engine(path, assignment, **more)

    return grade


def failed(result: Result) -> set[str]:
    return {each.partition(".")[2] for each in lost(result)}


def record(result: Result, name: str) -> CriterionRecord:
    return next(c for c in result.criteria if c.id == f"network.{name}")


def fixture(path: str, engine: Engine, name: str, assignment: str = "") -> CriterionRecord:
    """Grade one criterion of an example submission."""
    asked = assignment or ("binary-net" if "binary-net" in path else "multi-class-net")
    return record(engine(FIXTURES / "submissions" / path, asked, only=name), name)


# --- the assignments -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["multi-class-net", "binary-net"])
def test_an_assignment_of_a_network_has_100_points(name: str) -> None:
    lines = manifest(load_assignment(name)[0])
    assert {line.criterion.name for line in lines} == ALL
    assert sum(line.max_score for line in lines) == 100


OWN = """
name = "own"
[functions.net]
rubric = "training"
names = ["Net"]
points = 20
{more}
"""


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param("step_names = []\nloss_names = []", "are empty: without a loss", id="no loss"),
        pytest.param(
            'task = "binary"\noutputs = ["log-probabilities"]',
            'a binary model has one output: "logits" or "probabilities"',
            id="log-probabilities of one output",
        ),
        pytest.param('task = "regression"\nloss_names = ["loss"]', "expected ", id="another task"),
        pytest.param('loss_names = ["loss"]\nclasses = 1', "expected 2 or more", id="one class"),
        pytest.param('loss_names = ["loss"]\nlibrary = "numpy"', "expected 'torch'", id="numpy"),
    ],
)
def test_a_mistake_in_the_settings_is_named(more: str, says: str) -> None:
    with pytest.raises(AssignmentError) as caught:
        parse_assignment(OWN.format(more=more), "own.toml")
    assert says in str(caught.value)


def own(more: str) -> Any:
    return parse_assignment(OWN.format(more=more).replace("functions.net]", "functions.network]"),
                            "own.toml")  # fmt: skip


# --- how a model and its loss are found ----------------------------------------------------------

MODELS = {
    "three sizes by name": """
        class NeuralNet(nn.Module):
            def __init__(self, input_size, hidden_size, num_classes):
                super().__init__()
                self.layers = nn.Sequential(
                    nn.Linear(input_size, hidden_size), nn.ReLU(),
                    nn.Linear(hidden_size, num_classes))
            def forward(self, x):
                return self.layers(x)
        """,
    "sizes the other way round": """
        class Model(nn.Module):
            def __init__(self, n_outputs, n_inputs, dropout=0.1):
                super().__init__()
                self.fc = nn.Linear(n_inputs, n_outputs)
                self.dropout = nn.Dropout(dropout)
            def forward(self, x):
                return self.fc(self.dropout(x))
        """,
    "a list of sizes": """
        class MLP(nn.Module):
            def __init__(self, layer_sizes):
                super().__init__()
                pairs = zip(layer_sizes[:-1], layer_sizes[1:])
                self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairs])
            def forward(self, x):
                for layer in self.layers[:-1]:
                    x = torch.tanh(layer(x))
                return self.layers[-1](x)
        """,
    "no sizes": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 3)
            def forward(self, x):
                return self.fc(x)
        """,
    "keyword-only sizes with defaults": """
        class Net(nn.Module):
            def __init__(self, *, in_features=784, out_features=10):
                super().__init__()
                self.fc = nn.Linear(in_features, out_features)
            def forward(self, x):
                return self.fc(x)
        """,
    "a class of another name": """
        class FlowerNet(nn.Module):
            def __init__(self, a, b):
                super().__init__()
                self.fc = nn.Linear(a, b)
            def forward(self, x):
                return self.fc(x)
        """,
    "the class of the module at hand": """
        class Block(nn.Module):
            def __init__(self, n):
                super().__init__()
                self.fc = nn.Linear(n, n)
            def forward(self, x):
                return torch.relu(self.fc(x))
        class Flowers(nn.Module):
            def __init__(self, features, classes):
                super().__init__()
                self.block, self.out = Block(features), nn.Linear(features, classes)
            def forward(self, x):
                return self.out(x + self.block(x))
        model = Flowers(784, 10)
        """,
    "a function": """
        def build_model(features, classes):
            return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, classes))
        """,
    "a module": "net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))",
    "a double": """
        class Net(nn.Module):
            def __init__(self, features, classes):
                super().__init__()
                self.fc = nn.Linear(features, classes).double()
            def forward(self, x):
                return self.fc(x.double())
        """,
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_a_model_is_found(text: str, hand_in: Callable[..., Result]) -> None:
    result = hand_in(text, CRITERION)
    assert failed(result) == set(), [c.message for c in result.criteria]


LOSSES = {
    "a criterion of another name": "my_criterion = nn.CrossEntropyLoss()",
    "the class of a loss": "loss_fn = nn.CrossEntropyLoss",
    "a function of torch": "loss_function = F.cross_entropy",
    "a function of outputs and targets": """
        def compute_loss(logits, labels):
            return F.cross_entropy(logits, labels)
        """,
    "a step in another order": """
        def train_step(x, y, net):
            return F.cross_entropy(net(x), y)
        """,
    "a step of a batch": """
        def training_step(model, batch):
            x, y = batch
            return F.cross_entropy(model(x), y)
        """,
    "a step that steps": """
        loss_func = nn.CrossEntropyLoss()
        def train_step(model, data, target, opt, loss_fn):
            opt.zero_grad()
            loss = loss_fn(model(data), target)
            loss.backward()
            opt.step()
            opt.zero_grad()
            return loss
        """,
    "a step without its loop": """
        def training_step(model, inputs, labels, device="cpu"):
            model.zero_grad()
            outputs = model(inputs.to(device))
            loss = F.cross_entropy(outputs, labels.to(device))
            loss.backward()
            return loss.item()
        """,
    "one-hot targets of the right width": """
        def training_step(model, features, targets):
            one_hot = F.one_hot(targets, 3).float()
            return -(one_hot * F.log_softmax(model(features), dim=1)).sum(dim=1).mean()
        """,
}


@pytest.mark.parametrize("text", LOSSES.values(), ids=LOSSES)
def test_a_loss_is_found(text: str, hand_in: Callable[..., Result]) -> None:
    if "loss_fn)" in text:
        text = text.replace("loss_func =", "criterion =")
    result = hand_in(NET, text)
    assert failed(result) == set(), [c.message for c in result.criteria]


@pytest.mark.parametrize(
    ("text", "only", "says"),
    [
        pytest.param(
            "x = 1", "output_shape", "no model was found: expected a class of torch.nn.Module, or "
            "a function that makes one, named `Net`, `NeuralNet2`,", id="no model",
        ),
        pytest.param(NET, "loss_falls", "no loss was found: expected `criterion = ...`, called "
                     "with (outputs, targets), or `training_step(model, features, targets)`",
                     id="no loss"),
        pytest.param(
            NET + "def train_step(x, y):\n    return 0\n", "loss_falls",
            "no loss can be used (`train_step(x, y)` takes no model): expected", id="no model taken"
        ),
        pytest.param(
            "class Net(nn.Module):\n    def __init__(self, p, q, r, s): super().__init__()\n",
            "output_shape", "`s` is not known): it is called with (4, 3), (4,) or ()",
            id="a size too many",
        ),
        pytest.param(
            "def make_model():\n    return 3\n", "output_shape", "`make_model` made int",
            id="a function that makes something else",
        ),
        pytest.param(
            "class Net(nn.Module):\n    def forward(self, x):\n        return x.foo\n",
            "output_shape", "the model raised AttributeError: 'Tensor' object has no attribute "
            "'foo' (hw.py, line 7: `return x.foo`)", id="a model that raises",
        ),
        pytest.param(
            "class Net(nn.Module):\n    def forward(self, x):\n        print(x)\n",
            "output_shape", "the model returned None", id="a model without a return",
        ),
        pytest.param(
            "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.fc = nn.Linear(4, 500_000)\n",
            "output_shape", "2,500,000 parameters, more than 1,000,000", id="a giant",
        ),
    ],
)  # fmt: skip
def test_what_was_expected_is_said_in_one_line(
    text: str, only: str, says: str, hand_in: Callable[..., Result]
) -> None:
    result = hand_in(text, only=only)
    assert says in record(result, only).message
    assert result.score == 0


def test_a_model_alone_earns_what_is_of_the_model(hand_in: Callable[..., Result]) -> None:
    assert failed(hand_in(NET)) == ALL - MODEL


# --- what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "says"),
    [
        ("softmax-into-cross-entropy/multi-class-net_torch.py", "output_means",
         "of 3 classes the loss cannot fall below 0.551"),
        ("softmax-into-cross-entropy/multi-class-net_torch_step.py", "output_means",
         "A softmax is applied before cross entropy"),
        ("softmax-into-cross-entropy/multi-class-net_torch.py", "reaches", "cannot fall below"),
        ("sigmoid-into-cross-entropy/multi-class-net_torch.py", "output_means",
         "(sigmoid-into-cross-entropy)"),
        ("softmax-into-nll/multi-class-net_torch.py", "output_means", "(softmax-into-nll)"),
        ("logits-into-nll/multi-class-net_torch.py", "output_means", "(logits-into-nll)"),
        ("softmax-wrong-dim/multi-class-net_torch.py", "output_means", "(softmax-wrong-dim)"),
        ("softmax-then-mse/multi-class-net_torch.py", "output_means", "(softmax-then-mse)"),
        ("target-dtype/multi-class-net_torch.py", "targets_count", "(target-dtype)"),
        ("loss-item-or-detach-before-backward/multi-class-net_torch.py", "gradient_is",
         "(loss-item-or-detach-before-backward)"),
        ("loss-item-or-detach-before-backward/multi-class-net_torch_hidden.py", "gradient_reaches",
         "the way back is cut"),
        ("frozen-layer/multi-class-net_torch.py", "gradient_reaches", "It is frozen"),
        ("unused-layer/multi-class-net_torch.py", "gradient_reaches", "left out of forward"),
        ("layers-in-a-list/multi-class-net_torch.py", "gradient_reaches",
         "`self.layers` is a plain list"),
        ("sum-instead-of-mean/multi-class-net_torch.py", "loss_is", "the sum over the batch"),
        ("log2-instead-of-ln/multi-class-net_torch.py", "loss_is", "log2"),
        ("logits-into-bce/binary-net_torch.py", "output_means", "(logits-into-bce)"),
        ("sigmoid-into-bce-with-logits/binary-net_torch.py", "output_means",
         "still costs 0.313, a no 0.693"),
        ("single-output-softmax/binary-net_torch.py", "output_means", "(single-output-softmax)"),
        ("missing-minus-sign/binary-net_torch.py", "loss_is", "The minus is missing"),
        ("squeezes-the-batch/binary-net_torch.py", "any_batch", "use squeeze(1)"),
    ],
)  # fmt: skip
def test_the_hint_names_the_misconception(path: str, name: str, says: str, engine: Engine) -> None:
    full = next(each for each in ALL if each.startswith(name))
    found = fixture(path, engine, full)
    assert found.outcome == "failed"
    assert says in found.hint


def test_the_floor_of_the_loss_is_right() -> None:
    sure = np.array([[1.0, 0.0, 0.0]])
    formula = {each.name: each for each in meanings.MULTI_CLASS}["cross_entropy"]
    (floor,) = formula.losses(sure, np.array([0]))
    assert abs(floor - 0.551) < 5e-4
    assert abs(floor - (math.log(math.e + 2) - 1)) < 1e-12


def test_both_lines_are_shown_of_what_was_seen_at_run_time(hand_in: Callable[..., Result]) -> None:
    net = NET.replace("return self.fc2(torch.relu(self.fc1(x)))",
                      "return torch.softmax(self.fc2(torch.relu(self.fc1(x))), dim=1)")  # fmt: skip
    step = """
    def training_step(model, features, targets):
        return F.cross_entropy(model(features), targets)
    """
    result = hand_in(net, step)
    source = (HEAD + net + textwrap.dedent(step)).splitlines()
    loss, softmax = (
        next(n for n, line in enumerate(source, 1) if word in line)
        for word in ("F.cross_entropy", "torch.softmax")
    )
    hint = record(result, "output_means_what_the_loss_expects").hint
    assert f"hw.py line {loss}: loss; hw.py line {softmax}: " in hint
    assert "LG101 softmax-into-cross-entropy" in hint
    assert len([note for note in result.notes if "LG101" in note]) == 1


def test_what_is_redundant_is_told_and_costs_nothing(engine: Engine) -> None:
    path = FIXTURES / "submissions" / "right" / "multi-class-net_log_softmax_twice.py"
    result = engine(path, "multi-class-net")
    assert result.score == 100
    assert any("LG102 log-softmax-into-cross-entropy" in note for note in result.notes)


# --- settings ------------------------------------------------------------------------------------

SIGMOID = """
class Net(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.fc = nn.Linear(features, 1)

    def forward(self, x):
        return {last}
"""


@pytest.mark.parametrize(
    ("last", "loss", "accepted", "right"),
    [
        ("torch.sigmoid(self.fc(x))", "nn.BCELoss()", '"probabilities"', True),
        ("self.fc(x)", "nn.BCEWithLogitsLoss()", '"probabilities"', False),
        ("self.fc(x)", "nn.BCEWithLogitsLoss()", '"probabilities", "logits"', True),
        ("torch.sigmoid(self.fc(x))", "nn.BCELoss()", '"logits"', False),
    ],
)
def test_an_assignment_says_what_outputs_may_mean(
    last: str, loss: str, accepted: str, right: bool, hand_in: Callable[..., Result]
) -> None:
    assignment = own(f'task = "binary"\nloss_names = ["criterion"]\noutputs = [{accepted}]')
    result = hand_in(SIGMOID.format(last=last), f"criterion = {loss}\n", assignment=assignment)
    wanted = set() if right else {
        "output_means_what_the_loss_expects", "loss_is_the_mean_cross_entropy"
    }  # fmt: skip
    assert failed(result) == wanted


def test_the_minus_log_of_a_softmax_may_be_accepted(hand_in: Callable[..., Result]) -> None:
    net = NET.replace("return self.fc2", "return torch.softmax(self.fc2").replace(
        "(self.fc1(x)))", "(self.fc1(x))), dim=1)"
    )
    loss = """
    def criterion(p, y):
        return -torch.log(p[torch.arange(len(y)), y]).mean()
    """
    assert "output_means_what_the_loss_expects" in failed(hand_in(net, loss))
    assignment = own('loss_names = ["criterion"]\noutputs = ["probabilities"]')
    assert failed(hand_in(net, loss, assignment=assignment)) == set()


@pytest.mark.parametrize(("features", "classes"), [(2, 2), (2, 7), (30, 10)])
def test_other_sizes(features: int, classes: int, hand_in: Callable[..., Result]) -> None:
    assignment = own(
        f'loss_names = ["criterion"]\nfeatures = {features}\nclasses = {classes}\nsteps = 400'
    )
    assert failed(hand_in(NET, CRITERION, assignment=assignment)) == set()


# --- attacks -------------------------------------------------------------------------------------

CONSTANTS = {
    "zeros": "torch.zeros(len(x), 3)",
    "the same row": "torch.tensor([[2.0, 1.0, 0.1]]).repeat(len(x), 1)",
    "its bias alone": "self.fc2.bias.expand(len(x), 3)",
    "not a number": "torch.full((len(x), 3), float('nan'))",
    "one number": "torch.tensor(1.0)",
    "random": "torch.rand(len(x), 3)",
    "labels": "self.fc2(torch.relu(self.fc1(x))).argmax(dim=1)",
}


@pytest.mark.parametrize("outputs", CONSTANTS.values(), ids=CONSTANTS)
@pytest.mark.parametrize("loss", ["criterion", "constant"])
def test_outputs_without_a_model_earn_nothing(
    outputs: str, loss: str, hand_in: Callable[..., Result]
) -> None:
    net = NET.replace("self.fc2(torch.relu(self.fc1(x)))", outputs)
    step = "def criterion(o, y):\n    return torch.tensor(0.3, requires_grad=True)\n"
    result = hand_in(net, CRITERION if loss == "criterion" else step)
    earned = ALL - failed(result)
    # Of cross entropy alone: its formula is right whatever it is given.
    formula = {"output_means_what_the_loss_expects", "loss_is_the_mean_cross_entropy"}
    allowed = formula if loss == "criterion" else set()
    if outputs == CONSTANTS["random"]:
        # Drawn again for every call from the grader's own seed: a shape, and nothing more.
        allowed = allowed | {"output_shape", "any_batch_size"}
    assert earned <= allowed


FORGED_LOSSES = {
    "falls by itself": "return torch.tensor(1 / steps, requires_grad=True)",
    "falls by itself, with the gradient": "return loss - loss.detach() + 1 / steps",
    "always near 0": "return 0.01 * loss",
    "right at the first call only": "return loss if steps == 1 else loss * 0",
    "of the predicted classes": "return F.cross_entropy(outputs, outputs.argmax(dim=1))",
    "of shuffled targets": "return F.cross_entropy(outputs, targets[torch.randperm(len(targets))])",
    "not a number": "return loss * float('nan')",
    "several": "return F.cross_entropy(outputs, targets, reduction='none')",
    "a text": "return str(loss)",
    "none": "pass",
}


@pytest.mark.parametrize("last", FORGED_LOSSES.values(), ids=FORGED_LOSSES)
def test_forged_losses(last: str, hand_in: Callable[..., Result]) -> None:
    result = hand_in(
        NET,
        f"""
        steps = 0

        def training_step(model, features, targets):
            global steps
            steps += 1
            outputs = model(features)
            loss = F.cross_entropy(outputs, targets)
            {last}
        """,
    )
    found = failed(result)
    assert "loss_is_the_mean_cross_entropy" in found
    assert "output_means_what_the_loss_expects" in found
    assert not found & MODEL
    assert {c.outcome for c in result.criteria} <= {"passed", "failed"}


@pytest.mark.parametrize(
    "last",
    [
        pytest.param("return loss.detach() + 0 * outputs.sum()", id="with another's gradient"),
        pytest.param("return loss.detach().numpy()", id="a number of numpy"),
        pytest.param("return torch.tensor(loss.item(), requires_grad=True)", id="made anew"),
        pytest.param("with torch.no_grad():\n        return criterion(model(x), y)", id="no_grad"),
    ],
)
def test_the_right_number_without_its_gradient(last: str, hand_in: Callable[..., Result]) -> None:
    step = """
def training_step(model, x, y):
    outputs = model(x)
    loss = criterion(outputs, y)
"""
    result = hand_in(NET, CRITERION, f"{step}    {last}\n")
    assert failed(result) - {"targets_count"} == GRADIENT | TRAINED


# A student's code runs in the process that answers: it can answer what it likes.
TAKES_OVER = """
import sys
training = sys.modules["lossgrade.sandbox.training"]

def forged(self):
    import math
    def floats(values):
        import array
        data = array.array("d", values).tobytes()
        self.out.append(type(self.blocks[0])("float64", (len(values),), data))
        return {"block": len(self.out) - 1, "library": "torch", "container": "Tensor",
                "dtype": "float64", "graph": True}
    def matrix(rows, columns, value):
        data = __import__("array").array("d", [value(i) for i in range(rows * columns)]).tobytes()
        self.out.append(type(self.blocks[0])("float64", (rows, columns), data))
        return {"block": len(self.out) - 1, "library": "torch", "container": "Tensor",
                "dtype": "float64", "graph": True}
    def scores(i):
        return matrix(self.blocks[i].shape[0], 3, lambda k: math.sin(k * k))
    def state(level):
        return {"probes": [scores(i) for i in self.request["probes"]],
                "pairs": [[scores(f), floats([level])] for f, _ in self.request["pairs"]]}
    reply = {"model": "Net", "loss": "criterion", "before": state(1.0986), "reports": []}
    steps = self.request["steps"]
    if steps:
        falling = [1.0986 * 0.98 ** n for n in range(steps)]
        reply["training"] = {"losses": floats(falling)}
        reply["after"] = state(falling[-1])
    if self.request["gradient"]:
        h = self.request["gradient"]["step"]
        phase = self.request["gradient"]["phase"]
        slope = math.cos(phase) / abs(math.cos(phase))
        reply["gradient"] = {
            "loss": [], "names": ["fc.weight"], "values": [floats([1.0])], "free": [True],
            "outside": [], "around": [matrix(2, 2, lambda k: [h * slope, -h * slope, h, -h][k])]}
    return reply

training.Training.run = forged
"""


def test_a_forged_reply_earns_no_more_than_shapes(hand_in: Callable[..., Result]) -> None:
    result = hand_in(NET, CRITERION, TAKES_OVER)
    assert ALL - failed(result) <= {"output_shape", "any_batch_size"}
    assert {c.outcome for c in result.criteria} == {"passed", "failed"} or result.score == 0
    assert result.max_score == 100


GARBAGE = {
    "nothing": "{}",
    "a list": "[]",
    "no arrays": "{'before': {'probes': [], 'pairs': []}, 'training': {'losses': {}}}",
    "texts": "{'before': 'x', 'reports': 3, 'gradient': 'y', 'stage': []}",
    "raised": "{'raised': 1, 'stage': 'model'}",
    "an unknown block": "{'before': {'probes': [{'container': 'Tensor', 'block': 9}]}}",
    "deep": "{'missing': [[[]]], 'text': {}}",
}


@pytest.mark.parametrize("reply", GARBAGE.values(), ids=GARBAGE)
def test_a_reply_that_is_none_is_the_students_fault(
    reply: str, hand_in: Callable[..., Result]
) -> None:
    take = f"""
    import sys
    sys.modules["lossgrade.sandbox.training"].Training.run = lambda self: {reply}
    """
    result = hand_in(NET, CRITERION, take)
    assert (result.score, result.max_score) == (0, 100)
    assert {c.outcome for c in result.criteria} == {"failed"}
    json.loads(result.to_json())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param("import os; os._exit(0)", "the training run ", id="exits"),
        pytest.param("raise SystemExit(0)", "SystemExit", id="raises SystemExit"),
        pytest.param("while True: pass", "the training run ", id="never ends"),
        pytest.param("return [0] * 10**12", "MemoryError", id="takes all memory"),
    ],
)
def test_a_loss_that_breaks_its_process(
    body: str, says: str, hand_in: Callable[..., Result]
) -> None:
    step = f"def training_step(model, features, targets):\n    {body}\n"
    limits = {"call_seconds": 2.0, "submission_seconds": 60.0}
    result = hand_in(NET, step, limits=limits)
    assert failed(result) == ALL - MODEL
    assert any(says in c.message for c in result.criteria)
    assert result.max_score == 100


@pytest.mark.parametrize("seed", ["a1", "b2", "c3", "d4"])
@pytest.mark.parametrize("path", ["multi-class-net_tutorial.py", "binary-net_tutorial.py"])
def test_the_lectures_networks_have_full_marks_under_any_seed(
    path: str, seed: str, engine: Engine
) -> None:
    result = engine(FIXTURES / "submissions" / "right" / path, path.partition("_")[0], seed=seed)
    assert result.score == 100


# --- the reference -------------------------------------------------------------------------------


class FakeTrial:
    """What clusters need of a trial."""

    def __init__(self, features: int, classes: int) -> None:
        self.rng = np.random.default_rng(5)
        self.spec = type("Spec", (), {"features": features, "classes": classes,
                                      "task": "multi-class"})  # fmt: skip


@pytest.mark.parametrize(("features", "classes"), [(4, 3), (2, 2), (2, 7), (30, 10)])
def test_the_clusters_can_be_told_apart_linearly(features: int, classes: int) -> None:
    clusters = Clusters(FakeTrial(features, classes))  # type: ignore[arg-type]  # all it uses
    data, hidden = clusters.draw(20), clusters.draw(20)
    assert sorted(set(data.classes.tolist())) == list(range(classes))
    train, test, right = reference_loss(data, hidden, 400)
    assert train < 0.5
    assert test < 0.6
    assert right > 0.9


def test_meanings_of_outputs() -> None:
    rng = np.random.default_rng(3)
    logits = [rng.normal(0, 2, (n, 3)) for n in (5, 8)]
    share = [np.exp(o) / np.exp(o).sum(1, keepdims=True) for o in logits]
    columns = [np.exp(o) / np.exp(o).sum(0, keepdims=True) for o in logits]
    assert meanings.multi_class_meaning(logits) == "logits"
    assert meanings.multi_class_meaning(share) == "probabilities"
    assert meanings.multi_class_meaning([np.log(o) for o in share]) == "log-probabilities"
    assert meanings.multi_class_meaning(columns) == "column-probabilities"
    assert meanings.multi_class_meaning([1 / (1 + np.exp(-o)) for o in logits]) == "sigmoids"
    assert meanings.binary_meaning([np.ones(4)]) == "ones"
    assert meanings.binary_meaning([np.array([0.2, 0.9])]) == "probabilities"
    assert meanings.binary_meaning([np.array([0.2, 1.9])]) == "logits"
