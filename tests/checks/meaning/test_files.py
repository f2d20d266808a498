"""Values are followed from file to file: model.py, losses.py and train.py are one program.

The finding stands in the linted file; the places to look at may be in the others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from flowing import PRELUDE, PROBE, assert_found, assert_quiet, text_at
from linting import codes, lint

SOFT = (
    PRELUDE
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)

net = Net()
"""
)
PLAIN = SOFT.replace("F.softmax(self.fc(x), dim=1)", "self.fc(x)")
CRITERION = (
    PRELUDE
    + "criterion = nn.CrossEntropyLoss()\ndef loss_of(out, y):\n    return criterion(out, y)\n"
)
USES_NET = PRELUDE + "{}\ndef step(x, y):\n    return F.cross_entropy({}(x), y)\n"


def uses(imports: str, net: str = "Net()") -> str:
    """Return a program that imports a model and computes its loss."""
    return USES_NET.format(imports, net)


# reason: (the linted file, the others); FOUND and QUIET differ in what the others hold
LAYOUTS: dict[str, tuple[str, str]] = {
    # reason: (the linted file, where the model lies)
    "from model import Net": (uses("from model import Net"), "model.py"),
    "import model": (uses("import model", "model.Net()"), "model.py"),
    "import model as m": (uses("import model as m", "m.Net()"), "model.py"),
    "from model import Net as N": (uses("from model import Net as N", "N()"), "model.py"),
    "from model import *": (uses("from model import *"), "model.py"),
    "an object of the other file": (uses("from model import net", "net"), "model.py"),
    "from . import model": (uses("from . import model", "model.Net()"), "model.py"),
    "from .model import Net": (uses("from .model import Net"), "model.py"),
    "from ..model import Net": (uses("from ..model import Net"), "../model.py"),
    "from ..models.net import Net": (uses("from ..models.net import Net"), "../models/net.py"),
    "a package": (uses("from models.net import Net"), "models/net.py"),
    "a package with __init__": (uses("from models import Net"), "models/__init__.py"),
    "import a.b.c": (uses("import models.deep.net", "models.deep.net.Net()"), "models/deep/net.py"),
    "a module named like one of the library": (uses("from nn import Net"), "nn.py"),
    "a module named losses": (uses("from losses import Net"), "losses.py"),
    "an import inside a function": (
        PRELUDE + "def step(x, y):\n    from model import Net\n"
        "    return F.cross_entropy(Net()(x), y)\n",
        "model.py",
    ),
    "an import inside try": (
        uses("try:\n    from model import Net\nexcept ImportError:\n    raise"),
        "model.py",
    ),
    "an import under __main__": (
        PRELUDE + "if __name__ == '__main__':\n    from model import Net\n"
        "    x, y = torch.randn(2, 4), torch.tensor([0, 2])\n"
        "    print(F.cross_entropy(Net()(x), y))\n",
        "model.py",
    ),
    "importlib is not needed for a base class": (
        PRELUDE + "from model import Net as Base\nclass Net(Base):\n    pass\n"
        "def step(x, y):\n    return F.cross_entropy(Net()(x), y)\n",
        "model.py",
    ),
    "the base class is called by super": (
        PRELUDE + "import model\nclass Net(model.Net):\n"
        "    def forward(self, x):\n        return super().forward(x)\n"
        "def step(x, y):\n    return F.cross_entropy(Net()(x), y)\n",
        "model.py",
    ),
    "the model is an annotated parameter": (
        PRELUDE + "from model import Net\n"
        "def step(net: Net, x, y):\n    return F.cross_entropy(net(x), y)\n",
        "model.py",
    ),
    "the name of the class is a string": (
        PRELUDE + "from model import Net\n"
        "def step(net: 'Net', x, y):\n    return F.cross_entropy(net(x), y)\n",
        "model.py",
    ),
}


def placed(name: str, folder: Path) -> Path:
    """Return the folder of the linted file, so that `name` lies in `folder`."""
    inner = folder / "project" / "train" if name.startswith("..") else folder / "project"
    inner.mkdir(parents=True)
    (folder / "project" / "pyproject.toml").touch()
    if inner.name == "train":
        (inner / "__init__.py").touch()
    return inner


@pytest.mark.parametrize(("program", "name"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_model_in_another_file(program: str, name: str, tmp_path: Path) -> None:
    inits = {str(Path(name).parent / "__init__.py"): ""} if "/" in name else {}
    folder = placed(name, tmp_path)
    assert_found(program, folder, {**inits, name: SOFT})
    (finding,) = lint(program, folder, {**inits, name: SOFT}, PROBE)
    assert finding.place.filename == str(folder / "main.py")
    assert "cross_entropy(" in text_at(finding.place)
    related = finding.related[0].place
    assert Path(related.filename).resolve() == (folder / name).resolve()
    assert text_at(related).startswith("F.softmax(self.fc(x), dim=1)")


@pytest.mark.parametrize(("program", "name"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_model_without_softmax_in_another_file(program: str, name: str, tmp_path: Path) -> None:
    inits = {str(Path(name).parent / "__init__.py"): ""} if "/" in name else {}
    assert_quiet(program, placed(name, tmp_path), {**inits, name: PLAIN})


REEXPORT = {"models/__init__.py": "from .net import Net\n"}
PROJECTS = {
    # reason: (the linted file, the others, the file and the name that make it quiet)
    "re-exported by __init__": (
        uses("from models import Net"),
        {**REEXPORT, "models/net.py": SOFT},
        {**REEXPORT, "models/net.py": PLAIN},
    ),
    "re-exported by a star": (
        uses("from models import *"),
        {"models/__init__.py": "from .net import *\n", "models/net.py": SOFT},
        {"models/__init__.py": "from .net import *\n", "models/net.py": PLAIN},
    ),
    "re-exported under another name": (
        uses("import models", "models.Model()"),
        {"models/__init__.py": "from .net import Net as Model\n", "models/net.py": SOFT},
        {"models/__init__.py": "from .net import Net as Model\n", "models/net.py": PLAIN},
    ),
    "the activation in a third file": (
        uses("from model import Net"),
        {
            "model.py": PRELUDE + "from heads import head\nclass Net(nn.Module):\n"
            "    def forward(self, x):\n        return head(x)\n",
            "heads.py": "import torch\ndef head(z):\n    return torch.softmax(z, dim=1)\n",
        },
        {
            "model.py": PRELUDE + "from heads import head\nclass Net(nn.Module):\n"
            "    def forward(self, x):\n        return head(x)\n",
            "heads.py": "import torch\ndef head(z):\n    return torch.relu(z)\n",
        },
    ),
    "the criterion in another file": (
        PRELUDE + "from losses import criterion\ndef step(model, x, y):\n"
        "    return criterion(F.softmax(model(x), 1), y)\n",
        {"losses.py": CRITERION},
        {"losses.py": CRITERION.replace("nn.CrossEntropyLoss()", "make_criterion('ce')")},
    ),
    "model and criterion in two other files": (
        "from model import net\nfrom losses import criterion\n"
        "def step(x, y):\n    return criterion(net(x), y)\n",
        {"model.py": SOFT, "losses.py": CRITERION},
        {"model.py": PLAIN, "losses.py": CRITERION},
    ),
    "a class of losses in another file": (
        "from losses import Loss\nfrom model import net\n"
        "def step(x, y):\n    return Loss()(net(x), y)\n",
        {
            "model.py": SOFT,
            "losses.py": PRELUDE + "class Loss(nn.Module):\n"
            "    def forward(self, out, y):\n        return F.cross_entropy(out, y)\n",
        },
        {
            "model.py": SOFT,
            "losses.py": PRELUDE + "class Loss(nn.Module):\n"
            "    def forward(self, out, y):\n"
            "        return (out - F.one_hot(y, 3)).abs().mean()\n",
        },
    ),
    "files that import each other": (
        uses("from model import Net") + "def helper():\n    return 1\n",
        {"model.py": SOFT.replace("\nclass", "\nimport main\nclass", 1)},
        {"model.py": PLAIN.replace("\nclass", "\nimport main\nclass", 1)},
    ),
    "two others that import each other": (
        uses("from a import Net"),
        {"a.py": "import b\n" + SOFT, "b.py": "import a\nfrom a import *\n"},
        {"a.py": "import b\n" + PLAIN, "b.py": "import a\nfrom a import *\n"},
    ),
    "the src layout": (
        uses("from package.model import Net"),
        {"pyproject.toml": "", "src/package/__init__.py": "", "src/package/model.py": SOFT},
        {"pyproject.toml": "", "src/package/__init__.py": "", "src/package/model.py": PLAIN},
    ),
    "a configuration in another file": (
        uses("from config import SOFT\nfrom model import Net", "Net(SOFT)"),
        {"config.py": "SOFT = True\n", "model.py": ""},
        {"config.py": "SOFT = False\n", "model.py": ""},
    ),
    "what the other file does under __main__ is not done": (
        uses("from model import net", "net"),
        {"model.py": SOFT + "if __name__ == '__main__':\n    net = nn.Identity()\n"},
        {"model.py": PLAIN + "if __name__ == '__main__':\n    net = nn.Softmax(dim=1)\n"},
    ),
    "a namespace package without __init__": (
        uses("from models.net import Net"),
        {"models/net.py": SOFT},
        {"models/net.py": PLAIN},
    ),
    "an import of the file by its package": (
        uses("import models.net as m", "m.Net()"),
        {"models/__init__.py": "", "models/net.py": SOFT},
        {"models/__init__.py": "", "models/net.py": PLAIN},
    ),
    "the submodule is an attribute of the package": (
        uses("import models\nimport models.net", "models.net.Net()"),
        {"models/__init__.py": "", "models/net.py": SOFT},
        {"models/__init__.py": "", "models/net.py": PLAIN},
    ),
    "__all__ names what a star brings": (
        uses("from model import *", "_Net()"),
        {"model.py": "__all__ = ['_Net']\n" + SOFT.replace("Net", "_Net")},
        {"model.py": "__all__ = ['net']\n" + SOFT.replace("Net", "_Net")},
    ),
}
FLAGGED = (
    PRELUDE
    + """
class Net(nn.Module):
    def __init__(self, soft):
        super().__init__()
        self.soft = soft
    def forward(self, x):
        return x.softmax(1) if self.soft else x
"""
)


@pytest.mark.parametrize(("program", "files", "_"), PROJECTS.values(), ids=PROJECTS.keys())
def test_a_project_with_softmax(
    program: str, files: dict[str, str], _: dict[str, str], tmp_path: Path
) -> None:
    files = {name: text or _empty(name) for name, text in files.items()}
    assert_found(program, tmp_path, files)


@pytest.mark.parametrize(("program", "_", "files"), PROJECTS.values(), ids=PROJECTS.keys())
def test_a_project_without_softmax(
    program: str, _: dict[str, str], files: dict[str, str], tmp_path: Path
) -> None:
    files = {name: text or _empty(name) for name, text in files.items()}
    assert_quiet(program, tmp_path, files)


def _empty(name: str) -> str:
    return FLAGGED if name == "model.py" else ""


def test_a_loss_in_another_file_is_reported_at_the_call_that_leads_there(tmp_path: Path) -> None:
    program = (
        "from losses import loss_of\nfrom model import net\n\n\n"
        "def step(x, y):\n    out = net(x)\n    return loss_of(out, y)\n"
    )
    (finding,) = lint(program, tmp_path, {"losses.py": CRITERION, "model.py": SOFT}, PROBE)
    assert finding.place.filename == str(tmp_path / "main.py")
    assert text_at(finding.place) == "loss_of(out, y)"
    assert finding.fix is None
    shown = [(Path(r.place.filename).name, text_at(r.place)) for r in finding.related]
    assert shown == [
        ("model.py", "F.softmax(self.fc(x), dim=1)"),
        ("losses.py", "criterion(out, y)"),
    ]


def test_a_loss_two_files_away(tmp_path: Path) -> None:
    program = "from a import train\n\n\ndef main(model, x, y):\n    train(model(x).softmax(1), y)\n"
    files = {
        "a.py": "from losses import loss_of\ndef train(out, y):\n    loss_of(out, y).backward()\n",
        "losses.py": CRITERION,
    }
    (finding,) = lint(program, tmp_path, files, PROBE)
    assert text_at(finding.place) == "train(model(x).softmax(1), y)"
    shown = [(Path(r.place.filename).name, text_at(r.place)) for r in finding.related]
    assert shown == [("main.py", "model(x).softmax(1), y)"), ("losses.py", "criterion(out, y)")]


def test_a_mistake_inside_an_imported_file_is_reported_there_alone(tmp_path: Path) -> None:
    inner = PRELUDE + "def step(x, y):\n    return F.cross_entropy(x.softmax(1), y)\n"
    assert codes(lint(inner, tmp_path, (), PROBE)) == ["LG101"]
    # A call of it from here is where this file's reader would look; it is the other's mistake.
    findings = lint("import other\n", tmp_path, {"other.py": inner}, PROBE)
    assert findings == []


QUIET = {
    "a library of that name is not a file of the project": (
        "import torch\nfrom torch.nn.functional import cross_entropy\n"
        "def step(model, x, y):\n    return cross_entropy(model(x), y)\n",
        {"torch/__init__.py": "", "torch/nn/functional.py": SOFT},
    ),
    "a local nn.py hides nothing of torch, and is not torch": (
        "import nn\nimport functional as F\n"
        "def step(model, x, y):\n    return F.cross_entropy(F.softmax(model(x), 1), y)\n",
        {
            "nn.py": "class Softmax: ...\n",
            "functional.py": "def softmax(x, dim):\n    return x\n"
            "def cross_entropy(x, y):\n    return x\n",
        },
    ),
    "an imported file that cannot be parsed": (
        uses("from model import Net"),
        {"model.py": "class ("},
    ),
    "an imported file that is not there": (uses("from .model import Net"), {}),
    "a name that the imported file does not have": (
        uses("from model import Other", "Other()"),
        {"model.py": SOFT},
    ),
    "a file above the top of the project": (
        uses("from model import Net"),
        {"pyproject.toml": "", "../model.py": SOFT},
    ),
    "a module whose __getattr__ decides": (
        uses("import model", "model.Other()"),
        {"model.py": SOFT + "def __getattr__(name):\n    return Net\n"},
    ),
    "changed by the importing file": (
        PRELUDE + "import model\nmodel.net = nn.Identity()\n"
        "def step(x, y):\n    return F.cross_entropy(model.net(x), y)\n",
        {"model.py": SOFT},
    ),
}


@pytest.mark.parametrize(("program", "files"), QUIET.values(), ids=QUIET.keys())
def test_quiet_across_files(program: str, files: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    assert_quiet(program, folder, files)


def test_an_imported_file_is_as_it_was_for_the_next(tmp_path: Path) -> None:
    from lossgrade_checks.engine import Project, check
    from lossgrade_checks.source import Source

    (tmp_path / "model.py").write_text(SOFT, encoding="utf-8")
    changes = PRELUDE + "import model\nmodel.net = nn.Identity()\nmodel.Net.forward = None\n"
    plain = uses("from model import Net")
    project = Project()
    assert check(Source(tmp_path / "a.py", changes), PROBE, project) == []
    assert codes(check(Source(tmp_path / "b.py", plain), PROBE, project)) == ["LG101"]
