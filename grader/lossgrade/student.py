"""Calls of a student's functions, each with a deadline, in a worker that is replaced when lost."""

from __future__ import annotations

import difflib
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lossgrade.language import later, say
from lossgrade.phrases import retold
from lossgrade.sandbox.host import SandboxUnavailable, WorkerLost
from lossgrade.sandbox.layers.limits import Limits
from lossgrade.sandbox.layers.state import reaches
from lossgrade.sandbox.protocol import ITEM_BYTES, Block
from lossgrade.submission import Unloadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lossgrade.assignment import Assignment, LimitSettings
    from lossgrade.sandbox.host import Worker, Zygote
    from lossgrade.submission import Submission

T = TypeVar("T")

# After one call of a function ran out of time, its next calls get this long; after the second
# time-out it is not called again. An endless loop then costs 6 s, and four of them leave time
# within the default 30 s for grading the rest.
IMPATIENT_SECONDS = 1.0
PATIENCE = 2
# A function that ends its process costs a new one each time, which runs the file again: with a
# training loop in it, seconds of the submission's time that other functions need.
CRASHES = 4
OUT_OF_TIME = later("{name} was not called again: it ran out of time {times} times before")
ENDED_ITSELF = later("{name} was not called again: it ended its process {times} times before")
# Seconds that all calls took together, the loading of the file among them. Past this no file is
# loaded once more only to explain a failure, or because one of several calls at once was lost: it
# may be its loading that takes long.
QUICK_SECONDS = 1.0
NAMES_CAP = 500
# `dtype.name` puts the name together each time, 1 us for each array.
DTYPE_NAMES = {np.dtype(name): name for name in ITEM_BYTES}
NOTES_CAP = 40


class StudentError(Exception):
    """What went wrong in the student's code, in one line for the student."""


class CallError(StudentError):
    """A call that gave no value.

    Attributes:
        kind: "raised", "lost" (crash or time-out), "unsupported" or "missing".
    """

    def __init__(self, kind: str, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.hint = hint


@dataclass(frozen=True)
class Returned:
    """A value as it came back: its bytes are believed, the rest is what the worker says.

    Attributes:
        values: the array, in the dtype it crossed in.
        dtype: the name of the student's own dtype ("bfloat16" crosses as float32).
        container: the name of its type: "Tensor", "ndarray", "list", "float", ...
        library: "torch", "numpy" or "python".
        items: the values of a list or tuple that is no regular array.
        graph: whether a tensor says that it requires grad; advice only.
    """

    values: NDArray[Any]
    dtype: str
    container: str
    library: str
    items: tuple[Returned, ...] = ()
    graph: bool = False

    @property
    def is_array(self) -> bool:
        return not self.items and self.container != "None"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)


@dataclass(frozen=True)
class Answer:
    """What a call gave: the value, its gradients and the inputs as the call left them."""

    value: Returned
    gradients: tuple[Returned, ...] = ()
    gradient_problem: str = ""
    inputs_after: tuple[Returned, ...] = ()


@dataclass
class Loading:
    """How the submission loaded: advice, but for what it found."""

    found: dict[str, dict[str, str]] = field(default_factory=dict)
    defined: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: str = ""


def frameworks(submission: Submission, assignment: Assignment) -> list[str]:
    """Return what the zygote should import: torch only if asked for, or named in a source."""
    libraries = {assignment.library, *(spec.library for spec in assignment.graded.values())}
    torch = submission.mentions_torch() or "torch" in libraries
    return ["numpy", "torch"] if torch and find_spec("torch") else ["numpy"]


class Student:
    """A submission that can be called: `student.call("softmax", [logits], "torch")`."""

    def __init__(
        self,
        submission: Submission,
        names: Mapping[str, Sequence[str]],
        zygote: Zygote,
        limits: LimitSettings,
        *,
        required_level: str = "process",
    ) -> None:
        """Prepare; the submission is loaded at the first call.

        Args:
            submission: what was handed in.
            names: function key to the names that are accepted for it.
            zygote: where workers come from.
            limits: of time, memory and output.
            required_level: the least isolation under which the student's code may run.
        """
        self.required_level = required_level
        self.submission = submission
        self.names = {key: list(accepted) for key, accepted in names.items()}
        self.zygote = zygote
        self.limits = limits
        self.spent = 0.0
        self.printed = ""
        self.sandbox: dict[str, Any] = {}
        self._loading: Loading | None = None
        self._worker: Worker | None = None
        self._scratch: Path | None = None
        self._endless: dict[str, int] = {}
        self._crashes: dict[str, int] = {}
        # Functions of which several calls at once were lost.
        self._one_by_one: set[str] = set()
        # How many calls the worker has had; one that breaks at its first was broken by that.
        self._served = 0
        self._unavailable = ""

    @property
    def loading(self) -> Loading:
        """The submission's first loading; loads it if need be.

        Raises:
            SandboxUnavailable: no worker can be started on this machine.
        """
        if self._loading is None:
            self._ensure_worker()
        assert self._loading is not None
        return self._loading

    def _ensure_worker(self) -> Worker | None:
        """Return a worker with the submission loaded; None when it cannot be loaded."""
        if self._worker is not None:
            return self._worker
        if self._loading is not None and self._loading.failure:
            return None
        if self._unavailable:
            raise SandboxUnavailable(self._unavailable)
        try:
            entry = self._copied()
            self._worker = self._started()
        except Unloadable as error:
            self._loading = Loading(failure=str(error))
            self.close()
            return None
        except SandboxUnavailable as error:
            # What was tried twice is not tried again for each criterion.
            self._unavailable = str(error)
            self.close()
            raise
        request = {
            "op": "load",
            "path": str(entry),
            "display": entry.name,
            "folder": str(self._scratch) if self.submission.is_folder else "",
            "names": self.names,
        }
        try:
            header = self._ask(request, [], self.limits.load_seconds)[0]
        except WorkerLost as error:
            lost = retold(str(error))
            loading = Loading(failure=say("while the file was running, it {lost}", lost=lost))
        else:
            loading = _loading(header, self.names)
        if self._loading is None or loading.failure:
            self._loading = loading
        if loading.failure:
            self.close()
            return None
        return self._worker

    def _copied(self) -> Path:
        """Copy the submission to a new scratch directory; return where its entry file lies."""
        try:
            self._scratch = Path(tempfile.mkdtemp(dir=self.zygote.scratch))
            return self.submission.copy_to(self._scratch)
        except OSError as error:
            text = say("the submission cannot be copied ({error})", error=error)
            raise SandboxUnavailable(text) from None

    def _started(self) -> Worker:
        """Start a worker in the scratch directory, under the isolation that is required."""
        assert self._scratch is not None
        limits = Limits(
            memory_bytes=self.limits.memory_mib << 20,
            cpu_seconds=int(self.limits.submission_seconds) + 5,
            file_bytes=self.limits.file_mib << 20,
        )
        output_bytes = self.limits.output_kib << 10
        try:
            worker = self.zygote.worker(self._scratch, limits, output_bytes)
        except SandboxUnavailable:
            # The zygote may have been killed, from outside, just then.
            worker = self.zygote.worker(self._scratch, limits, output_bytes)
        self._served = 0
        self.sandbox = worker.sandbox
        if not reaches(self.sandbox["level"], self.required_level):
            worker.close()
            raise SandboxUnavailable(
                say(
                    "isolation reaches level {level!r} here, and {required!r} was required; "
                    "nothing of the student's was run",
                    level=self.sandbox["level"],
                    required=self.required_level,
                )
            )
        return worker

    def _ask(
        self, request: Mapping[str, Any], blocks: Sequence[Block], seconds: float
    ) -> tuple[dict[str, Any], list[Block]]:
        """Ask the worker within `seconds` and what is left of the whole submission's time."""
        assert self._worker is not None
        start = time.monotonic()
        left = self.limits.submission_seconds - self.spent
        try:
            if left <= 0:
                raise WorkerLost("")
            reply = self._worker.ask(request, blocks, min(seconds, left))
        except WorkerLost as error:
            self.spent += time.monotonic() - start
            self.close()
            whole = self.limits.submission_seconds
            if self.spent >= whole - 1e-3:
                why = f"used up the {whole:g} seconds of the whole submission"
                raise WorkerLost(why, endless=True) from None
            raise error from None
        except BaseException:
            # Interrupted, or lost with its zygote: the next call would hear this one's answer.
            self.close()
            raise
        self.spent += time.monotonic() - start
        return reply.header, reply.blocks

    def name(self, key: str) -> str:
        """Return the student's own name of the function `key`."""
        found = self.loading.found.get(key, {}) if self._loading else {}
        return str(found.get("name") or self.names.get(key, [key])[0])

    def missing(self, key: str) -> CallError | None:
        """Say why the function `key` cannot be called, if it cannot."""
        loading = self.loading
        if loading.failure:
            text = say("the submission cannot be loaded: {failure}", failure=loading.failure)
            return CallError("missing", text)
        found = loading.found.get(key, {})
        if "problem" in found:
            text = say("`{name}` {problem}", name=found["name"], problem=found["problem"])
            return CallError("missing", text)
        if found or key not in self.names:
            return None
        wanted = self.names[key]
        near = _nearest(wanted, loading.defined)
        if near:
            hint = say("You define `{near}`: rename it to `{name}`.", near=near, name=wanted[0])
        elif loading.notes:
            hint = say("While the file ran: {note}", note=loading.notes[0])
        else:
            hint = say(
                "Define `{name}` at the top level of {file}.",
                name=wanted[0],
                file=self.submission.path.name,
            )
        if wanted[1:]:
            text = say(
                "no function named `{name}` (or {others}) was found",
                name=wanted[0],
                others=", ".join(wanted[1:]),
            )
        else:
            text = say("no function named `{name}` was found", name=wanted[0])
        return CallError("missing", text, hint)

    def call(
        self,
        key: str,
        arguments: Sequence[Any],
        library: str,
        *,
        keywords: Mapping[str, Any] | None = None,
        wrt: Sequence[int] = (),
        cotangent: NDArray[Any] | None = None,
        echo: bool = False,
        first: bool = False,
        seed: int | None = None,
    ) -> Answer:
        """Call a function of the student's in the worker.

        Args:
            key: the function's key, or any name that the submission defines.
            arguments: arrays, or plain numbers, strings, None, lists of them.
            library: what arrays are there: "torch" or "numpy".
            keywords: the same by name.
            wrt: places of the arguments to differentiate by (torch only).
            cotangent: the weights of the result's entries; default all 1.
            echo: return the arguments as the call left them.
            first: return the first item of a tuple; anything but a tuple is no value.
            seed: for the generators of random, NumPy and torch; default: they go on.
        Raises:
            CallError: no value came back; the text says why, for the student.
            SandboxUnavailable: no worker can be started on this machine.
        """
        if problem := self.missing(key):
            raise problem
        called = f"`{self.name(key)}`"
        blocks: list[Block] = []
        request: dict[str, Any] = {
            "op": "call",
            "function": key,
            "arguments": [
                _described(a, library, blocks, grad=i in wrt) for i, a in enumerate(arguments)
            ],
            "keywords": {n: _described(a, library, blocks) for n, a in (keywords or {}).items()},
            "wrt": list(wrt),
            "echo": echo,
            "first": first,
        }
        if seed is not None:
            request["seed"] = seed
        if cotangent is not None:
            request["cotangent"] = len(blocks)
            blocks.append(_block(cotangent))
        return self._patiently(key, called, request, blocks, partial(_read_answer, called=called))

    def calls(
        self,
        key: str,
        cases: Sequence[Sequence[Any]],
        library: str,
        *,
        first: bool = False,
    ) -> list[Answer]:
        """Call a function of the student's on each of `cases`, in one request.

        It is for speed alone, and explains nothing: a case without an answer is to be asked for
        by `call`, which has its own time limit and says what went wrong.

        Args:
            key, library, first: as in `call`.
            cases: the arguments of each call.
        Returns:
            the answers to the first of `cases`: all, unless one gave no value or was lost.
        """
        lost = self._endless.get(key) or self._crashes.get(key) or key in self._one_by_one
        if lost or self.missing(key) or not self.is_quick:
            return []
        blocks: list[Block] = []
        request = {
            "op": "calls",
            "function": key,
            "cases": [[_described(a, library, blocks) for a in case] for case in cases],
            "first": first,
        }
        # Hundreds of times what small calls need.
        seconds = min(IMPATIENT_SECONDS, self.limits.call_seconds)
        read = partial(_read_answers, most=len(cases))
        try:
            answers = self._answer(request, blocks, seconds, read)
        except (WorkerLost, SandboxUnavailable, CallError):
            self._one_by_one.add(key)
            return []
        self._served += len(cases) - 1
        return answers

    def train(
        self,
        key: str,
        request: Mapping[str, Any],
        arrays: Sequence[NDArray[Any]],
        read: Callable[[Mapping[str, Any], Sequence[Block]], T],
    ) -> T:
        """Run a model of the student's and its loss in the worker: lossgrade.sandbox.training.

        Args:
            key: the key of the training in the assignment.
            request: what to run, its arrays by their places in `arrays`.
            arrays: what the model and its loss are given.
            read: makes the result of what the worker says and of its arrays; what it raises, but
                for `CallError`, is an answer that is no answer.
        Raises:
            CallError: the submission cannot be loaded, or the run was lost.
            SandboxUnavailable: no worker can be started on this machine.
        """
        if problem := self.missing(key):
            raise problem
        called = say("the training run")
        blocks = [_block(each) for each in arrays]
        return self._patiently(key, called, {"op": "train", **request}, blocks, read)

    def _patiently(
        self,
        key: str,
        called: str,
        request: Mapping[str, Any],
        blocks: Sequence[Block],
        read: Callable[[Mapping[str, Any], Sequence[Block]], T],
    ) -> T:
        """Ask for `key`, unless it was lost too often; once more where others may be to blame."""
        for lost, most, text in (
            (self._endless, PATIENCE, OUT_OF_TIME),
            (self._crashes, CRASHES, ENDED_ITSELF),
        ):
            if lost.get(key, 0) >= most:
                raise CallError("lost", say(text, name=called, times=most))
        seconds = IMPATIENT_SECONDS if self._endless.get(key) else self.limits.call_seconds
        seconds = min(seconds, self.limits.call_seconds)
        try:
            try:
                return self._answer(request, blocks, seconds, read)
            except (WorkerLost, SandboxUnavailable) as error:
                if isinstance(error, WorkerLost) and (error.endless or self._served == 1):
                    raise
                # It may have been broken by an earlier call, of another function, or lost with
                # its zygote: once more.
                return self._answer(request, blocks, seconds, read)
        except WorkerLost as error:
            lost = self._endless if error.endless else self._crashes
            lost[key] = lost.get(key, 0) + 1
            text = say("{name} {lost}", name=called, lost=retold(str(error)))
            raise CallError("lost", text, _hint_for_loss(str(error))) from None

    def _answer(
        self,
        request: Mapping[str, Any],
        blocks: Sequence[Block],
        seconds: float,
        read: Callable[[Mapping[str, Any], Sequence[Block]], T],
    ) -> T:
        if self._ensure_worker() is None:
            failure = self.loading.failure
            raise CallError(
                "lost", say("the submission loads no longer: {failure}", failure=failure)
            )
        self._served += 1
        header, received = self._ask(request, blocks, seconds)
        try:
            return read(header, received)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, RecursionError):
            # As after any other loss: who sends this may have more to send.
            self.close()
            raise WorkerLost("sent an answer that is no answer") from None

    @contextmanager
    def trying(self, key: str) -> Iterator[None]:
        """Call the function `key` as nobody asked it to: time-outs come soon and are forgotten."""
        before = self._endless.get(key, 0), self._crashes.get(key, 0)
        spent = self.spent
        self._endless[key] = max(before[0], PATIENCE - 1)
        self._crashes[key] = max(before[1], CRASHES - 1)
        try:
            yield
        finally:
            self._endless[key], self._crashes[key] = before
            self.spent = spent

    def gave_up(self, key: str) -> bool:
        """Say whether the function `key` ran out of time or crashed too often to be called."""
        return self._endless.get(key, 0) >= PATIENCE or self._crashes.get(key, 0) >= CRASHES

    @property
    def is_quick(self) -> bool:
        """Whether it has taken so little time that the file may be loaded once more, to explain."""
        return self.spent <= QUICK_SECONDS

    @property
    def has_served_once(self) -> bool:
        """Whether its process has had one call, and no other."""
        return self._worker is not None and self._served == 1

    def timed_out(self, key: str) -> bool:
        """Say whether a call of the function `key` ran out of time."""
        return self._endless.get(key, 0) > 0

    def renamed(self, names: Mapping[str, Sequence[str]]) -> Student:
        """Return the same submission, loaded anew with other accepted names; this one is closed."""
        self.close()
        student = Student(
            self.submission,
            {**self.names, **names},
            self.zygote,
            self.limits,
            required_level=self.required_level,
        )
        # The file prints the same again, and the time it takes to load counts once.
        student.printed, student.sandbox = self.printed, self.sandbox
        return student

    def close(self) -> None:
        """End the worker, keep what was printed, and remove the scratch directory."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            with suppress(OSError, SandboxUnavailable):
                worker.close()
            self._keep(worker.printed)
        self._drop_scratch()

    def _keep(self, printed: str) -> None:
        # A worker started again prints the file's demo again; the first time is enough.
        if printed and not self.printed:
            self.printed = printed

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


def plain(text: object, cap: int = 600) -> str:
    """Return what a worker says as one line of printable text, capped.

    It may hold terminal escapes, or surrogates that no file can be written with; and may be no
    text at all.
    """
    said = text if isinstance(text, str) else type(text).__name__
    if not said or (len(said) <= cap and said.isidentifier()):
        return said
    shown = "".join(c if c.isprintable() else " " for c in said[: 4 * cap])
    line = " ".join(shown.split())
    return line if len(line) <= cap else line[: cap - 3] + "..."


def _loading(header: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> Loading:
    """Read what a worker says of the loading; the student's code has run, so it may be forged."""
    found, defined, notes = (header.get(key) for key in ("found", "defined", "notes"))
    loading = Loading(failure=retold(plain(header.get("failed", ""))))
    if isinstance(defined, list):
        loading.defined = [name for name in defined[:NAMES_CAP] if _is_name(name)]
    if isinstance(header.get("foreign"), list):
        loading.foreign = [name for name in header["foreign"][:NAMES_CAP] if _is_name(name)]
    if isinstance(notes, list):
        loading.notes = [retold(plain(note)) for note in notes[:NOTES_CAP]]
    for key, told in found.items() if isinstance(found, dict) else ():
        if key in names and isinstance(told, dict) and told.get("name") in names[key]:
            kept = {k: retold(plain(told[k])) for k in ("problem", "package") if k in told}
            loading.found[key] = {"name": told["name"], **kept}
    return loading


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and len(name) <= 80


def _nearest(wanted: Sequence[str], defined: Sequence[str]) -> str:
    folded = {name.lower().replace("_", ""): name for name in defined}
    for name in wanted:
        near = difflib.get_close_matches(name.lower().replace("_", ""), folded, 1, 0.75)
        if near:
            return folded[near[0]]
    return ""


def _hint_for_loss(text: str) -> str:
    if "output" in text:
        return say("Is there a print in a loop that never ends?")
    if "ran longer" in text:
        return say(
            "Is there a loop that never ends, or work that grows with the square of the input?"
        )
    if "segmentation fault" in text:
        return say("Does the function call itself without an end?")
    return ""


def _block(values: NDArray[Any]) -> Block:
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    name = DTYPE_NAMES.get(values.dtype)
    if name is None:
        raise TypeError(
            f"an array of dtype {values.dtype}, expected one of {', '.join(ITEM_BYTES)}"
        )
    return Block(name, values.shape, values.tobytes())


def _described(
    argument: Any, library: str, blocks: list[Block], *, grad: bool = False
) -> dict[str, Any]:
    if isinstance(argument, np.generic):
        argument = argument.item()
    if not isinstance(argument, np.ndarray):
        return {"json": argument}
    blocks.append(_block(argument))
    return {"block": len(blocks) - 1, "library": library, "grad": grad}


def _read_answers(header: Mapping[str, Any], blocks: Sequence[Block], most: int) -> list[Answer]:
    answers = header.get("answers", [])
    if len(answers) > most:
        raise ValueError("more answers than questions")
    left = dict(enumerate(blocks))
    return [Answer(_returned(each["value"], left)) for each in answers]


def _read_answer(header: Mapping[str, Any], blocks: Sequence[Block], called: str) -> Answer:
    """Read a reply to a call; any of its keys may be missing or of another type."""
    if "raised" in header:
        raised = header["raised"]
        text, where = plain(raised["text"]), plain(raised.get("where", ""))
        memory = "alloc" in text or raised["type"] == "MemoryError"
        hint = say("It asked for more memory than a submission may use.") if memory else ""
        if where:
            told = say(
                "{name} raised {error} ({where}: `{line}`)",
                name=called,
                error=text,
                where=retold(where),
                line=plain(raised.get("line", ""), 160),
            )
        else:
            told = say("{name} raised {error}", name=called, error=text)
        raise CallError("raised", told, hint)
    for kind in ("problem", "missing"):
        if kind in header:
            told = say("{name} {problem}", name=called, problem=retold(plain(header[kind])))
            raise CallError("unsupported" if kind == "problem" else "missing", told)
    gradients = header.get("gradients", {})
    # Each block once: a thousand values of the same one would be stacked to gigabytes.
    left = dict(enumerate(blocks))
    return Answer(
        _returned(header["value"], left),
        tuple(_returned(g, left) for g in gradients.get("values", ())),
        plain(gradients.get("problem", "")),
        tuple(_returned(e, left) for e in header.get("echo", ())),
    )


def _returned(tree: Mapping[str, Any], left: dict[int, Block]) -> Returned:
    container = plain(tree["container"], 80)
    if "items" in tree:
        items = tuple(_returned(item, left) for item in tree["items"])
        if len({item.shape for item in items}) == 1 and all(item.is_array for item in items):
            # [tensor(0.97), tensor(0.88)]: a list of numbers, whatever holds each of them.
            stacked = np.stack([item.values for item in items])
            return Returned(stacked, items[0].dtype, container, "python")
        return Returned(np.empty(0), "", container, "python", items)
    if "block" not in tree:
        return Returned(np.empty(0), "", container, "python")
    block = left.pop(tree["block"])
    values = np.frombuffer(block.data, dtype=block.dtype).reshape(block.shape)
    if block.dtype == "bool":
        # Any byte may have come; NumPy computes nonsense with those that are neither 0 nor 1.
        values = values.view("uint8") != 0
    return Returned(
        values,
        plain(tree["dtype"], 40),
        container,
        plain(tree["library"], 40),
        graph=tree.get("graph") is True,
    )
