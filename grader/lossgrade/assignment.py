"""What is asked of a student: functions, conventions, points, limits.

An assignment is a TOML file. The built-in ones lie in `assignments/`; an instructor's own is
checked against the same model, and a mistake names the key, the line and what is allowed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILT_IN = (
    "stat453", "pytorch-tutorial", "cross-entropy-slides", "d2l", "multi-class-net",
    "binary-net",
)  # fmt: skip

Visibility = Literal["visible", "hidden", "after_due_date", "after_published"]
Library = Literal["either", "torch", "numpy"]
Strictness = Literal["lecture", "strict"]
Points = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[^\W\d]\w*$", description="a Python identifier")]


class AssignmentError(Exception):
    """An assignment that cannot be used; the text is one line an error, each with its place."""


class Model(BaseModel):
    """Unknown keys are mistakes, `true` and `"3"` are no numbers, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CriterionSettings(Model):
    """What an assignment changes about one criterion."""

    points: Points | None = Field(
        None, description="a fixed number of points; others share the rest"
    )
    visibility: Visibility | None = None
    enabled: bool = True


class Function(Model):
    """What every graded function has."""

    names: list[Name] = Field(min_length=1, description="accepted names, the preferred one first")
    points: Points = Field(description="the sum of this function's criteria")
    bonus: Points = Field(
        0, description="shared by the robust criteria where strictness is lecture"
    )
    enabled: bool = Field(True, description="false: the function is not graded")
    library: Library | None = Field(None, description="overrides the assignment's")
    visibility: Visibility | None = Field(None, description="overrides the assignment's")
    criteria: dict[str, CriterionSettings] = Field(default_factory=dict)


class OneHot(Function):
    """`to_onehot(targets, num_classes)`: class indices (N,) to a matrix (N, C)."""

    rubric: Literal["one_hot"]
    classes: Literal["argument", "from-targets"] = Field(
        "argument", description="the number of classes is an argument, or the largest + 1"
    )
    order: Literal["targets-first", "classes-first"] = Field(
        "targets-first", description="which comes first: the targets or the number of classes"
    )
    examples: Literal["batch", "single"] = Field(
        "batch", description="single: takes one class index and returns a vector"
    )
    axis: Literal[0, 1] = Field(1, description="the class axis of the matrix; 0: (C, N)")

    @model_validator(mode="after")
    def _number_of_classes(self) -> OneHot:
        if self.examples == "single" and self.classes == "from-targets":
            raise ValueError('examples = "single" needs classes = "argument"')
        return self


class Softmax(Function):
    """`softmax(logits)`: net inputs to probabilities."""

    rubric: Literal["softmax"]
    examples: Literal["batch", "single"] = Field("batch", description="single: takes one vector")
    axis: Literal[0, 1] = Field(1, description="the class axis of a batch")


class LogSoftmax(Softmax):
    """`log_softmax(logits)`: net inputs to log-probabilities."""

    rubric: Literal["log_softmax"]  # type: ignore[assignment]  # the tag of the union


class ClassLabel(Function):
    """`to_classlabel(logits)`: a matrix (N, C) to class indices (N,), ties to the lowest."""

    rubric: Literal["class_label"]
    examples: Literal["batch", "single"] = Field("batch", description="single: takes one vector")
    axis: Literal[0, 1] = Field(1, description="the class axis of a batch")
    result: Literal["vector", "column"] = Field(
        "vector", description="column: the reduced axis is kept, (N, 1), or (1, N) with axis = 0"
    )


Reduction = Literal["none", "mean", "sum"]


class CrossEntropy(Function):
    """`cross_entropy(prediction, targets)`: the loss of predictions against targets."""

    rubric: Literal["cross_entropy"]
    prediction: Literal["probabilities", "logits", "log-probabilities"] = "probabilities"
    targets: Literal["one-hot", "class-indices", "class-probabilities"] = "one-hot"
    order: Literal["prediction-first", "targets-first"] = "prediction-first"
    reduction: list[Reduction] = Field(
        ["none"],
        min_length=1,
        description="accepted reductions; which one it is shows in its result",
    )
    examples: Literal["batch", "single"] = Field("batch", description="single: takes one vector")
    axis: Literal[0, 1] = Field(
        1, description="the class axis of a batch; 0: each column is an example"
    )
    result: Literal["vector", "column"] = Field(
        "vector",
        description="shape of the losses that are not reduced; column: the reduced axis is kept, "
        "(N, 1), or (1, N) with axis = 0",
    )
    returns: Literal["loss", "loss-and-gradient"] = Field(
        "loss",
        description="loss-and-gradient: a tuple of which the first item, the loss, is graded",
    )
    log_base: Literal["e", "2", "10"] = "e"

    @field_validator("reduction", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class NllLoss(CrossEntropy):
    """`nll_loss(log_probabilities, targets)`: the loss of log-probabilities."""

    rubric: Literal["nll_loss"]  # type: ignore[assignment]  # the tag of the union
    prediction: Literal["log-probabilities"] = "log-probabilities"
    targets: Literal["one-hot", "class-indices"] = "class-indices"


class Sigmoid(Function):
    """`sigmoid(logits)`: elementwise, any shape."""

    rubric: Literal["sigmoid"]


class Accuracy(Function):
    """`accuracy(prediction, targets)`: how many predictions are right."""

    rubric: Literal["accuracy"]
    prediction: Literal["class-labels", "logits"] = "logits"
    order: Literal["prediction-first", "targets-first"] = "prediction-first"
    result: Literal["fraction", "percent", "count"] = "fraction"


class Entropy(Function):
    """`entropy(p)`: of one distribution (C,), 0 log 0 counting as 0."""

    rubric: Literal["entropy"]
    log_base: Literal["e", "2", "10"] = "2"


class KlDivergence(Function):
    """`kl_divergence(p, q)`: KL(p || q) of distributions (C,), in nats."""

    rubric: Literal["kl_divergence"]


class BinaryCrossEntropy(Function):
    """`binary_cross_entropy(targets, probabilities)` of (N,) each, natural log."""

    rubric: Literal["binary_cross_entropy"]
    order: Literal["prediction-first", "targets-first"] = "targets-first"
    reduction: list[Reduction] = Field(["none"], min_length=1)

    _one_or_several = field_validator("reduction", mode="before")(
        lambda value: [value] if isinstance(value, str) else value
    )


class MeanSquaredError(Function):
    """`mse(targets, predictions)`: mean of the squared difference over all entries."""

    rubric: Literal["mean_squared_error"]


class HingeLoss(Function):
    """`hinge(targets, scores)`: sum of max(0, 1 - y * h), targets -1 or 1."""

    rubric: Literal["hinge_loss"]


Outputs = Literal["logits", "probabilities", "log-probabilities"]


class Training(Function):
    """A model, and a loss or a training step for it: it is trained on data of the grader's own.

    `names` are those of the model: a class or a function that makes a `torch.nn.Module`, given
    (features, classes), (features,) or nothing as its parameters say, a hidden size too where it
    asks for one; or a module that is made already. A training step is called
    (model, features, targets) and returns the loss; a loss is called (outputs, targets).
    """

    rubric: Literal["training"]
    library: Literal["torch"] = "torch"
    task: Literal["multi-class", "binary"] = Field(
        "multi-class",
        description="binary: one output for each example, targets 0.0 and 1.0 in its shape",
    )
    features: int = Field(4, ge=2, le=1024, description="entries of one example")
    classes: int = Field(3, ge=2, le=100, description="outputs of a multi-class model")
    hidden: int = Field(16, ge=1, le=256, description="given to a model that asks for it")
    outputs: list[Outputs] = Field(
        ["logits", "log-probabilities"],
        min_length=1,
        description="what the outputs of the model may mean; of a binary model, if not said "
        "otherwise, probabilities or logits",
    )
    step_names: list[Name] = Field(
        ["training_step", "train_step"],
        description="accepted names of a training step, looked for first",
    )
    loss_names: list[Name] = Field(
        ["criterion", "loss_fn", "loss_function"],
        description="accepted names of a loss: a module or a function",
    )
    steps: int = Field(200, ge=20, le=2000, description="of training, on the whole batch")

    @model_validator(mode="before")
    @classmethod
    def _outputs_of_a_binary_model(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("task") == "binary":
            return {"outputs": ["probabilities", "logits"], **data}
        return data

    @model_validator(mode="after")
    def _needs_a_loss(self) -> Training:
        if not self.step_names and not self.loss_names:
            raise ValueError(
                "step_names and loss_names are empty: without a loss nothing is trained"
            )
        if self.task == "binary" and "log-probabilities" in self.outputs:
            raise ValueError('a binary model has one output: "logits" or "probabilities"')
        return self


AnyFunction = Annotated[
    OneHot
    | Softmax
    | LogSoftmax
    | ClassLabel
    | CrossEntropy
    | NllLoss
    | Sigmoid
    | Accuracy
    | Entropy
    | KlDivergence
    | BinaryCrossEntropy
    | MeanSquaredError
    | HingeLoss
    | Training,
    Field(discriminator="rubric"),
]
RUBRICS = (
    "one_hot", "softmax", "log_softmax", "class_label", "cross_entropy", "nll_loss", "sigmoid",
    "accuracy", "entropy", "kl_divergence", "binary_cross_entropy", "mean_squared_error",
    "hinge_loss", "training",
)  # fmt: skip


class LimitSettings(Model):
    """What a submission may use."""

    call_seconds: float = Field(5.0, gt=0, le=600, description="for one call of one function")
    load_seconds: float = Field(20.0, gt=0, le=3600, description="for running the file itself")
    submission_seconds: float = Field(30.0, gt=0, le=7200, description="for everything together")
    memory_mib: int = Field(2048, ge=64, le=1 << 20, description="beyond what the libraries map")
    file_mib: int = Field(16, ge=0, le=1 << 14, description="the largest file it may write")
    output_kib: int = Field(64, ge=1, le=1 << 14, description="printed text that is kept")


class LintSettings(Model):
    """Points taken off for what the linter finds."""

    penalties: dict[Annotated[str, Field(pattern=r"^LG\d{1,3}$")], Points] = Field(
        default_factory=dict, description="rule code or its prefix = points off for each finding"
    )

    def of(self, code: str) -> float:
        """Return the points off for a finding of the rule `code`: the longest prefix decides."""
        prefixes = [prefix for prefix in self.penalties if code.startswith(prefix)]
        return self.penalties[max(prefixes, key=len)] if prefixes else 0.0


class Assignment(Model):
    """An assignment, as its TOML file says it."""

    name: str = Field(pattern=r"^[\w.-]+$", description="letters, digits, hyphens, dots")
    version: str = Field("1", description="raise it whenever a grade could change")
    title: str = Field("", description="what reports call it")
    source: str = Field("", description="the lecture or book that the conventions come from")
    strictness: Strictness = Field(
        "lecture", description="strict: the robust criteria carry points instead of a bonus"
    )
    library: Library = Field("either", description="which arrays the functions take and return")
    tolerance: float = Field(1e-5, gt=0, le=0.1, description="absolute, on float32 values")
    entry: str = Field("", description="the file of a folder submission that has the functions")
    visibility: Visibility = "visible"
    extra_criteria: list[str] = Field(
        default_factory=list, description="Python files of @criterion functions, beside this file"
    )
    limits: LimitSettings = Field(default_factory=LimitSettings)
    lint: LintSettings = Field(default_factory=LintSettings)
    functions: dict[Name, AnyFunction] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _rubric_from_key(cls, data: Any) -> Any:
        """`[functions.softmax]` needs no `rubric = "softmax"`."""
        functions = data.get("functions") if isinstance(data, dict) else None
        if not isinstance(functions, dict):
            return data
        filled = {
            key: {"rubric": key, **value} if isinstance(value, dict) and key in RUBRICS else value
            for key, value in functions.items()
        }
        return {**data, "functions": filled}

    @field_validator("entry")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"found {value!r}, expected a path inside the folder")
        return value

    @model_validator(mode="after")
    def _something_to_grade(self) -> Assignment:
        if not self.graded:
            raise ValueError("every function has enabled = false, so nothing would be graded")
        return self

    @property
    def graded(self) -> dict[str, Any]:
        """The functions that are graded, by key, in their order."""
        return {key: function for key, function in self.functions.items() if function.enabled}

    def with_functions(self, functions: Mapping[str, Any]) -> Assignment:
        """Return this assignment with the settings of some functions replaced."""
        return self.model_copy(update={"functions": {**self.functions, **functions}})


def split_auto(name_or_path: str) -> tuple[str, bool]:
    """Return the assignment to start from, "" for the default, and whether to detect conventions.

    `auto` and `auto:NAME|FILE` ask that each function be graded under the convention it keeps to.
    """
    auto, _, base = name_or_path.partition(":")
    return (base, True) if auto == "auto" else (name_or_path, False)


def load_assignment(name_or_path: str) -> tuple[Assignment, Path | None]:
    """Return the assignment of that name, or in that file, and the file's folder.

    Raises:
        AssignmentError: unknown, unreadable or invalid.
    """
    if name_or_path in BUILT_IN:
        return parse_assignment(built_in_text(name_or_path), f"{name_or_path}.toml"), None
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        near = difflib.get_close_matches(name_or_path, BUILT_IN, 1, 0.4)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise AssignmentError(
            f"no assignment {name_or_path!r}{hint}; built in are {', '.join(BUILT_IN)}, "
            "or give the path of a .toml file"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise AssignmentError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise AssignmentError(f"{path}: not UTF-8 text ({error.reason})") from None
    return parse_assignment(text, str(path)), path.parent


def built_in_text(name: str) -> str:
    """Return the TOML text of the built-in assignment `name`, ready to copy and edit."""
    file = resources.files("lossgrade") / "assignments" / f"{name}.toml"
    return file.read_text(encoding="utf-8")


def parse_assignment(text: str, filename: str) -> Assignment:
    """Check TOML `text` against the model.

    Raises:
        AssignmentError: one line a mistake: file, line, key, what was found, what is allowed.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        reason = str(error).partition(" (at ")[0]
        where = f"{filename}:{place[1]}:{place[2]}" if place else filename
        raise AssignmentError(f"{where}: not TOML: {reason}") from None
    try:
        return Assignment.model_validate(data)
    except ValidationError as error:
        lines = [_mistake(mistake, text, filename) for mistake in error.errors()]
        raise AssignmentError("\n".join(dict.fromkeys(lines))) from None


def _mistake(mistake: Any, text: str, filename: str) -> str:
    """Turn one pydantic error into `file:line: key: found, expected`."""
    keys = [part for part in mistake["loc"] if isinstance(part, int | str)]
    # Inside the union of functions pydantic puts the tag after the function's key.
    rubric = ""
    if len(keys) > 2 and keys[0] == "functions" and keys[2] in RUBRICS:
        rubric = str(keys.pop(2))
    keys = [key for key in keys if key != "[key]"]
    kind, context, found = mistake["type"], mistake.get("ctx", {}), mistake["input"]
    if kind == "extra_forbidden":
        allowed = _allowed_keys(keys, rubric)
        near = difflib.get_close_matches(str(keys[-1]), allowed, 1)
        did_you_mean = f"did you mean {near[0]!r}? " if near else ""
        says = f"unknown key; {did_you_mean}allowed: {', '.join(allowed)}"
    elif kind == "literal_error":
        says = f"found {found!r}, expected {context['expected']}"
    elif kind == "union_tag_not_found":
        says = f"the key names no rubric; add rubric = one of {', '.join(RUBRICS)}"
    elif kind == "union_tag_invalid":
        says = f"found rubric = {context['tag']!r}, expected one of {', '.join(RUBRICS)}"
        keys.append("rubric")
    elif kind == "missing":
        says = "is missing and has no default"
    elif kind == "value_error":
        says = str(context["error"])
    else:
        says = f"found {found!r}, expected {_wanted(kind, context)}"
    # Without a key it is about the assignment as a whole: its functions.
    key = ".".join(map(str, keys)) or "functions"
    return f"{filename}:{_line_of(keys or ['functions'], text)}: {key}: {says}"


def _wanted(kind: str, context: dict[str, Any]) -> str:
    """Say what pydantic's error `kind` asks for, in words that fit after "expected"."""
    bound = next((context[key] for key in ("gt", "ge", "lt", "le") if key in context), 0)
    words = {
        "greater_than": f"more than {bound:g}",
        "greater_than_equal": f"{bound:g} or more",
        "less_than_equal": f"at most {bound:g}",
        "finite_number": "a finite number",
        "string_pattern_mismatch": f"a text that matches {context.get('pattern')}",
        "too_short": f"at least {context.get('min_length')}",
    }
    types = {
        "float": "a number",
        "int": "a whole number",
        "bool": "true or false",
        "string": "a text in quotes",
        "list": 'a list, as in ["one"]',
        "dict": "a table",
        "model": "a table",
    }
    return words.get(kind) or types.get(kind.partition("_")[0], kind.replace("_", " "))


def _allowed_keys(keys: list[Any], rubric: str) -> list[str]:
    """Return the keys allowed beside the last of `keys`, in a function of `rubric`."""
    model: Any = Assignment
    if keys[0] == "limits":
        model = LimitSettings
    elif keys[0] == "lint":
        model = LintSettings
    elif keys[0] == "functions" and len(keys) == 5:
        model = CriterionSettings
    elif keys[0] == "functions":
        union = AnyFunction.__args__[0].__args__
        model = next(m for m in union if m.model_fields["rubric"].annotation == Literal[rubric])
    return sorted(model.model_fields)


def _line_of(keys: list[Any], text: str) -> int:
    """Return the line that sets `keys`, or the nearest table above it (1 where none is)."""
    wanted = [str(key) for key in keys if isinstance(key, str)]
    best_line, best_depth, table = 1, 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if header := re.match(r"\[\[?([^\]]+)\]", bare):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            path = table
        elif setting := re.match(r"([\w.\"'-]+)\s*=", bare):
            path = table + [part.strip("\"'") for part in setting[1].split(".")]
        else:
            continue
        if len(path) > best_depth and wanted[: len(path)] == path:
            best_line, best_depth = number, len(path)
    return best_line
