"""Programs that look like mistakes and are right: the linter says nothing of them.

Beside each kind stands one that is a mistake, so that the silence is not deafness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowing import PRELUDE, assert_quiet
from linting import codes, lint

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = {
    "attention": """
class Attention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)
        self.softmax = nn.Softmax(dim=-1)
    def forward(self, x):
        weights = self.softmax(self.q(x) @ self.k(x).transpose(-2, -1) / 8)
        return weights @ self.v(x)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.fc = Attention(64), nn.Linear(64, 10)
    def forward(self, x):
        return self.fc(self.attention(x).mean(dim=1))
def step(x, y):
    return F.cross_entropy(Net()(x), y)
""",
    "attention with einsum and bmm": """
def attend(q, k, v):
    p = F.softmax(torch.einsum("bqd,bkd->bqk", q, k), dim=-1)
    return torch.einsum("bqk,bkd->bqd", p, v) + torch.bmm(p, v)
def step(net, x, y):
    return F.cross_entropy(net(attend(x, x, x)), y)
""",
    "attention whose context is the output": """
def step(q, k, v, y):
    weights = torch.softmax(q @ k.T, dim=-1)
    return F.cross_entropy(torch.matmul(weights, v), y)
""",
    "attention weighted by a product and a sum": """
def step(scores, h, y, fc):
    alpha = F.softmax(scores, dim=1)
    context = (alpha.unsqueeze(-1) * h).sum(dim=1)
    return F.cross_entropy(fc(context), y)
""",
    "attention in place of a product": """
def step(scores, h, y):
    alpha = F.softmax(scores, dim=1)
    return F.cross_entropy((alpha.unsqueeze(-1) * h).sum(1), y)
""",
    "gating": """
class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.a, self.b = nn.Linear(4, 1), nn.Linear(4, 3), nn.Linear(4, 3)
    def forward(self, x):
        g = torch.sigmoid(self.gate(x))
        return g * self.a(x) + (1 - g) * self.b(x)
def step(x, y):
    return F.cross_entropy(Gated()(x), y)
""",
    "a mixture of experts": """
class Mixture(nn.Module):
    def __init__(self, n=4):
        super().__init__()
        self.gate = nn.Linear(8, n)
        self.experts = nn.ModuleList([nn.Linear(8, 3) for _ in range(n)])
    def forward(self, x):
        weights = F.softmax(self.gate(x), dim=-1)
        outs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (weights.unsqueeze(-1) * outs).sum(dim=1)
def step(x, y):
    return F.cross_entropy(Mixture()(x), y)
""",
    "experts chosen by a gate": """
def step(gate, experts, x, y):
    weights, chosen = F.softmax(gate(x), dim=-1).topk(2)
    out = sum(w[:, None] * experts[int(i)](x) for w, i in zip(weights.T, chosen[0]))
    return F.cross_entropy(out, y)
""",
    "a mixture of softmaxes": """
def step(prior, heads, x, y):
    pi = F.softmax(prior(x), dim=-1)
    p = F.softmax(heads(x), dim=-1)
    mixed = (pi.unsqueeze(-1) * p).sum(1)
    return F.nll_loss(torch.log(mixed + 1e-8), y)
""",
    "a gated linear unit": """
def step(fc, out, x, y):
    a, b = fc(x).chunk(2, dim=-1)
    return F.cross_entropy(out(a * torch.sigmoid(b)), y)
""",
    "squeeze and excitation": """
class SE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, c), nn.Sigmoid())
    def forward(self, x):
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]
net = nn.Sequential(SE(64), nn.Flatten(), nn.Linear(64, 10))
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    "a policy": """
from torch.distributions import Categorical
def act(policy, state):
    probs = F.softmax(policy(state), dim=-1)
    m = Categorical(probs)
    action = m.sample()
    return action.item(), m.log_prob(action)
def finish(log_probs, returns):
    loss = torch.cat([-lp * r for lp, r in zip(log_probs, returns)]).sum()
    loss.backward()
""",
    "a policy with entropy and a critic": """
def step(net, x, actions, returns):
    logits, value = net(x)
    dist = torch.distributions.Categorical(probs=F.softmax(logits, dim=-1))
    actor = -(dist.log_prob(actions) * (returns - value.detach())).mean()
    critic = F.mse_loss(value.squeeze(-1), returns)
    return actor + 0.5 * critic - 0.01 * dist.entropy().mean()
""",
    "a policy whose actions are the targets": """
def step(net, states, actions, advantages):
    logits = net(states)
    probs = F.softmax(logits, dim=-1)
    actions = torch.multinomial(probs, 1).squeeze(1)
    return (F.cross_entropy(logits, actions, reduction="none") * advantages).mean()
""",
    "gathered probabilities": """
def step(net, x, a, old, adv):
    p = F.softmax(net(x), dim=-1).gather(1, a.unsqueeze(1)).squeeze(1)
    ratio = p / old
    return -torch.min(ratio * adv, ratio.clamp(0.8, 1.2) * adv).mean()
""",
    "distillation": """
def step(student, teacher, x, y, T=4.0, alpha=0.5):
    s = student(x)
    with torch.no_grad():
        t = teacher(x)
    soft = F.kl_div(
        F.log_softmax(s / T, dim=1), F.softmax(t / T, dim=1), reduction="batchmean"
    ) * T * T
    return alpha * soft + (1 - alpha) * F.cross_entropy(s, y)
""",
    "distillation as a module": """
class Distillation(nn.Module):
    def __init__(self, T):
        super().__init__()
        self.T = T
        self.kl = nn.KLDivLoss(reduction="batchmean")
        self.ce = nn.CrossEntropyLoss()
    def forward(self, s, t, y):
        p = F.log_softmax(s / self.T, dim=1)
        q = F.softmax(t / self.T, dim=1)
        return self.kl(p, q) * self.T**2 + self.ce(s, y)
""",
    "soft targets": """
def step(student, teacher, x):
    with torch.no_grad():
        targets = F.softmax(teacher(x), dim=1)
    return F.cross_entropy(student(x), targets)
""",
    "soft targets by keyword": """
def step(student, teacher, x):
    return F.cross_entropy(target=teacher(x).softmax(1), input=student(x))
""",
    "mixup": """
def step(model, x, y, lam):
    index = torch.randperm(x.size(0))
    mixed = lam * x + (1 - lam) * x[index]
    out = model(mixed)
    return lam * F.cross_entropy(out, y) + (1 - lam) * F.cross_entropy(out, y[index])
""",
    "mixed targets": """
def step(model, x, y, lam):
    soft = F.one_hot(y, 10).float()
    soft = lam * soft + (1 - lam) * soft.flip(0)
    return nn.CrossEntropyLoss()(model(x), soft)
""",
    "a teacher by moving average and sharpened targets": """
def step(student, ema, x, u, y, T=0.5):
    with torch.no_grad():
        p = torch.softmax(ema(u), dim=1) ** (1 / T)
        targets = p / p.sum(dim=1, keepdim=True)
    return F.cross_entropy(student(x), y) + F.mse_loss(F.softmax(student(u), 1).detach(), targets)
""",
    "pseudo-labels": """
def step(model, x, u, y):
    with torch.no_grad():
        p = F.softmax(model(u), dim=-1)
        confidence, labels = p.max(dim=-1)
        mask = (confidence > 0.95).float()
    loss = F.cross_entropy(model(x), y)
    return loss + (F.cross_entropy(model(u), labels, reduction="none") * mask).mean()
""",
    "softmax for metrics alone": """
def evaluate(model, loader, criterion=nn.CrossEntropyLoss()):
    correct, total = 0, 0.0
    with torch.no_grad():
        for x, y in loader:
            out = model(x)
            total += criterion(out, y).item()
            p = F.softmax(out, dim=1)
            correct += (p.argmax(1) == y).sum().item()
    return correct, total
""",
    "softmax for a confusion matrix kept beside": """
def evaluate(model, loader):
    probs, losses = [], []
    for x, y in loader:
        out = model(x)
        losses.append(F.cross_entropy(out, y))
        probs.append(F.softmax(out, 1).detach().cpu().numpy())
    return probs, losses
""",
    "predict beside forward": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(x)
    def predict_proba(self, x):
        return F.softmax(self(x), dim=1)
    def loss(self, x, y):
        return F.cross_entropy(self(x), y)
""",
    "if self.training: return logits": """
class Net(nn.Module):
    def forward(self, x):
        if self.training:
            return x
        return F.softmax(x, dim=1)
def step(x, y):
    return F.cross_entropy(Net()(x), y)
""",
    "if not self.training": """
class Net(nn.Module):
    def forward(self, x):
        if not self.training:
            x = torch.softmax(x, dim=-1)
        return x
def step(x, y):
    net = Net()
    net.train()
    return F.cross_entropy(net(x), y)
""",
    "a conditional on self.training": """
class Net(nn.Module):
    def forward(self, x):
        return x if self.training else x.softmax(1)
def step(x, y):
    return F.cross_entropy(Net().train()(x), y)
""",
    "(logits, probs)": """
class Net(nn.Module):
    def forward(self, x):
        return x, F.softmax(x, dim=1)
def step(x, y):
    logits, probs = Net()(x)
    acc = (probs.argmax(1) == y).float().mean()
    return F.cross_entropy(logits, y), acc
""",
    "(logits, probs), the first by its index": """
class Net(nn.Module):
    def forward(self, x):
        return [x, F.softmax(x, dim=1)]
def step(x, y):
    return F.cross_entropy(Net()(x)[0], y)
""",
    "(logits, probs), an unknown index": """
class Net(nn.Module):
    def forward(self, x):
        return x, F.softmax(x, dim=1)
def step(x, y, which):
    return F.cross_entropy(Net()(x)[which], y)
""",
    "probabilities beside the hidden state": """
class RNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.LSTM(4, 8), nn.Linear(8, 3)
    def forward(self, x, h):
        out, h = self.rnn(x, h)
        return self.fc(out), h
def step(x, y, h):
    out, h = RNN()(x, h)
    return F.cross_entropy(out.view(-1, 3), y.view(-1)), F.softmax(out, -1)
""",
    "a softmax that is never called": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.softmax = nn.Softmax(dim=1)
    def forward(self, x):
        # x = self.softmax(x)
        return self.fc(x)
def step(x, y):
    return nn.CrossEntropyLoss()(Net()(x), y)
""",
    "a function that nobody calls": """
def activate(z):
    return F.softmax(z, 1)
def step(model, x, y):
    return F.cross_entropy(model(x), y)
""",
    "a flag that is not known": """
class Net(nn.Module):
    def __init__(self, soft=False):
        super().__init__()
        self.soft = soft
    def forward(self, x):
        return torch.sigmoid(x) if self.soft else x
def step(x, y, args):
    return F.binary_cross_entropy_with_logits(Net(args.soft)(x), y)
""",
    "a flag from the command line": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--softmax", action="store_true")
args = parser.parse_args()
def step(model, x, y):
    out = model(x)
    if args.softmax:
        out = F.softmax(out, 1)
    loss = F.nll_loss if args.softmax else F.cross_entropy
    return loss(out, y)
""",
    "a flag that goes with the loss": """
def step(model, x, y, probs):
    out = model(x)
    if probs:
        out = torch.sigmoid(out)
    if probs:
        return F.binary_cross_entropy(out, y)
    return F.binary_cross_entropy_with_logits(out, y)
""",
    "a flag on self that other methods set": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.soft = False
    def use_softmax(self):
        self.soft = True
    def forward(self, x):
        return F.softmax(x, 1) if self.soft else x
def step(x, y):
    net = Net()
    return F.cross_entropy(net(x), y)
""",
    "a default that most calls replace": """
class Net(nn.Module):
    def __init__(self, activation=nn.Softmax(dim=1)):
        super().__init__()
        self.activation = activation
    def forward(self, x):
        return self.activation(x)
def step(x, y):
    return F.cross_entropy(Net(nn.Identity())(x), y)
""",
    "log applied later": """
def step(model, x, y):
    p = F.softmax(model(x), dim=1)
    p = torch.log(p.clamp(min=1e-9))
    return F.nll_loss(p, y)
""",
    "log in the caller": """
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, dim=1)
def step(x, y):
    return F.nll_loss((Net()(x) + 1e-9).log(), y)
""",
    "logits got back": """
def step(model, x, y):
    p = torch.sigmoid(model(x)).clamp(1e-6, 1 - 1e-6)
    return F.binary_cross_entropy_with_logits(torch.log(p / (1 - p)), y)
""",
    "torch.logit": """
def step(model, x, y):
    p = torch.sigmoid(model(x))
    return F.binary_cross_entropy_with_logits(torch.logit(p, eps=1e-6), y)
""",
    "clamped by the caller, in range": """
class Net(nn.Module):
    def forward(self, x):
        return torch.sigmoid(x)
def step(x, y):
    return F.binary_cross_entropy(Net()(x).clamp(1e-7, 1 - 1e-7), y)
""",
    "a linear layer clamped by the caller": """
fc = nn.Linear(4, 1)
def step(x, y):
    return F.binary_cross_entropy(fc(x).clamp(0, 1), y)
""",
    "sigmoid and binary cross entropy": """
net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
criterion = nn.BCELoss()
def step(x, y):
    return criterion(net(x).squeeze(1), y.float())
""",
    "log_softmax and nll_loss": """
net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()
def step(x, y):
    return criterion(net(x), y)
""",
    "a user's cross_entropy": """
def cross_entropy(p, y):
    return -torch.log(p[range(len(y)), y] + 1e-9).mean()
def step(model, x, y):
    return cross_entropy(F.softmax(model(x), dim=1), y)
""",
    "a user's softmax": """
def softmax(z, dim):
    return z - z.mean(dim=dim, keepdim=True)
def step(model, x, y):
    return F.cross_entropy(softmax(model(x), 1), y)
""",
    "a user's CrossEntropyLoss": """
class CrossEntropyLoss(nn.Module):
    def forward(self, p, y):
        return -(F.one_hot(y, 10) * p.clamp(min=1e-9).log()).sum(1).mean()
criterion = CrossEntropyLoss()
def step(model, x, y):
    return criterion(model(x).softmax(dim=1), y)
""",
    "a user's nn": """
class nn:
    class Softmax:
        def __init__(self, dim): ...
        def __call__(self, z): return z
    class CrossEntropyLoss:
        def __call__(self, p, y): return p
def step(model, x, y):
    return nn.CrossEntropyLoss()(nn.Softmax(dim=1)(model(x)), y)
""",
    "a parameter called softmax": """
def step(model, x, y, softmax):
    return F.cross_entropy(softmax(model(x)), y)
""",
    "a method called softmax of something else": """
class Head:
    def softmax(self, z):
        return z
def step(model, x, y):
    return F.cross_entropy(Head().softmax(model(x)), y)
""",
    "a method called softmax of something unknown": """
def step(model, head, x, y):
    return F.cross_entropy(head.softmax(model(x)), y)
""",
    "a method called cross_entropy of something unknown": """
def step(model, losses, x, y):
    return losses.cross_entropy(F.softmax(model(x), 1), y)
""",
    "a library that is not torch": """
from mylib import nn as N, functional as G
def step(model, x, y):
    return G.cross_entropy(N.Softmax(dim=1)(model(x)), y) + G.cross_entropy(G.softmax(x, 1), y)
""",
    "a name bound again by an unknown star import": """
from mylib.layers import *
def step(model, x, y):
    return cross_entropy(softmax(model(x), 1), y)
""",
    "self.log": """
class Net(nn.Module):
    def log(self, name, value): ...
    def training_step(self, batch, i):
        x, y = batch
        p = F.softmax(self(x), dim=1)
        self.log("confidence", p.max())
        loss = F.cross_entropy(self(x), y)
        self.log("loss", loss)
        return loss
""",
    "a logger called log": """
import logging as log
def step(model, x, y):
    p = F.softmax(model(x), 1)
    log.info(p)
    log.log(10, p)
    return F.cross_entropy(model(x), y)
""",
    "a generator against a discriminator": """
D = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
G = nn.Sequential(nn.Linear(8, 4), nn.Tanh())
bce = nn.BCELoss()
def step(x, z, ones, zeros):
    d_loss = bce(D(x), ones) + bce(D(G(z).detach()), zeros)
    g_loss = bce(D(G(z)), ones)
    return d_loss, g_loss
""",
    "an auxiliary classifier": """
class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.adv = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
        self.aux = nn.Linear(4, 10)
    def forward(self, x):
        return self.adv(x), self.aux(x)
def step(x, y, valid):
    validity, label = D()(x)
    return nn.BCELoss()(validity, valid) + nn.CrossEntropyLoss()(label, y)
""",
    "entropy regularisation": """
def step(model, x, y):
    logits = model(x)
    p, logp = F.softmax(logits, 1), F.log_softmax(logits, 1)
    return F.cross_entropy(logits, y) - 0.01 * -(p * logp).sum(1).mean()
""",
    "focal loss": """
def focal(logits, y, gamma=2.0):
    p = torch.sigmoid(logits)
    ce = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    pt = p * y + (1 - p) * (1 - y)
    return (ce * (1 - pt) ** gamma).mean()
""",
    "dice loss beside cross entropy": """
def loss(logits, y):
    p = torch.softmax(logits, dim=1)
    t = F.one_hot(y, 4).permute(0, 3, 1, 2).float()
    dice = 1 - 2 * (p * t).sum() / (p.sum() + t.sum())
    return dice + F.cross_entropy(logits, y)
""",
    "a Gumbel softmax": """
def step(enc, dec, x, y):
    z = F.gumbel_softmax(enc(x), tau=1.0, hard=True)
    return F.cross_entropy(dec(z), y)
""",
    "contrastive logits from normalised vectors": """
def step(model, a, b, t=0.07):
    za, zb = F.normalize(model(a), dim=1), F.normalize(model(b), dim=1)
    logits = za @ zb.T / t
    return F.cross_entropy(logits, torch.arange(len(a)))
""",
    "a model replaced under a condition": """
class Soft(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
def build(name):
    model = Soft()
    if name != "soft":
        model = nn.Linear(4, 3)
    return model
def step(x, y, name):
    return F.cross_entropy(build(name)(x), y)
""",
    "the head of a pretrained model replaced": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    def forward(self, x):
        return self.fc(x)
net = Net()
net.fc = nn.Linear(4, 10)
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    "forward replaced from outside": """
import types
class Net(nn.Module):
    def forward(self, x):
        return F.softmax(x, 1)
net = Net()
net.forward = types.MethodType(lambda self, x: x, net)
def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    "a subclass that removes it": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Softmax(dim=1)
    def forward(self, x):
        return self.out(x)
class ForTraining(Net):
    def __init__(self):
        super().__init__()
        self.out = nn.Identity()
def step(x, y):
    return F.cross_entropy(ForTraining()(x), y)
""",
    "del self.softmax and an exec": """
def step(model, x, y, code):
    out = F.softmax(model(x), 1)
    out = eval(code)
    return F.cross_entropy(out, y)
""",
    "a context manager that returns something": """
def step(model, x, y, swap):
    out = F.softmax(model(x), 1)
    with swap(out) as out:
        return F.cross_entropy(out, y)
""",
    "a loop variable that shadows": """
def step(model, x, y):
    out = F.softmax(model(x), 1)
    for out in [model(x), model(2 * x)]:
        loss = F.cross_entropy(out, y)
    return loss
""",
    "an except clause that binds the name": """
def step(model, x, y):
    p = F.softmax(model(x), 1)
    try:
        return model.loss(x, y)
    except ValueError as p:
        return F.cross_entropy(p, y)
""",
    "a class body has names of its own": """
out = torch.randn(3, 4)
class Settings:
    out = F.softmax(out, 1)
def step(y):
    return F.cross_entropy(out, y)
""",
    "a parameter that hides a global": """
out = F.softmax(torch.randn(3, 4), 1)
def step(out, y):
    return F.cross_entropy(out, y)
""",
    "a local that is set later hides a global": """
import random
out = F.softmax(torch.randn(3, 4), 1)
def step(model, x, y):
    if random.random() < 2:
        out = model(x)
    return F.cross_entropy(out, y)
""",
}

# Each a mistake that is the neighbour of programs above, and the code of its rule.
WRONG = {
    "attention weights themselves": (
        "LG101",
        "def step(q, k, y):\n    return F.cross_entropy(F.softmax(q @ k.T, dim=-1), y)\n",
    ),
    "the student's probabilities as logits": (
        "LG101",
        "def step(student, teacher, x):\n    t = teacher(x).softmax(1)\n"
        "    return F.cross_entropy(student(x).softmax(1), t)\n",
    ),
    "mixup of probabilities": (
        "LG101",
        "def step(model, x, y, lam):\n    out = model(x).softmax(1)\n"
        "    return lam * F.cross_entropy(out, y) + (1 - lam) * F.mse_loss(model(x), y)\n",
    ),
    "softmax for a metric, then used for the loss": (
        "LG101",
        "def step(model, x, y):\n    p = model(x).softmax(1)\n"
        "    print((p.argmax(1) == y).sum())\n    return F.cross_entropy(p, y)\n",
    ),
    "if self.training, both ways": (
        "LG101",
        "class Net(nn.Module):\n    def forward(self, x):\n        if self.training:\n"
        "            return F.softmax(F.dropout(x), 1)\n        return F.softmax(x, 1)\n"
        "def step(x, y):\n    return F.cross_entropy(Net()(x), y)\n",
    ),
    "the second of (logits, probs)": (
        "LG101",
        "class Net(nn.Module):\n    def forward(self, x):\n        return x, F.softmax(x, 1)\n"
        "def step(x, y):\n    return F.cross_entropy(Net()(x)[1], y)\n",
    ),
    "log applied too late": (
        "LG104",
        "def step(model, x, y):\n    p = F.softmax(model(x), dim=1)\n"
        "    loss = F.nll_loss(p, y)\n    return loss, torch.log(p + 1e-9)\n",
    ),
    "clamped, and still probabilities": (
        "LG106",
        "def step(model, x, y):\n    p = torch.sigmoid(model(x)).clamp(1e-6, 1 - 1e-6)\n"
        "    return F.binary_cross_entropy_with_logits(p, y)\n",
    ),
    "a sigmoid under a flag that is known": (
        "LG106",
        "class Net(nn.Module):\n    def __init__(self, soft):\n        super().__init__()\n"
        "        self.soft = soft\n    def forward(self, x):\n"
        "        return torch.sigmoid(x) if self.soft else x\nnet = Net(soft=True)\n"
        "def step(x, y):\n    return F.binary_cross_entropy_with_logits(net(x), y)\n",
    ),
    "distillation of probabilities": (
        "LG108",
        "def step(s, t):\n    return F.kl_div(F.softmax(s, 1), F.softmax(t, 1), "
        'reduction="batchmean")\n',
    ),
}


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_program_is_quiet(program: str, tmp_path: Path) -> None:
    assert_quiet(PRELUDE + program, tmp_path)


@pytest.mark.parametrize(("code", "program"), WRONG.values(), ids=WRONG.keys())
def test_its_wrong_neighbour_is_found(code: str, program: str, tmp_path: Path) -> None:
    found = codes(lint(PRELUDE + program, tmp_path))
    assert [other for other in found if not other.startswith("LG4")] == [code]
