"""Values are followed through objects: attributes, nn.Module in all its spellings, configurations.

Every construct stands twice: where it takes probabilities to the loss, and where it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowing import PRELUDE, assert_found, assert_quiet

if TYPE_CHECKING:
    from pathlib import Path

STEP = """
def step(x, y):
    return F.cross_entropy(Net()(x), y)
"""


def both(with_softmax: str, without: str, ending: str = STEP) -> tuple[str, str]:
    """Return two programs with the same ending."""
    return with_softmax + ending, without + ending


def layers(of_softmax: str, of_others: str) -> tuple[str, str]:
    """Return two programs in which `net` is made in two ways."""
    ending = "\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n"
    return both("\n" + of_softmax, "\n" + of_others, ending)


# construct: (a program in which softmax reaches the loss, one in which it does not)
MODULES = {
    "forward with a function": both(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
""",
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return F.relu(self.fc(x))
""",
    ),
    "forward with a layer": both(
        """
class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc = nn.Linear(4, 3)
        self.out = nn.Softmax(dim=1)
    def forward(self, x):
        x = self.fc(x)
        return self.out(x)
""",
        """
class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc = nn.Linear(4, 3)
        self.out = nn.Softmax(dim=1)  # for prediction alone
    def forward(self, x):
        return self.fc(x)
    def predict(self, x):
        return self.out(self.forward(x))
""",
    ),
    "a method other than forward": both(
        """
class Net(nn.Module):
    def head(self, z):
        return z.softmax(-1)
    def forward(self, x):
        return self.head(x)
""",
        """
class Net(nn.Module):
    def head(self, z):
        return z.softmax(-1)
    def forward(self, x):
        return self.tail(x)
    def tail(self, z):
        return z
""",
    ),
    "model.forward(x)": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
net = Net()
def step(x, y):
    return F.cross_entropy(net.forward(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
    def logits(self, x):
        return x
net = Net()
def step(x, y):
    return F.cross_entropy(net.logits(x), y)
""",
    ),
    "a nested module": both(
        """
class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Softmax(dim=-1)
    def forward(self, z):
        return self.softmax(z)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 3), Head()
    def forward(self, x):
        return self.head(self.body(x))
""",
        """
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Softmax(dim=-1)
    def forward(self, q, k, v):
        return self.softmax(q @ k.transpose(1, 2)) @ v
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 3), Attention()
    def forward(self, x):
        return self.body(self.head(x, x, x))
""",
    ),
    "three modules deep": both(
        """
class A(nn.Module):
    def forward(self, z): return F.softmax(z, 1)
class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = A()
    def forward(self, z): return self.a(z)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = B()
    def forward(self, z): return self.b(z)
""",
        """
class A(nn.Module):
    def forward(self, z): return F.softmax(z, 1), z
class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = A()
    def forward(self, z): return self.a(z)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = B()
    def forward(self, z):
        _, z = self.b(z)
        return z
""",
    ),
    "inheritance": both(
        """
class Base(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
class Net(Base):
    pass
""",
        """
class Base(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
class Net(Base):
    def forward(self, x):
        return x
""",
    ),
    "super().forward": both(
        """
class Base(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
class Net(Base):
    def forward(self, x):
        return super().forward(x)
""",
        """
class Base(nn.Module):
    def forward(self, x):
        return x
class Net(Base):
    def forward(self, x):
        return super().forward(x)
    def predict(self, x):
        return F.softmax(self(x), 1)
""",
    ),
    "super().forward, then softmax": both(
        """
class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(x)
class Net(Base):
    def forward(self, x):
        return F.softmax(super().forward(x), dim=1)
""",
        """
class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
class Net(Base):
    def forward(self, x):
        return self.fc(super().forward(x))
""",
    ),
    "an attribute of the base class": both(
        """
class Base(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.activation = activation
class Net(Base):
    def __init__(self):
        super().__init__(nn.Softmax(dim=1))
    def forward(self, x):
        return self.activation(x)
""",
        """
class Base(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.activation = activation
class Net(Base):
    def __init__(self):
        super().__init__(nn.Tanh())
    def forward(self, x):
        return self.activation(x)
""",
    ),
    "an abstract method": both(
        """
from abc import ABC, abstractmethod
class Base(nn.Module, ABC):
    @abstractmethod
    def head(self, z):
        raise NotImplementedError
    def forward(self, x):
        return self.head(x)
class Net(Base):
    def head(self, z):
        return z.softmax(1)
""",
        """
from abc import ABC, abstractmethod
class Base(nn.Module, ABC):
    @abstractmethod
    def head(self, z):
        return z.softmax(1)
    def forward(self, x):
        return self.head(x)
class Net(Base):
    def head(self, z):
        return z
""",
    ),
    "a mixin": both(
        """
class SoftmaxMixin:
    def head(self, z):
        return F.softmax(z, 1)
class Net(SoftmaxMixin, nn.Module):
    def forward(self, x):
        return self.head(x)
""",
        """
class SoftmaxMixin:
    def head(self, z):
        return F.softmax(z, 1)
class PlainMixin:
    def head(self, z):
        return z
class Net(PlainMixin, SoftmaxMixin, nn.Module):
    def forward(self, x):
        return self.head(x)
""",
    ),
    "a base that is not known": (
        """
from mylib import Base
class Net(Base):
    def forward(self, x):
        return F.softmax(self.body(x), 1)
    def step(self, x, y):
        return F.cross_entropy(self.forward(x), y)
""",
        """
from mylib import Base
class Net(Base):
    def head(self, x):
        return super().head(F.softmax(x, 1))
    def step(self, x, y):
        return F.cross_entropy(self.head(x), y)
""",
    ),
    "a class attribute": both(
        """
class Net(nn.Module):
    activation = nn.Softmax(dim=1)
    def forward(self, x):
        return self.activation(x)
""",
        """
class Net(nn.Module):
    activation = nn.Softmax(dim=1)
    def __init__(self):
        super().__init__()
        self.activation = nn.Identity()
    def forward(self, x):
        return self.activation(x)
""",
    ),
    "a property": both(
        """
class Net(nn.Module):
    @property
    def head(self):
        return nn.Softmax(dim=1)
    def forward(self, x):
        return self.head(x)
""",
        """
class Net(nn.Module):
    @property
    def head(self):
        return nn.Softmax(dim=1) if self.soft else nn.Identity()
    def forward(self, x):
        return self.head(x)
""",
    ),
    "a setter": (
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Identity()
    def set_head(self, head):
        self.head = head
    def forward(self, x):
        return self.head(x)
def step(x, y):
    net = Net()
    net.set_head(nn.Softmax(dim=1))
    return F.cross_entropy(net(x), y)
""",
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Softmax(dim=1)
    def set_head(self, head):
        self.head = head
    def forward(self, x):
        return self.head(x)
def step(x, y):
    net = Net()
    net.set_head(nn.Identity())
    return F.cross_entropy(net(x), y)
""",
    ),
    "a property setter": (
        """
class Net(nn.Module):
    @property
    def head(self):
        return self._head
    @head.setter
    def head(self, value):
        self._head = value
    def forward(self, x):
        return self.head(x)
def step(x, y):
    net = Net()
    net.head = nn.Softmax(dim=1)
    return F.cross_entropy(net(x), y)
""",
        """
class Net(nn.Module):
    @property
    def head(self):
        return self._head
    @head.setter
    def head(self, value):
        self._head = nn.Identity()
    def forward(self, x):
        return self.head(x)
def step(x, y):
    net = Net()
    net.head = nn.Softmax(dim=1)
    return F.cross_entropy(net(x), y)
""",
    ),
    "an attribute set from outside": (
        """
class Net(nn.Module):
    def forward(self, x):
        return self.act(x)
net = Net()
net.act = nn.Softmax(dim=1)
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Softmax(dim=1)
    def forward(self, x):
        return self.act(x)
net = Net()
net.act = nn.Identity()
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    ),
    "setattr and getattr": both(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        setattr(self, "act", nn.Softmax(dim=1))
    def forward(self, x):
        return getattr(self, "act")(x)
""",
        """
class Net(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.act = nn.Softmax(dim=1)
        setattr(self, name, nn.Identity())
    def forward(self, x):
        return getattr(self, "act")(x)
""",
    ),
    "add_module and register_module": both(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("act", nn.Softmax(dim=1))
    def forward(self, x):
        return self.act(x)
""",
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("act", nn.Softmax(dim=1))
        self.add_module("act", nn.ReLU())
    def forward(self, x):
        return self.act(x)
""",
    ),
    "the activation given to the constructor": (
        """
class Net(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.activation = activation
    def forward(self, x):
        return self.activation(x)
net = Net(nn.Softmax(dim=1))
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
        """
class Net(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.activation = activation
    def forward(self, x):
        return self.activation(x)
net = Net(nn.Softmax(dim=1))
net = Net(nn.ReLU())
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    ),
    "a flag that is true where the model is made": (
        """
class Net(nn.Module):
    def __init__(self, soft=False):
        super().__init__()
        self.soft = soft
    def forward(self, x):
        if self.soft:
            x = F.softmax(x, 1)
        return x
net = Net(soft=True)
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
        """
class Net(nn.Module):
    def __init__(self, soft=False):
        super().__init__()
        self.soft = soft
    def forward(self, x):
        if self.soft:
            x = F.softmax(x, 1)
        return x
net = Net()
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    ),
    "the layer is made under a flag": (
        """
class Net(nn.Module):
    def __init__(self, soft):
        super().__init__()
        self.act = nn.Softmax(dim=1) if soft else nn.Identity()
    def forward(self, x):
        return self.act(x)
net = Net(True)
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
        """
class Net(nn.Module):
    def __init__(self, soft):
        super().__init__()
        self.act = nn.Softmax(dim=1) if soft else nn.Identity()
    def forward(self, x):
        return self.act(x)
def step(x, y, options):
    return F.cross_entropy(Net(options.soft)(x), y)
""",
    ),
    "optional layers": both(
        """
class Net(nn.Module):
    act = None
    def __init__(self):
        super().__init__()
        self.act = nn.Softmax(dim=1)
    def forward(self, x):
        return x if self.act is None else self.act(x)
""",
        """
class Net(nn.Module):
    act = None
    def __init__(self, soft):
        super().__init__()
        if soft:
            self.act = nn.Softmax(dim=1)
    def forward(self, x):
        return x if self.act is None else self.act(x)
def step(x, y, soft):
    return F.cross_entropy(Net(soft)(x), y)
""",
    ),
    "a loss that is a module of the project": (
        """
class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.ce = nn.CrossEntropyLoss()
    def forward(self, out, y):
        return self.ce(out.softmax(1), y)
""",
        """
class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.ce = nn.CrossEntropyLoss()
    def forward(self, out, y):
        p = out.softmax(1)
        p = p[torch.arange(len(y)), y]
        return (self.ce(out, y) * (1 - p) ** 2).mean()
""",
    ),
    "a loss that inherits": (
        """
class Smooth(nn.CrossEntropyLoss):
    def forward(self, out, y):
        return F.cross_entropy(out, y, label_smoothing=0.1)
criterion = Smooth()
def step(model, x, y):
    return criterion(F.softmax(model(x), 1), y)
""",
        """
class FromProbabilities(nn.CrossEntropyLoss):
    def forward(self, p, y):
        return F.nll_loss(torch.log(p.clamp(min=1e-9)), y)
criterion = FromProbabilities()
def step(model, x, y):
    return criterion(F.softmax(model(x), 1), y)
""",
    ),
    "a callable object": (
        """
class Soft:
    def __call__(self, z):
        return F.softmax(z, dim=1)
soft = Soft()
def step(model, x, y):
    return F.cross_entropy(soft(model(x)), y)
""",
        """
class Soft:
    def __call__(self, z):
        return F.softmax(z, dim=1).matmul(z.T)
soft = Soft()
def step(model, x, y):
    return F.cross_entropy(soft(model(x)), y)
""",
    ),
    "wrapped in DataParallel": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
model = nn.DataParallel(Net().to("cuda"))
def step(x, y):
    return F.cross_entropy(model(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return x
model = nn.DataParallel(Net().to("cuda"))
def step(x, y):
    return F.cross_entropy(model(x), y), F.softmax(model(x), 1)
""",
    ),
    "model.module of a wrapper": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
model = nn.parallel.DistributedDataParallel(Net(), device_ids=[0])
def step(x, y):
    return F.cross_entropy(model.module(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
    def logits(self, x):
        return x
model = nn.parallel.DistributedDataParallel(Net(), device_ids=[0])
def step(x, y):
    return F.cross_entropy(model.module.logits(x), y)
""",
    ),
    "torch.compile, eval and device": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
device = torch.device("cpu")
model = torch.compile(Net().to(device).train())
model.eval()
def step(x, y):
    return F.cross_entropy(model(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
device = torch.device("cpu")
model = torch.compile(Net().to(device).train())
model = load_model("other")
def step(x, y):
    return F.cross_entropy(model(x), y)
""",
    ),
    "the loss through a tuple of the model": (
        """
class Net(nn.Module):
    def forward(self, x):
        return x, F.softmax(x, 1)
def step(x, y):
    _, out = Net()(x)
    return F.cross_entropy(out, y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return x, F.softmax(x, 1)
def step(x, y):
    out, _ = Net()(x)
    return F.cross_entropy(out, y)
""",
    ),
}

CONTAINERS = {
    "Sequential": layers(
        "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n",
        "net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.1))\n",
    ),
    "Sequential with softmax inside": layers(
        "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1), nn.Identity(), nn.Dropout())\n",
        "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1), nn.Linear(3, 3))\n",
    ),
    "Sequential of an OrderedDict": layers(
        "from collections import OrderedDict\n"
        'net = nn.Sequential(OrderedDict([("fc", nn.Linear(4, 3)), ("out", nn.Softmax(dim=1))]))\n',
        "from collections import OrderedDict\n"
        'net = nn.Sequential(OrderedDict([("fc", nn.Linear(4, 3)), ("out", nn.ReLU())]))\n',
    ),
    "Sequential of an OrderedDict of a dict": layers(
        "from collections import OrderedDict\n"
        'net = nn.Sequential(OrderedDict({"fc": nn.Linear(4, 3), "out": nn.Softmax(dim=1)}))\n',
        "from collections import OrderedDict\n"
        'net = nn.Sequential(OrderedDict({"out": nn.Softmax(dim=1), "fc": nn.Linear(4, 3)}))\n',
    ),
    "Sequential of a list": layers(
        "layers = [nn.Linear(4, 3)]\nlayers.append(nn.Softmax(dim=1))\n"
        "net = nn.Sequential(*layers)\n",
        "layers = [nn.Linear(4, 3)]\nnet = nn.Sequential(*layers)\n"
        "layers.append(nn.Softmax(dim=1))\n",
    ),
    "Sequential of a list with more": layers(
        "layers = [nn.Linear(4, 3), nn.ReLU()]\nnet = nn.Sequential(*layers, nn.Softmax(dim=1))\n",
        "layers = [nn.Linear(4, 3), nn.Softmax(1)]\n"
        "net = nn.Sequential(*layers, nn.Linear(3, 3))\n",
    ),
    "Sequential of a list of not known length": layers(
        "def make(n):\n    layers = []\n    for i in range(n):\n"
        "        layers += [nn.Linear(4, 4), nn.ReLU()]\n"
        "    return nn.Sequential(*layers, nn.Softmax(dim=1))\nnet = make(3)\n",
        "def make(n):\n    layers = [nn.Softmax(dim=1)]\n    for i in range(n):\n"
        "        layers += [nn.Linear(4, 4), nn.ReLU()]\n"
        "    return nn.Sequential(*layers)\nnet = make(3)\n",
    ),
    "Sequential from layers in a comprehension": layers(
        "net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)], nn.Softmax(dim=1))\n",
        "net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])\n",
    ),
    "append": layers(
        "net = nn.Sequential(nn.Linear(4, 3))\nnet.append(nn.Softmax(dim=1))\n",
        "net = nn.Sequential(nn.Softmax(dim=1))\nnet.append(nn.Linear(4, 3))\n",
    ),
    "add_module": layers(
        'net = nn.Sequential()\nnet.add_module("fc", nn.Linear(4, 3))\n'
        'net.add_module("out", nn.Softmax(dim=1))\n',
        'net = nn.Sequential()\nnet.add_module("act", nn.Softmax(dim=1))\n'
        'net.add_module("fc", nn.Linear(4, 3))\n',
    ),
    "insert and extend": layers(
        "net = nn.Sequential(nn.Softmax(dim=1))\nnet.insert(0, nn.Linear(4, 3))\n",
        "net = nn.Sequential(nn.Softmax(dim=1))\nnet.extend([nn.Linear(4, 3)])\n",
    ),
    "an item is replaced": layers(
        "net = nn.Sequential(nn.Linear(4, 3), nn.Identity())\nnet[1] = nn.Softmax(dim=1)\n",
        "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\nnet[-1] = nn.Identity()\n",
    ),
    "a slice": layers(
        "whole = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1), nn.Linear(3, 3))\n"
        "net = whole[:2]\n",
        "whole = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\nnet = whole[:-1]\n",
    ),
    "Sequential inside Sequential": layers(
        "net = nn.Sequential(nn.Sequential(nn.Linear(4, 3)), nn.Sequential(nn.Softmax(dim=1)))\n",
        "net = nn.Sequential(nn.Sequential(nn.Softmax(dim=1)), nn.Sequential(nn.Linear(4, 3)))\n",
    ),
    "Sequential of modules of the project": layers(
        "class Soft(nn.Module):\n    def forward(self, z):\n        return F.softmax(z, 1)\n"
        "net = nn.Sequential(nn.Linear(4, 3), Soft())\n",
        "class Soft(nn.Module):\n    def forward(self, z):\n        return F.softmax(z, 1) @ z\n"
        "net = nn.Sequential(nn.Linear(4, 3), Soft())\n",
    ),
    "indexing a layer": (
        """
net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
def step(x, y):
    return F.cross_entropy(net[1](net[0](x)), y)
""",
        """
net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
def step(x, y):
    return F.cross_entropy(net[0](x), y)
""",
    ),
    "a class that is a Sequential": both(
        """
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.Softmax(dim=1))
""",
        """
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.ReLU())
    def predict(self, x):
        return self(x).softmax(1)
""",
    ),
    "a class that is a Sequential of a list": both(
        """
class Net(nn.Sequential):
    def __init__(self, soft=True):
        layers = [nn.Linear(4, 3)]
        if soft:
            layers.append(nn.Softmax(dim=1))
        super().__init__(*layers)
""",
        """
class Net(nn.Sequential):
    def __init__(self, soft):
        layers = [nn.Linear(4, 3)]
        if soft:
            layers.append(nn.Softmax(dim=1))
        super().__init__(*layers)
def other(x, y, soft):
    return F.cross_entropy(Net(soft)(x), y)
""",
    ),
    "a class that is a Sequential and adds modules": both(
        """
class Net(nn.Sequential):
    def __init__(self):
        super().__init__()
        self.add_module("fc", nn.Linear(4, 3))
        self.add_module("out", nn.Softmax(dim=1))
""",
        """
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Softmax(dim=1))
        self.add_module("fc", nn.Linear(4, 3))
""",
    ),
    "a ModuleList": both(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 3), nn.Softmax(dim=1)])
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
""",
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Softmax(dim=1), nn.Linear(4, 3)])
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
""",
    ),
    "a ModuleList of not known length": both(
        """
class Net(nn.Module):
    def __init__(self, n=4):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(100)])
        self.out = nn.ModuleList([nn.Softmax(dim=1)])
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.out[-1](x)
""",
        """
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(n)])
        self.layers.append(nn.Softmax(dim=1))
    def forward(self, x):
        for layer in self.layers[:-1]:
            x = layer(x)
        return x
""",
    ),
    "a ModuleDict": both(
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"fc": nn.Linear(4, 3), "out": nn.Softmax(dim=1)})
    def forward(self, x):
        return self.parts["out"](self.parts["fc"](x))
""",
        """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"fc": nn.Linear(4, 3), "out": nn.Softmax(dim=1)})
        self.parts["out"] = nn.Identity()
    def forward(self, x):
        return self.parts["out"](self.parts["fc"](x))
""",
    ),
}

PROGRAMS = {
    "a dataclass configuration": (
        """
from dataclasses import dataclass, field
@dataclass
class Config:
    lr: float = 0.1
    criterion: nn.Module = field(default_factory=nn.CrossEntropyLoss)
config = Config()
def step(model, x, y):
    return config.criterion(F.softmax(model(x), 1), y)
""",
        """
from dataclasses import dataclass, field
@dataclass
class Config:
    lr: float = 0.1
    criterion: nn.Module = field(default_factory=nn.CrossEntropyLoss)
config = Config(criterion=nn.MSELoss())
def step(model, x, y):
    return config.criterion(model(x), y), F.softmax(model(x), 1)
""",
    ),
    "a flag of a dataclass configuration": (
        """
from dataclasses import dataclass
@dataclass
class Config:
    softmax: bool = True
class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
    def forward(self, x):
        return F.softmax(x, 1) if self.config.softmax else x
net = Net(Config())
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
        """
from dataclasses import dataclass
@dataclass
class Config:
    softmax: bool = True
class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
    def forward(self, x):
        return F.softmax(x, 1) if self.config.softmax else x
net = Net(Config(softmax=False))
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    ),
    "a dict configuration": (
        """
config = {"lr": 0.1, "activation": nn.Softmax(dim=1), "loss": nn.CrossEntropyLoss}
def step(model, x, y):
    criterion = config["loss"]()
    return criterion(config["activation"](model(x)), y)
""",
        """
config = {"lr": 0.1, "activation": nn.Softmax(dim=1), "loss": nn.NLLLoss}
def step(model, x, y):
    criterion = config["loss"]()
    return criterion(torch.log(config["activation"](model(x)).clamp(min=1e-9)), y)
""",
    ),
    "a trainer": (
        """
class Trainer:
    def __init__(self, model, lr=0.1):
        self.model = model
        self.criterion = nn.CrossEntropyLoss()
        self.softmax = nn.Softmax(dim=1)
    def train(self, loader):
        for x, y in loader:
            out = self.softmax(self.model(x))
            loss = self.criterion(out, y)
            loss.backward()
""",
        """
class Trainer:
    def __init__(self, model, criterion=None):
        self.model = model
        self.criterion = criterion
        self.softmax = nn.Softmax(dim=1)
    def train(self, loader):
        for x, y in loader:
            out = self.softmax(self.model(x))
            loss = self.criterion(out, y)
            loss.backward()
""",
    ),
    "a criterion set in another method": (
        """
class Trainer:
    def __init__(self, model):
        self.model = model
        self.build()
    def build(self):
        self.criterion = nn.CrossEntropyLoss()
    def step(self, x, y):
        return self.criterion(self.model(x).softmax(1), y)
""",
        """
class Trainer:
    def __init__(self, model):
        self.model = model
        self.criterion = nn.CrossEntropyLoss()
    def use(self, criterion):
        self.criterion = criterion
    def step(self, x, y):
        return self.criterion(self.model(x).softmax(1), y)
""",
    ),
    "an output kept on self": (
        """
class Trainer:
    def predict(self, model, x):
        self.out = F.softmax(model(x), 1)
    def step(self, model, x, y):
        self.predict(model, x)
        return F.cross_entropy(self.out, y)
""",
        """
class Trainer:
    def predict(self, model, x):
        self.out = model(x)
        self.shown = F.softmax(self.out, 1)
    def step(self, model, x, y):
        self.predict(model, x)
        return F.cross_entropy(self.out, y)
""",
    ),
    "a LightningModule": (
        """
import pytorch_lightning as pl
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.loss = nn.CrossEntropyLoss()
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(self(x), y)
        self.log("train_loss", loss)
        return loss
""",
        """
import pytorch_lightning as pl
class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.loss = nn.CrossEntropyLoss()
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.loss(self.fc(x), y)
        self.log("train_loss", loss)
        return loss
""",
    ),
    "a shared step": (
        """
import lightning as L
class Net(L.LightningModule):
    def forward(self, x):
        return self.net(x).softmax(dim=-1)
    def shared_step(self, batch, stage):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log(f"{stage}_loss", loss)
        return {"loss": loss}
    def training_step(self, batch, _):
        return self.shared_step(batch, "train")
    def validation_step(self, batch, _):
        return self.shared_step(batch, "val")
""",
        """
import lightning as L
class Net(L.LightningModule):
    def forward(self, x):
        return self.net(x)
    def shared_step(self, batch, stage):
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        self.log(f"{stage}_loss", loss)
        return {"loss": loss, "probs": logits.softmax(dim=-1)}
    def training_step(self, batch, _):
        return self.shared_step(batch, "train")
    def predict_step(self, batch, _):
        return self(batch[0]).softmax(dim=-1)
""",
    ),
    "an output like those of transformers": (
        """
from dataclasses import dataclass
from transformers.utils import ModelOutput
@dataclass
class Output(ModelOutput):
    loss: torch.Tensor = None
    logits: torch.Tensor = None
class Net(nn.Module):
    def forward(self, x, labels=None):
        logits = F.softmax(x, dim=-1)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.view(-1, 5), labels.view(-1))
        return Output(loss=loss, logits=logits)
""",
        """
from dataclasses import dataclass
from transformers.utils import ModelOutput
@dataclass
class Output(ModelOutput):
    loss: torch.Tensor = None
    logits: torch.Tensor = None
    probs: torch.Tensor = None
class Net(nn.Module):
    def forward(self, x):
        return Output(logits=x, probs=F.softmax(x, dim=-1))
def step(x, y):
    out = Net()(x)
    return F.cross_entropy(out.logits.view(-1, 5), y.view(-1))
""",
    ),
    "an item of such an output": (
        """
from dataclasses import dataclass
@dataclass
class Output:
    logits: torch.Tensor
    probs: torch.Tensor = None
class Net(nn.Module):
    def forward(self, x):
        return Output(x, F.softmax(x, dim=-1))
def step(x, y):
    return F.cross_entropy(Net()(x).probs, y)
""",
        """
from dataclasses import dataclass
@dataclass
class Output:
    logits: torch.Tensor
    probs: torch.Tensor = None
class Net(nn.Module):
    def forward(self, x):
        return Output(x, F.softmax(x, dim=-1))
def step(x, y):
    out = Net()(x)
    out.probs = out.logits
    return F.cross_entropy(out.probs, y)
""",
    ),
    "a model returning a dict": (
        """
class Net(nn.Module):
    def forward(self, x):
        return {"out": F.softmax(x, 1), "aux": x}
def step(x, y):
    out = Net()(x)
    return F.cross_entropy(out["out"], y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return {"out": F.softmax(x, 1), "aux": x}
def step(x, y):
    out = Net()(x)
    return F.cross_entropy(out["aux"], y)
""",
    ),
    "a factory of models": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
def build(name="net"):
    if name == "net":
        return Net()
    raise ValueError(name)
model = build()
def step(x, y):
    return F.cross_entropy(model(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
class Plain(nn.Module):
    def forward(self, x):
        return x
def build(name):
    return {"net": Net, "plain": Plain}[name]()
def step(x, y, name):
    return F.cross_entropy(build(name)(x), y)
""",
    ),
    "a registry of classes": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
MODELS = {"net": Net}
def step(x, y):
    return F.cross_entropy(MODELS["net"]()(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
class Plain(nn.Module):
    def forward(self, x):
        return x
MODELS = {"net": Net}
MODELS["net"] = Plain
def step(x, y):
    return F.cross_entropy(MODELS["net"]()(x), y)
""",
    ),
    "a model given by its annotation": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
def step(model: Net, x, y):
    return F.cross_entropy(model(x), y)
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
def step(model: nn.Module, x, y):
    return F.cross_entropy(model(x), y)
""",
    ),
    "a main function": (
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
def train(model, loader, criterion):
    for x, y in loader:
        criterion(model(x), y).backward()
def main():
    train(Net(), None, nn.CrossEntropyLoss())
if __name__ == "__main__":
    main()
""",
        """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
def train(model, loader, criterion):
    for x, y in loader:
        criterion(model(x), y).backward()
def main():
    train(Net(), None, lambda p, y: -p[range(len(y)), y].mean())
if __name__ == "__main__":
    main()
""",
    ),
}

TABLES = {"modules": MODULES, "containers": CONTAINERS, "programs": PROGRAMS}
PAIRS = [
    (f"{title}: {reason}", pair)
    for title, table in TABLES.items()
    for reason, pair in table.items()
]
FOUND = [pytest.param(PRELUDE + bad, id=reason) for reason, (bad, _) in PAIRS]
QUIET = [pytest.param(PRELUDE + good, id=reason) for reason, (_, good) in PAIRS]


@pytest.mark.parametrize("program", FOUND)
def test_probabilities_are_followed_through_objects(program: str, tmp_path: Path) -> None:
    assert_found(program, tmp_path)


@pytest.mark.parametrize("program", QUIET)
def test_a_program_like_it_is_quiet(program: str, tmp_path: Path) -> None:
    assert_quiet(program, tmp_path)
