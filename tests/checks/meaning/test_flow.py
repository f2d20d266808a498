"""Values are followed through the language: names, containers, functions, control flow.

Every construct stands twice: where it takes probabilities to the loss, and where it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowing import PRELUDE, assert_found, assert_quiet

if TYPE_CHECKING:
    from pathlib import Path

# construct: (a program in which softmax reaches the loss, one in which it does not)
IMPORTS = {
    "torch.nn.functional under another name": (
        """
import torch.nn.functional as nnf
def step(model, x, y):
    return nnf.cross_entropy(nnf.softmax(model(x), dim=1), y)
""",
        """
import torch.nn.functional as nnf
def step(model, x, y):
    return nnf.cross_entropy(nnf.relu(model(x)), y)
""",
    ),
    "from torch.nn import functional": (
        """
from torch.nn import functional as F
def step(model, x, y):
    return F.cross_entropy(F.softmax(model(x), 1), y)
""",
        """
from torch.nn import functional as F
def step(model, x, y):
    return F.cross_entropy(F.dropout(model(x), 0.5), y)
""",
    ),
    "full dotted names": (
        """
import torch
def step(model, x, y):
    return torch.nn.functional.cross_entropy(torch.softmax(model(x), 1), y)
""",
        """
import torch
def step(model, x, y):
    p = torch.softmax(model(x), 1)
    return torch.nn.functional.cross_entropy(model(x), y), p
""",
    ),
    "import torch.nn.functional without as": (
        """
import torch.nn.functional
def step(model, x, y):
    return torch.nn.functional.cross_entropy(torch.nn.functional.softmax(model(x), 1), y)
""",
        """
import torch.nn.functional
def step(model, x, y):
    return torch.nn.functional.cross_entropy(torch.nn.functional.relu(model(x)), y)
""",
    ),
    "a function imported by name": (
        """
from torch.nn.functional import cross_entropy, softmax
def step(model, x, y):
    return cross_entropy(softmax(model(x), dim=-1), y)
""",
        """
from torch.nn.functional import cross_entropy, softmax
def step(model, x, y):
    return cross_entropy(model(x), softmax(y, dim=-1))
""",
    ),
    "a class imported under another name": (
        """
from torch.nn import CrossEntropyLoss as CE, Softmax as SM
criterion = CE()
def step(model, x, y):
    return criterion(SM(dim=1)(model(x)), y)  # softmax
""",
        """
from torch.nn import CrossEntropyLoss as CE, ReLU as SM
criterion = CE()
def step(model, x, y):
    return criterion(SM()(model(x)), y)
""",
    ),
    "the module that defines the class": (
        """
from torch.nn.modules.loss import CrossEntropyLoss
from torch.nn.modules.activation import Softmax
def step(model, x, y):
    return CrossEntropyLoss()(Softmax(dim=1)(model(x)), y)
""",
        """
from torch.nn.modules.loss import CrossEntropyLoss
from torch.nn.modules.activation import ReLU
def step(model, x, y):
    return CrossEntropyLoss()(ReLU()(model(x)), y)
""",
    ),
    "a star import of functional": (
        """
from torch.nn.functional import *
def step(model, x, y):
    return cross_entropy(softmax(model(x), 1), y)
""",
        """
from torch.nn.functional import *
def softmax(x, dim):
    return x
def step(model, x, y):
    return cross_entropy(softmax(model(x), 1), y)
""",
    ),
    "a star import of torch.nn": (
        """
from torch.nn import *
criterion = CrossEntropyLoss()
def step(model, x, y):
    return criterion(Softmax(1)(model(x)), y)
""",
        """
from torch.nn import *
criterion = CrossEntropyLoss()
def step(model, x, y):
    return criterion(Dropout(0.5)(model(x)), y)
""",
    ),
    "a star import of torch": (
        """
from torch import *
import torch.nn.functional as F
def step(model, x, y):
    return F.cross_entropy(softmax(model(x), 1), y)
""",
        """
from torch import *
import torch.nn.functional as F
def step(model, x, y):
    return F.cross_entropy(clone(model(x)), y)
""",
    ),
    "an import inside the function": (
        """
def step(model, x, y):
    import torch.nn.functional as F
    from torch import softmax as sm
    return F.cross_entropy(sm(model(x), 1), y)  # softmax
""",
        """
def softmax(x):
    from torch import softmax as sm
    return sm(x, 1)
def step(model, x, y):
    import torch.nn.functional as F
    return F.cross_entropy(sm(model(x), 1), y)
def sm(x, dim):
    return x
""",
    ),
    "an import inside try": (
        """
try:
    import torch.nn.functional as F
except ImportError:
    raise SystemExit("install torch")
def step(model, x, y):
    return F.cross_entropy(F.softmax(model(x), 1), y)
""",
        """
try:
    from mylosses import cross_entropy
except ImportError:
    from torch.nn.functional import cross_entropy
from torch import softmax
def step(model, x, y):
    return cross_entropy(softmax(model(x), 1), y)
""",
    ),
    "an alias by assignment": (
        """
import torch.nn.functional as F
softmax, loss = F.softmax, F.cross_entropy
def step(model, x, y):
    return loss(softmax(model(x), 1), y)
""",
        """
import torch.nn.functional as F
softmax, loss = F.cross_entropy, F.softmax
def step(model, x, y):
    return softmax(model(x), y)
""",
    ),
    "a module under a name by assignment": (
        """
import torch
fn = torch.nn.functional
ce = fn.cross_entropy
def step(model, x, y):
    return ce(fn.softmax(model(x), 1), y)
""",
        """
import torch
fn = torch.nn.functional
ce = fn.cross_entropy
fn = None
def step(model, x, y):
    return ce(fn.softmax(model(x), 1), y)
""",
    ),
    "torch.special and the method of the class": (
        """
import torch
import torch.nn.functional as F
def step(model, x, y):
    return F.cross_entropy(torch.Tensor.softmax(torch.special.softmax(model(x), 1), 1), y)
""",
        """
import torch
import torch.nn.functional as F
def step(model, x, y):
    return F.cross_entropy(torch.special.entr(model(x)), y)
""",
    ),
}

# From here on PRELUDE stands in front of each program.
NAMES = {
    "a name": (
        """
def step(model, x, y):
    probabilities = F.softmax(model(x), dim=1)
    loss = F.cross_entropy(probabilities, y)
    return loss
""",
        """
def step(model, x, y):
    logits = model(x)
    probabilities = F.softmax(logits, dim=1)
    loss = F.cross_entropy(logits, y)
    return loss, probabilities
""",
    ),
    "the last assignment before the use counts": (
        """
def step(model, x, y):
    out = model(x)
    out = F.softmax(out, dim=1)
    return F.cross_entropy(out, y)
""",
        """
def step(model, x, y):
    out = model(x)
    loss = F.cross_entropy(out, y)
    out = F.softmax(out, dim=1)
    return loss, out
""",
    ),
    "a name set back": (
        """
def step(model, x, y):
    out = model(x)
    out, kept = out.softmax(1), out
    return F.cross_entropy(out, y)
""",
        """
def step(model, x, y):
    out = model(x)
    kept, out = out, out.softmax(1)
    out = kept
    return F.cross_entropy(out, y)
""",
    ),
    "several targets": (
        """
def step(model, x, y):
    a = b = torch.softmax(model(x), 1)
    return F.cross_entropy(b, y)
""",
        """
def step(model, x, y):
    a = b = torch.softmax(model(x), 1)
    b = model(x)
    return F.cross_entropy(b, y)
""",
    ),
    "an annotated assignment": (
        """
def step(model, x, y):
    out: torch.Tensor = torch.softmax(model(x), 1)
    return F.cross_entropy(out, y)
""",
        """
def step(model, x, y):
    out: torch.Tensor
    out = model(x)
    return F.cross_entropy(out, y)
""",
    ),
    "an augmented assignment to something else": (
        """
def step(model, loader):
    total = 0
    for x, y in loader:
        p = F.softmax(model(x), 1)
        total += F.cross_entropy(p, y)
    return total
""",
        """
def step(model, loader):
    total = 0
    for x, y in loader:
        p = F.softmax(model(x), 1)
        p += model(x)
        total += F.cross_entropy(p, y)
    return total
""",
    ),
    "an augmented assignment that keeps the meaning": (
        """
def step(model, x, y):
    out = model(x)
    out /= 2.0
    out = out.softmax(-1)
    out += 1e-8
    return F.cross_entropy(out, y)
""",
        """
def step(model, x, y):
    out = model(x).softmax(-1)
    out *= model(x)
    return F.cross_entropy(out, y)
""",
    ),
    "tuple unpacking": (
        """
def step(model, x, y):
    p, h = F.softmax(model(x), 1), model.hidden
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    p, h = F.softmax(model(x), 1), model.hidden(x)
    return F.cross_entropy(h, y)
""",
    ),
    "nested unpacking": (
        """
def step(model, x, y):
    (a, (b, [p])), c = ((1, (2, [F.softmax(model(x), 1)])), 3)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    (a, (b, [p])), c = ((1, (F.softmax(model(x), 1), [model(x)])), 3)
    return F.cross_entropy(p, y)
""",
    ),
    "starred unpacking": (
        """
def step(model, x, y):
    first, *rest, last = (model(x), 1, 2, F.softmax(model(x), 1))
    return F.cross_entropy(last, y)
""",
        """
def step(model, x, y):
    first, *rest, last = (model(x), 1, F.softmax(model(x), 1), model(x))
    return F.cross_entropy(last, y)
""",
    ),
    "the list of a starred name": (
        """
def step(model, x, y):
    first, *rest = model(x), 1, F.softmax(model(x), 1)
    return F.cross_entropy(rest[1], y)
""",
        """
def step(model, x, y):
    first, *rest = F.softmax(model(x), 1), 1, model(x)
    return F.cross_entropy(rest[1], y)
""",
    ),
    "unpacking of something unknown": (
        """
def step(model, x, y):
    out, hidden = model(x)
    out = F.softmax(out, 1)
    return F.cross_entropy(out, y)
""",
        """
def step(model, x, y):
    out = F.softmax(model(x), 1)
    out, hidden = model(out)
    return F.cross_entropy(out, y)
""",
    ),
    "a walrus": (
        """
def step(model, x, y):
    if (p := F.softmax(model(x), 1)) is not None:
        print(p)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    if (p := F.softmax(model(x), 1)) is not None:
        print(p)
    return F.cross_entropy(p := model(x), y)
""",
    ),
    "a walrus in a comprehension binds outside": (
        """
def step(model, x, y):
    kept = [p := F.softmax(model(x), 1) for _ in range(2)]
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    p = model(x)
    kept = [F.softmax(p, 1) for p in (p, p)]
    return F.cross_entropy(p, y)
""",
    ),
    "del": (
        """
def step(model, x, y):
    logits = model(x)
    p = F.softmax(logits, 1)
    del logits
    return F.cross_entropy(p, y)
""",
        """
logits = torch.softmax(torch.randn(3, 4), 1)
del logits
def step(model, x, y):
    return F.cross_entropy(logits, y)
""",
    ),
    "del of an item and of an attribute": (
        """
def step(model, x, y):
    out = {"a": model(x), "b": F.softmax(model(x), 1)}
    del out["a"]
    return F.cross_entropy(out["b"], y)
""",
        """
def step(model, x, y, more):
    out = [F.softmax(model(x), 1), model(x)]
    del out[0]
    return F.cross_entropy(out[0], y)
""",
    ),
    "global": (
        """
probabilities = None
def predict(model, x):
    global probabilities
    probabilities = F.softmax(model(x), 1)
def step(model, x, y):
    predict(model, x)
    return F.cross_entropy(probabilities, y)
""",
        """
probabilities = None
def predict(model, x):
    probabilities = F.softmax(model(x), 1)
def step(model, x, y):
    predict(model, x)
    return F.cross_entropy(probabilities, y)
""",
    ),
    "nonlocal": (
        """
def step(model, x, y):
    out = model(x)
    def activate():
        nonlocal out
        out = F.softmax(out, 1)
    activate()
    return F.cross_entropy(out, y)
""",
        """
def step(model, x, y):
    out = model(x)
    def activate():
        out = F.softmax(model(x), 1)
    activate()
    return F.cross_entropy(out, y)
""",
    ),
    "a script without functions": (
        """
model = nn.Linear(4, 3)
x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))
out = F.softmax(model(x), dim=1)
loss = F.cross_entropy(out, y)
loss.backward()
""",
        """
model = nn.Linear(4, 3)
x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))
out = model(x)
loss = F.cross_entropy(out, y)
loss.backward()
print(F.softmax(out, dim=1))
""",
    ),
}

CONTAINERS = {
    "an item of a dict": (
        """
def step(model, x, y):
    out = {"logits": model(x), "probs": F.softmax(model(x), 1)}
    return F.cross_entropy(out["probs"], y)
""",
        """
def step(model, x, y):
    out = {"logits": model(x), "probs": F.softmax(model(x), 1)}
    return F.cross_entropy(out["logits"], y)
""",
    ),
    "an item set later": (
        """
def step(model, x, y):
    out = {}
    out["p"] = F.softmax(model(x), 1)
    return F.cross_entropy(out["p"], y)
""",
        """
def step(model, x, y):
    out = {}
    out["p"] = F.softmax(model(x), 1)
    out["p"] = model(x)
    return F.cross_entropy(out["p"], y)
""",
    ),
    "dict(), get and update": (
        """
def step(model, x, y):
    out = dict(logits=model(x))
    out.update(p=F.softmax(model(x), 1))
    return F.cross_entropy(out.get("p"), y)
""",
        """
def step(model, x, y):
    out = dict(p=F.softmax(model(x), 1))
    out.update(p=model(x))
    return F.cross_entropy(out.get("p"), y)
""",
    ),
    "a dict after update with something unknown": (
        """
def step(model, x, y, more):
    out = dict(more)
    out["p"] = F.softmax(model(x), 1)
    return F.cross_entropy(out["p"], y)
""",
        """
def step(model, x, y, more):
    out = dict(p=F.softmax(model(x), 1))
    out.update(more)
    return F.cross_entropy(out["p"], y)
""",
    ),
    "a merged dict": (
        """
def step(model, x, y):
    out = {**{"a": 1}, "p": F.softmax(model(x), 1)}
    return F.cross_entropy(out["p"], y)
""",
        """
def step(model, x, y, more):
    out = {"p": F.softmax(model(x), 1), **more}
    return F.cross_entropy(out["p"], y)
""",
    ),
    "an item of a list": (
        """
def step(model, x, y):
    outs = [model(x), F.softmax(model(x), 1)]
    return F.cross_entropy(outs[-1], y)
""",
        """
def step(model, x, y):
    outs = [model(x), F.softmax(model(x), 1)]
    return F.cross_entropy(outs[0], y)
""",
    ),
    "an unknown item is what all have in common": (
        """
def step(model, x, y, i):
    outs = [F.softmax(model(x), 1), F.softmax(model(2 * x), 1)]
    return F.cross_entropy(outs[i], y)
""",
        """
def step(model, x, y, i):
    outs = [F.softmax(model(x), 1), model(x)]
    return F.cross_entropy(outs[i], y)
""",
    ),
    "append and pop": (
        """
def step(model, x, y):
    outs = []
    outs.append(F.softmax(model(x), 1))
    return F.cross_entropy(outs[-1], y)
""",
        """
def step(model, x, y):
    outs = [F.softmax(model(x), 1)]
    outs.append(model(x))
    return F.cross_entropy(outs.pop(), y)
""",
    ),
    "a slice of a list": (
        """
def step(model, x, y):
    outs = [model(x), model(x), F.softmax(model(x), 1)]
    return F.cross_entropy(outs[1:][1], y)
""",
        """
def step(model, x, y):
    outs = [F.softmax(model(x), 1), model(x)]
    return F.cross_entropy(outs[::-1][0], y)
""",
    ),
    "a list changed by somebody else": (
        """
def add(outs, p):
    outs.append(p)
def step(model, x, y):
    outs = []
    add(outs, F.softmax(model(x), 1))
    return F.cross_entropy(outs[0], y)
""",
        """
def step(model, x, y, helper):
    outs = [F.softmax(model(x), 1)]
    helper(outs)
    return F.cross_entropy(outs[0], y)
""",
    ),
    "a dict changed by somebody else": (
        """
def add(out, p):
    out["p"] = p
def step(model, x, y):
    out = {}
    add(out, F.softmax(model(x), 1))
    return F.cross_entropy(out["p"], y)
""",
        """
def step(model, x, y, helper):
    out = {"p": F.softmax(model(x), 1)}
    helper(out)
    return F.cross_entropy(out["p"], y)
""",
    ),
    "a list comprehension over known items": (
        """
def step(a, b, x, y):
    outs = [F.softmax(m(x), 1) for m in (a, b)]
    return F.cross_entropy(outs[0], y)
""",
        """
def step(a, b, x, y):
    outs = [m(x) for m in (a, b)]
    shown = [F.softmax(o, 1) for o in outs]
    return F.cross_entropy(outs[0], y), shown
""",
    ),
    "a dict comprehension": (
        """
def step(a, b, x, y):
    outs = {k: F.softmax(m(x), 1) for k, m in {"a": a, "b": b}.items()}
    return F.cross_entropy(outs["b"], y)
""",
        """
def step(a, b, x, y):
    outs = {k: m(x) for k, m in {"a": a, "b": b}.items()}
    return F.cross_entropy(outs["b"], y)
""",
    ),
    "the loss inside a comprehension": (
        """
def step(models, x, y):
    return sum([F.cross_entropy(m(x).softmax(1), y) for m in models])
""",
        """
def step(models, x, y):
    return sum([F.cross_entropy(m(x), y) for m in models])
""",
    ),
    "the loss inside a nested comprehension": (
        """
def step(models, loader):
    return [F.cross_entropy(F.softmax(m(x), 1), y) for m in models for x, y in loader]
""",
        """
def step(models, loader):
    return [F.cross_entropy(m(x), y) for m in models for x, y in loader]
""",
    ),
    "zip and enumerate over known items": (
        """
def step(a, b, x, y):
    outs = [a(x).softmax(1), b(x).softmax(1)]
    total = 0
    for i, (out, weight) in enumerate(zip(outs, [0.3, 0.7])):
        total = total + weight * F.cross_entropy(out, y)
    return total
""",
        """
def step(a, b, x, y):
    outs = [(a(x), a(x).softmax(1)), (b(x), b(x).softmax(1))]
    total = 0
    for i, (out, shown) in enumerate(outs):
        total = total + F.cross_entropy(out, y)
    return total
""",
    ),
    "a namedtuple": (
        """
from collections import namedtuple
Output = namedtuple("Output", "logits probs")
def step(model, x, y):
    out = Output(model(x), F.softmax(model(x), 1))
    return F.cross_entropy(out.probs, y)
""",
        """
from collections import namedtuple
Output = namedtuple("Output", "logits probs")
def step(model, x, y):
    out = Output(model(x), F.softmax(model(x), 1))
    return F.cross_entropy(out.logits, y)
""",
    ),
    "a NamedTuple": (
        """
from typing import NamedTuple
class Output(NamedTuple):
    logits: torch.Tensor
    probs: torch.Tensor
def step(model, x, y):
    out = Output(logits=model(x), probs=F.softmax(model(x), 1))
    return F.cross_entropy(out.probs, y)
""",
        """
from typing import NamedTuple
class Output(NamedTuple):
    logits: torch.Tensor
    probs: torch.Tensor
def step(model, x, y):
    out = Output(logits=model(x), probs=F.softmax(model(x), 1))
    return F.cross_entropy(out.logits, y)
""",
    ),
    "a NamedTuple is unpacked and indexed": (
        """
from typing import NamedTuple
class Output(NamedTuple):
    logits: torch.Tensor
    probs: torch.Tensor
def step(model, x, y):
    logits, probs = Output(model(x), F.softmax(model(x), 1))
    return F.cross_entropy(probs, y)
""",
        """
from typing import NamedTuple
class Output(NamedTuple):
    logits: torch.Tensor
    probs: torch.Tensor
def step(model, x, y):
    out = Output(model(x), F.softmax(model(x), 1))
    return F.cross_entropy(out[0], y)
""",
    ),
    "a SimpleNamespace": (
        """
from types import SimpleNamespace
def step(model, x, y):
    out = SimpleNamespace(logits=model(x), probs=F.softmax(model(x), 1))
    return F.cross_entropy(out.probs, y)
""",
        """
from types import SimpleNamespace
def step(model, x, y):
    out = SimpleNamespace(logits=model(x), probs=F.softmax(model(x), 1))
    return F.cross_entropy(out.logits, y)
""",
    ),
    "a dict of losses": (
        """
LOSSES = {"ce": nn.CrossEntropyLoss(), "mse": nn.MSELoss()}
def step(model, x, y):
    return LOSSES["ce"](F.softmax(model(x), 1), y)
""",
        """
LOSSES = {"ce": nn.CrossEntropyLoss(), "focal": lambda p, y: -p[range(len(y)), y].mean()}
def step(model, x, y):
    return LOSSES["focal"](F.softmax(model(x), 1), y)
""",
    ),
    "a dict of losses, not known which": (
        """
LOSSES = {"sum": F.cross_entropy, "mean": F.cross_entropy}
def step(model, x, y, name):
    return LOSSES[name](F.softmax(model(x), 1), y)
""",
        """
LOSSES = {"ce": nn.CrossEntropyLoss(), "nll": nn.NLLLoss()}
def step(model, x, y, name):
    return LOSSES[name](F.softmax(model(x), 1), y)
""",
    ),
    "a dict of activations": (
        """
ACTIVATIONS = dict(softmax=nn.Softmax(dim=1), relu=nn.ReLU())
def step(model, x, y):
    return F.cross_entropy(ACTIVATIONS["softmax"](model(x)), y)
""",
        """
ACTIVATIONS = dict(softmax=nn.Softmax(dim=1), none=nn.Identity())
def step(model, x, y, name):
    return F.cross_entropy(ACTIVATIONS[name](model(x)), y)
""",
    ),
}

FUNCTIONS = {
    "a helper function": (
        """
def activate(z):
    return F.softmax(z, dim=1)
def step(model, x, y):
    return F.cross_entropy(activate(model(x)), y)
""",
        """
def activate(z):
    return F.softmax(z, dim=1)
def step(model, x, y):
    return F.cross_entropy(model(x), y), activate(model(x))
""",
    ),
    "the loss in a helper": (
        """
def loss_of(out, y):
    return F.cross_entropy(out, y)
def step(model, x, y):
    return loss_of(F.softmax(model(x), dim=1), y)
""",
        """
def loss_of(out, y):
    return F.cross_entropy(out, y)
def step(model, x, y):
    return loss_of(model(x), F.softmax(y, dim=1))
""",
    ),
    "a helper defined after its use": (
        """
def step(model, x, y):
    return F.cross_entropy(activate(model(x)), y)
def activate(z):
    return torch.softmax(z, -1)
""",
        """
def step(model, x, y):
    return F.cross_entropy(activate(model(x)), y)
def activate(z):
    return torch.softmax(z, -1)
def activate(z):
    return z
""",
    ),
    "helpers in a row": (
        """
def a(z): return F.softmax(z, 1)
def b(z): return a(z)
def c(z): return b(z)
def d(z): return c(z)
def step(model, x, y):
    return F.cross_entropy(d(model(x)), y)
""",
        """
def a(z): return F.softmax(z, 1)
def b(z): return a(z), z
def c(z): return b(z)[1]
def d(z): return c(z)
def step(model, x, y):
    return F.cross_entropy(d(model(x)), y)
""",
    ),
    "a tuple returned, index-aware": (
        """
def predict(model, x):
    logits = model(x)
    return logits, F.softmax(logits, 1)
def step(model, x, y):
    logits, probs = predict(model, x)
    return F.cross_entropy(probs, y)
""",
        """
def predict(model, x):
    logits = model(x)
    return logits, F.softmax(logits, 1)
def step(model, x, y):
    logits, probs = predict(model, x)
    return F.cross_entropy(logits, y)
""",
    ),
    "an item of a returned tuple": (
        """
def predict(model, x):
    return model(x), F.softmax(model(x), 1)
def step(model, x, y):
    return F.cross_entropy(predict(model, x)[1], y)
""",
        """
def predict(model, x):
    return model(x), F.softmax(model(x), 1)
def step(model, x, y):
    return F.cross_entropy(predict(model, x)[0], y)
""",
    ),
    "keyword arguments": (
        """
def loss_of(target, output):
    return F.cross_entropy(input=output, target=target)
def step(model, x, y):
    return loss_of(output=model(x).softmax(1), target=y)
""",
        """
def loss_of(target, output):
    return F.cross_entropy(target=output, input=target)
def step(model, x, y):
    return loss_of(output=y.softmax(1), target=model(x))
""",
    ),
    "*args and **kwargs": (
        """
def loss_of(*args, **kwargs):
    return F.cross_entropy(*args, **kwargs)
def step(model, x, y):
    return loss_of(F.softmax(model(x), 1), y, reduction="sum")
""",
        """
def loss_of(*args, **kwargs):
    return F.cross_entropy(args[1], args[0], **kwargs)
def step(model, x, y):
    return loss_of(F.softmax(model(y), 1), x, reduction="sum")
""",
    ),
    "a default argument that is a function": (
        """
def step(model, x, y, activation=F.softmax):
    return F.cross_entropy(activation(model(x), dim=1), y)  # softmax
""",
        """
def step(model, x, y, activation=None):
    out = model(x)
    if activation is not None:
        out = activation(out)
    return F.cross_entropy(out, y)
""",
    ),
    "a default argument that is a loss": (
        """
def train(model, loader, criterion=nn.CrossEntropyLoss()):
    for x, y in loader:
        criterion(torch.softmax(model(x), 1), y).backward()
""",
        """
def train(model, loader, criterion):
    for x, y in loader:
        criterion(torch.softmax(model(x), 1), y).backward()
""",
    ),
    "the default at a call": (
        """
def loss_of(out, y, soft=True):
    return F.cross_entropy(F.softmax(out, 1) if soft else out, y)
def step(model, x, y):
    return loss_of(model(x), y)
""",
        """
def loss_of(out, y, soft=True):
    return F.cross_entropy(F.softmax(out, 1) if soft else out, y)
def step(model, x, y):
    return loss_of(model(x), y, soft=False)
""",
    ),
    "a closure": (
        """
def make_step(model, criterion=F.cross_entropy):
    softmax = nn.Softmax(dim=1)
    def step(x, y):
        return F.cross_entropy(softmax(model(x)), y)
    return step
""",
        """
def make_step(model):
    softmax = nn.Softmax(dim=1)
    def step(x, y):
        softmax = nn.Identity()
        return F.cross_entropy(softmax(model(x)), y)
    return step
""",
    ),
    "a closure that is returned and called": (
        """
def make_loss():
    def loss(out, y):
        return F.cross_entropy(out, y)
    return loss
loss = make_loss()
def step(model, x, y):
    return loss(F.softmax(model(x), 1), y)
""",
        """
def make_loss(activate):
    def loss(out, y):
        return F.cross_entropy(activate(out), y)
    return loss
loss = make_loss(lambda z: z)
soft = make_loss
def step(model, x, y):
    return loss(model(x), y)
""",
    ),
    "a lambda": (
        """
activate = lambda z: F.softmax(z, dim=1)
loss = lambda out, y: F.cross_entropy(activate(out), y)
""",
        """
activate = lambda z: F.softmax(z, dim=1)
loss = lambda out, y: (F.cross_entropy(out, y), activate(out))
""",
    ),
    "a lambda argument": (
        """
def step(model, x, y, head):
    return F.cross_entropy(head(model(x)), y)
def main(model, x, y):
    return step(model, x, y, lambda z: z.softmax(dim=1))
""",
        """
def step(model, x, y, head):
    return F.cross_entropy(head(model(x)), y)
def main(model, x, y):
    return step(model, x, y, lambda z: z.mean(dim=1))
""",
    ),
    "functools.partial": (
        """
from functools import partial
softmax = partial(F.softmax, dim=1)
loss = partial(F.cross_entropy, label_smoothing=0.1)
def step(model, x, y):
    return loss(softmax(model(x)), y)
""",
        """
from functools import partial
softmax = partial(F.gumbel_softmax, tau=1.0)
loss = partial(F.cross_entropy, label_smoothing=0.1)
relu = partial(F.leaky_relu, negative_slope=0.2)
def step(model, x, y):
    return loss(relu(model(x)), y)
""",
    ),
    "functools.partial of a helper": (
        """
import functools
def head(activation, z):
    return activation(z, dim=1)  # softmax
predict = functools.partial(head, F.softmax)
def step(model, x, y):
    return F.cross_entropy(predict(model(x)), y)
""",
        """
import functools
def head(activation, z):
    return z if activation is None else activation(z, dim=1)
predict = functools.partial(head, None)
def step(model, x, y):
    return F.cross_entropy(predict(model(x)), y)
""",
    ),
    "recursion": (
        """
def refine(z, n):
    if n == 0:
        return F.softmax(z, 1)
    return F.softmax(refine(z, n - 1), 1)
def step(model, x, y):
    p = refine(model(x), 3)
    return F.cross_entropy(F.softmax(p, 1), y)
""",
        """
def refine(z, n):
    if n == 0:
        return z
    return refine(z, n - 1)
def step(model, x, y):
    return F.cross_entropy(refine(model(x), 3), y), F.softmax(model(x), 1)
""",
    ),
    "mutual recursion": (
        """
def even(z, n):
    return odd(z, n - 1) if n else z
def odd(z, n):
    return even(z, n - 1)
def step(model, x, y):
    return F.cross_entropy(F.softmax(even(model(x), 4), 1), y)
""",
        """
def even(z, n):
    return odd(F.softmax(z, 1), n - 1) if n else z
def odd(z, n):
    return even(z, n - 1)
def step(model, x, y):
    return F.cross_entropy(even(model(x), 4), y)
""",
    ),
    "early return": (
        """
def head(z, raw):
    if z is None:
        return None
    return F.softmax(z, 1)
def step(model, x, y):
    return F.cross_entropy(head(model(x), True), y)
""",
        """
def head(z, raw):
    if raw:
        return z
    return F.softmax(z, 1)
def step(model, x, y, raw):
    return F.cross_entropy(head(model(x), raw), y)
""",
    ),
    "an early return by a constant": (
        """
def head(z, raw=False):
    if raw:
        return z
    return F.softmax(z, 1)
def step(model, x, y):
    return F.cross_entropy(head(model(x)), y)
""",
        """
def head(z, raw=False):
    if raw:
        return z
    return F.softmax(z, 1)
def step(model, x, y):
    return F.cross_entropy(head(model(x), raw=True), y)
""",
    ),
    "a method of a plain class": (
        """
class Trainer:
    def __init__(self, model):
        self.model = model
    def predict(self, x):
        return F.softmax(self.model(x), dim=1)
    def step(self, x, y):
        return F.cross_entropy(self.predict(x), y)
""",
        """
class Trainer:
    def __init__(self, model):
        self.model = model
    def predict(self, x):
        return F.softmax(self.model(x), dim=1)
    def step(self, x, y):
        return F.cross_entropy(self.model(x), y)
""",
    ),
    "static and class methods": (
        """
class Losses:
    @staticmethod
    def soft(z):
        return F.softmax(z, 1)
    @classmethod
    def loss(cls, z, y):
        return F.cross_entropy(cls.soft(z), y)
""",
        """
class Losses:
    @staticmethod
    def soft(z):
        return F.softmax(z, 1)
    @classmethod
    def loss(cls, z, y):
        return F.cross_entropy(z, y), cls.soft(z)
""",
    ),
    "an async function": (
        """
async def predict(model, x):
    return F.softmax(model(x), 1)
async def step(model, x, y):
    return F.cross_entropy(await predict(model, x), y)
""",
        """
async def predict(model, x):
    return F.softmax(model(x), 1)
async def step(model, x, y):
    p = await predict(model, x)
    return F.cross_entropy(model(x), y), p
""",
    ),
    "async for and async with": (
        """
async def train(model, loader, lock):
    async with lock:
        async for x, y in loader:
            F.cross_entropy(F.softmax(model(x), 1), y).backward()
""",
        """
async def train(model, loader, lock):
    async with lock:
        async for x, y in loader:
            F.cross_entropy(model(x), y).backward()
""",
    ),
    "inside a generator": (
        """
def losses(model, loader):
    for x, y in loader:
        yield F.cross_entropy(F.softmax(model(x), 1), y)
""",
        """
def outputs(model, loader):
    for x, y in loader:
        yield model(x), y
        yield F.softmax(model(x), 1), y
def train(model, loader):
    for out, y in outputs(model, loader):
        F.cross_entropy(out, y).backward()
""",
    ),
    "what a generator yields": (
        """
def outputs(model, loader):
    for x, y in loader:
        yield F.softmax(model(x), 1), y
def train(model, loader):
    for p, y in outputs(model, loader):
        F.cross_entropy(p, y).backward()
""",
        """
def outputs(model, loader):
    for x, y in loader:
        yield model(x), F.softmax(y, 1)
def train(model, loader):
    for p, y in outputs(model, loader):
        F.cross_entropy(p, y).backward()
""",
    ),
    "a decorator that changes nothing": (
        """
import functools
@functools.lru_cache(maxsize=None)
def head():
    return nn.Softmax(dim=1)
@torch.no_grad()
def evaluate(model, x, y):
    return F.cross_entropy(head()(model(x)), y)  # softmax
""",
        """
@torch.no_grad()
def evaluate(model, x, y):
    return F.cross_entropy(model(x), y)
""",
    ),
    "an unknown decorator": (
        """
from mylib import timed
@timed
def step(model, x, y):
    return F.cross_entropy(F.softmax(model(x), 1), y)
""",
        """
from mylib import undo_softmax
@undo_softmax
def predict(model, x):
    return F.softmax(model(x), 1)
def step(model, x, y):
    return F.cross_entropy(predict(model, x), y)
""",
    ),
    "a decorator of the project": (
        """
import functools
def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        print(function.__name__)
        return function(*args, **kwargs)
    return wrapper
@timed
def predict(model, x):
    return F.softmax(model(x), 1)
def step(model, x, y):
    return F.cross_entropy(predict(model, x), y)
""",
        """
def logged(function):
    def wrapper(*args):
        return torch.log(function(*args).clamp(min=1e-9))
    return wrapper
@logged
def predict(model, x):
    return F.softmax(model(x), 1)
def step(model, x, y):
    return F.nll_loss(predict(model, x), y)
""",
    ),
}

CONTROL = {
    "both branches of an if": (
        """
def step(model, x, y, hot):
    if hot:
        p = F.softmax(model(x) / 2, 1)
    else:
        p = F.softmax(model(x), 1)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y, hot):
    if hot:
        p = F.softmax(model(x) / 2, 1)
    else:
        p = model(x)
    return F.cross_entropy(p, y)
""",
    ),
    "the loss inside a branch": (
        """
def step(model, x, y, hot):
    p = model(x)
    if hot:
        p = F.softmax(p, 1)
        return F.cross_entropy(p, y)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y, hot):
    p = model(x)
    if hot:
        p = F.softmax(p, 1)
        return p
    return F.cross_entropy(p, y)
""",
    ),
    "a test that is known": (
        """
SOFT = True
def step(model, x, y):
    out = model(x)
    if SOFT:
        out = F.softmax(out, 1)
    return F.cross_entropy(out, y)
""",
        """
SOFT = False
def step(model, x, y):
    out = model(x)
    if SOFT:
        out = F.softmax(out, 1)
    return F.cross_entropy(out, y)
""",
    ),
    "elif": (
        """
def step(model, x, y, kind):
    if kind == "a":
        p = model.a(x).softmax(1)
    elif kind == "b":
        p = model.b(x).softmax(1)
    else:
        raise ValueError(kind)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y, kind):
    p = model(x)
    if kind == "a":
        p = model.a(x).softmax(1)
    elif kind == "b":
        p = model.b(x).softmax(1)
    return F.cross_entropy(p, y)
""",
    ),
    "a conditional expression": (
        """
def step(model, x, y, hot):
    p = F.softmax(model(x) / 2, 1) if hot else F.softmax(model(x), 1)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y, hot):
    p = F.softmax(model(x), 1) if hot else model(x)
    return F.cross_entropy(p, y)
""",
    ),
    "or": (
        """
def step(model, x, y, criterion=None):
    criterion = criterion or nn.CrossEntropyLoss()
    return nn.CrossEntropyLoss()(F.softmax(model(x), 1), y)
""",
        """
def step(model, x, y, criterion=None):
    criterion = criterion or nn.CrossEntropyLoss()
    return criterion(F.softmax(model(x), 1), y)
""",
    ),
    "with": (
        """
def step(model, x, y):
    with torch.autocast("cuda"):
        p = F.softmax(model(x), 1)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    with torch.no_grad():
        p = F.softmax(model(x), 1)
    return F.cross_entropy(model(x), y), p
""",
    ),
    "inside no_grad it is still a mistake": (
        """
def evaluate(model, loader):
    with torch.no_grad():
        for x, y in loader:
            print(F.cross_entropy(F.softmax(model(x), 1), y))
""",
        """
def evaluate(model, loader):
    with torch.no_grad():
        for x, y in loader:
            print(F.cross_entropy(model(x), y), F.softmax(model(x), 1))
""",
    ),
    "for": (
        """
def train(model, loader, epochs):
    for epoch in range(epochs):
        for i, (x, y) in enumerate(loader):
            out = model(x)
            out = torch.softmax(out, 1)
            F.cross_entropy(out, y).backward()
""",
        """
def train(model, loader, epochs):
    for epoch in range(epochs):
        for i, (x, y) in enumerate(loader):
            out = model(x)
            F.cross_entropy(out, y).backward()
            out = torch.softmax(out, 1)
""",
    ),
    "a value set by the loop": (
        """
def step(model, xs, y):
    p = F.softmax(model(xs[0]), 1)
    for x in xs:
        p = F.softmax(model(x), 1)
    return F.cross_entropy(p, y)
""",
        """
def step(model, xs, y):
    p = model(xs[0])
    for x in xs:
        p = F.softmax(model(x), 1)
    return F.cross_entropy(p, y)
""",
    ),
    "the value of the first round": (
        """
def step(model, loader):
    p = F.softmax(model(0), 1)
    for x, y in loader:
        loss = F.cross_entropy(p, y)
        p = model(x)
    return loss
""",
        """
def step(model, loader):
    p = model(0)
    for x, y in loader:
        loss = F.cross_entropy(p, y)
        p = model(x)
        F.softmax(p, 1)
    return loss
""",
    ),
    "while": (
        """
def train(model, batches):
    while True:
        x, y = next(batches)
        p = F.softmax(model(x), 1)
        if F.cross_entropy(p, y) < 0.1:
            break
""",
        """
def train(model, batches):
    p = model(0)
    while len(batches):
        x, y = batches.pop()
        loss = F.cross_entropy(p, y)
        p = model(x)
    return F.softmax(p, 1)
""",
    ),
    "a flag that the loop changes": (
        """
def train(model, loader):
    first = True
    for x, y in loader:
        if first:
            first = False
            continue
        F.cross_entropy(F.softmax(model(x), 1), y).backward()
""",
        """
def train(model, loader):
    p, ready = F.softmax(model(0), 1), False
    while not ready:
        p, ready = model(p), True
    return F.cross_entropy(p, loader.targets)
""",
    ),
    "break and continue": (
        """
def step(model, xs, y):
    for x in xs:
        p = F.softmax(model(x), 1)
        if x is None:
            continue
        break
    return F.cross_entropy(p, y)
""",
        """
def step(model, xs, y):
    p = F.softmax(model(0), 1)
    for x in xs:
        if x is None:
            p = model(x)
            break
        if x.ndim == 1:
            continue
    return F.cross_entropy(p, y)
""",
    ),
    "for else": (
        """
def step(model, xs, y):
    for x in xs:
        pass
    else:
        p = F.softmax(model(xs), 1)
        return F.cross_entropy(p, y)
""",
        """
def step(model, xs, y):
    p = F.softmax(model(xs), 1)
    for x in xs:
        if x is None:
            break
    else:
        p = model(xs)
    return F.cross_entropy(p, y)
""",
    ),
    "try": (
        """
def step(model, x, y):
    try:
        p = F.softmax(model(x), 1)
    except RuntimeError:
        torch.cuda.empty_cache()
        raise
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    try:
        p = F.softmax(model(x), 1)
    except RuntimeError:
        p = model(x.cpu())
    return F.cross_entropy(p, y)
""",
    ),
    "try finally": (
        """
def step(model, x, y):
    p = model(x)
    try:
        p = F.softmax(p, 1)
    finally:
        print("done")
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    p = F.softmax(model(x), 1)
    try:
        print(p)
    finally:
        p = model(x)
    return F.cross_entropy(p, y)
""",
    ),
    "match": (
        """
def step(model, x, y, kind):
    match kind:
        case "ce":
            return F.cross_entropy(F.softmax(model(x), 1), y)
        case _:
            return F.mse_loss(model(x), y)
""",
        """
def step(model, x, y, out):
    p = F.softmax(model(x), 1)
    match out:
        case {"logits": p}:
            return F.cross_entropy(p, y)
""",
    ),
    "match in which all cases agree": (
        """
def step(model, x, y, kind):
    match kind:
        case "a":
            p = F.softmax(model.a(x), 1)
        case _:
            p = F.softmax(model.b(x), 1)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y, kind):
    p = model(x)
    match kind:
        case "a" | "b":
            p = F.softmax(p, 1)
    return F.cross_entropy(p, y)
""",
    ),
    "code after a return": (
        """
def step(model, x, y):
    if x is None:
        raise ValueError("no input")
    return F.cross_entropy(F.softmax(model(x), 1), y)
""",
        """
def step(model, x, y):
    return F.cross_entropy(model(x), y)
    return F.cross_entropy(F.softmax(model(x), 1), y)
""",
    ),
    "assert": (
        """
def step(model, x, y):
    p = F.softmax(model(x), 1)
    assert p.shape[0] == len(y), "as many"
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    out = model(x)
    assert F.softmax(out, 1).sum() > 0
    return F.cross_entropy(out, y)
""",
    ),
}

SHAPES = {
    name: (
        f"""
def step(model, x, y, i, mask, device):
    p = F.softmax(model(x), dim=1)
    return F.cross_entropy(p{operation}, y)
""",
        f"""
def step(model, x, y, i, mask, device):
    p = model(x)
    return F.cross_entropy(p{operation}, y), F.softmax(p, dim=1)
""",
    )
    for name, operation in {
        "view": ".view(-1, 10)",
        "reshape": ".reshape(x.size(0), -1)",
        "reshape by a tuple": ".reshape((-1, 10))",
        "squeeze": ".squeeze()",
        "squeeze of an axis": ".squeeze(-1)",
        "unsqueeze": ".unsqueeze(0)",
        "permute": ".permute(0, 2, 1)",
        "transpose": ".transpose(1, 2)",
        "flatten": ".flatten(0, 1)",
        "flatten from axis 1": ".flatten(1)",
        "an ellipsis and an index": "[..., i]",
        "a slice": "[:, 1:]",
        "a mask": "[mask]",
        "an index": "[i]",
        "None": "[None]",
        "to": ".to(device)",
        "to a dtype": ".to(torch.float32)",
        "cuda": ".cuda()",
        "cpu": ".cpu()",
        "float": ".float()",
        "contiguous": ".contiguous()",
        "clone": ".clone()",
        "clamp": ".clamp(1e-7, 1 - 1e-7)",
        "detach": ".detach()",
        "requires_grad_": ".requires_grad_()",
        "type": ".type(torch.FloatTensor)",
        "half": ".half()",
        "chunks of the batch": ".narrow(0, 0, 8)",
        "index_select": ".index_select(0, i)",
        "swapaxes": ".swapaxes(1, 2)",
        "expand": ".expand(4, -1)",
        "repeat": ".repeat(2, 1)",
        "a chain of them": ".view(-1, 10).float().contiguous().to(device)",
        "data": ".data",
        "add eps": " + 1e-8",
    }.items()
}
SHAPES |= {
    "functions of torch": (
        """
def step(model, x, y):
    p = torch.squeeze(torch.transpose(torch.softmax(model(x), 1), 1, 2), 0)
    return F.cross_entropy(torch.flatten(p, 1), y)
""",
        """
def step(model, x, y):
    p = torch.squeeze(torch.transpose(model(x), 1, 2), 0)
    return F.cross_entropy(torch.flatten(p, 1), y)
""",
    ),
    "cat and stack": (
        """
def step(a, b, x, y):
    p = torch.cat([F.softmax(a(x), 1), F.softmax(b(x), 1)], dim=0)
    return F.cross_entropy(p, y)
""",
        """
def step(a, b, x, y):
    p = torch.cat([F.softmax(a(x), 1), b(x)], dim=0)
    return F.cross_entropy(p, y)
""",
    ),
    "a method chain": (
        """
def step(model, x, y):
    return F.cross_entropy(model(x).softmax(1).to(y.device), y)
""",
        """
def step(model, x, y):
    return F.cross_entropy(model(x).softmax(1).matmul(x), y)
""",
    ),
    "log undoes it": (
        """
def step(model, x, y):
    p = model(x).softmax(dim=-1)
    nll = F.nll_loss(torch.log(p + 1e-9), y)
    return nll + F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    p = model(x).softmax(dim=-1)
    return F.nll_loss(torch.log(p + 1e-9), y)
""",
    ),
    "in place": (
        """
def step(model, x, y):
    p = model(x).softmax(1)
    p.clamp_(min=1e-6)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y):
    p = model(x).softmax(1)
    p.log_()
    return F.nll_loss(p.clamp(min=-50), y)
""",
    ),
    "a handwritten softmax": (
        """
def softmax(z):
    z = z - z.max(dim=1, keepdim=True).values
    e = torch.exp(z)
    return e / e.sum(dim=1, keepdim=True)  # softmax
def step(model, x, y):
    return F.cross_entropy(softmax(model(x)), y)
""",
        """
def normalise(z):
    return z / z.sum(dim=1, keepdim=True)
def step(model, x, y):
    return F.cross_entropy(normalise(model(x)), y)
""",
    ),
    "masked_fill": (
        """
def step(model, x, y, mask):
    p = F.softmax(model(x).masked_fill(mask, -1e9), 1)
    return F.cross_entropy(p, y)
""",
        """
def step(model, x, y, mask):
    out = model(x).masked_fill(mask, -1e9)
    return F.cross_entropy(out, y)
""",
    ),
}

TABLES = {
    "imports": IMPORTS,
    "names": NAMES,
    "containers": CONTAINERS,
    "functions": FUNCTIONS,
    "control": CONTROL,
    "shapes": SHAPES,
}
PAIRS = [
    (f"{title}: {reason}", "" if title == "imports" else PRELUDE, pair)
    for title, table in TABLES.items()
    for reason, pair in table.items()
]
FOUND = [pytest.param(head + bad, id=reason) for reason, head, (bad, _) in PAIRS]
QUIET = [pytest.param(head + good, id=reason) for reason, head, (_, good) in PAIRS]


@pytest.mark.parametrize("program", FOUND)
def test_probabilities_are_followed_to_the_loss(program: str, tmp_path: Path) -> None:
    assert_found(program, tmp_path)


@pytest.mark.parametrize("program", QUIET)
def test_a_program_like_it_is_quiet(program: str, tmp_path: Path) -> None:
    assert_quiet(program, tmp_path)
