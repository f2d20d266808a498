"""Calls with limits and in spite of losses; and what is made of words that may be forged."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossgrade import student as students
from lossgrade.sandbox import protocol
from lossgrade.sandbox.host import SandboxUnavailable, Worker, Zygote
from lossgrade.sandbox.protocol import Block
from lossgrade.student import CallError, Loading, Returned, _loading, _read_answer, plain

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.student import Student
    from support import Submit

ONE = [np.array([1.0])]


def lost(student: Student, name: str = "f") -> CallError:
    with pytest.raises(CallError) as caught:
        student.call(name, ONE, "numpy")
    return caught.value


def timed(student: Student, name: str) -> tuple[float, str]:
    start = time.monotonic()
    said = str(lost(student, name))
    return time.monotonic() - start, said


LOOPS = """
    def a(x):
        while True: pass
    b = c = a
    def honest(x): return x + 1
"""


# --- time ----------------------------------------------------------------------------------------


def test_a_time_out_costs_a_deadline_then_less_then_nothing(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(students, "IMPATIENT_SECONDS", 0.2)
    student = submit(LOOPS, "a", "honest", call_seconds=0.6)
    times, said = zip(*(timed(student, "a") for _ in range(3)), strict=True)
    assert 0.6 <= times[0] < 2
    assert 0.2 <= times[1] < 0.6
    assert times[2] < 0.2
    assert said[0] == "`a` ran longer than 0.6 seconds"
    assert said[2] == "`a` was not called again: it ran out of time 2 times before"
    assert "loop that never ends" in lost_hint(submit)
    assert student.call("honest", ONE, "numpy").value.values == 2


def lost_hint(submit: Submit) -> str:
    return lost(submit(LOOPS, "a", call_seconds=0.1), "a").hint


def test_three_endless_functions_leave_time_for_the_fourth(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The default limits in tenths of their seconds: the same sums, ten times as fast.
    defaults = submit(LOOPS, "a").limits
    tenth = {
        name: getattr(defaults, name) / 10
        for name in ("call_seconds", "load_seconds", "submission_seconds")
    }
    monkeypatch.setattr(students, "IMPATIENT_SECONDS", students.IMPATIENT_SECONDS / 10)
    student = submit(LOOPS, "a", "b", "c", "honest", **tenth)
    for _ in range(12):  # more criteria than any function has
        for name in "abc":
            assert lost(student, name).kind == "lost"
        assert student.call("honest", ONE, "numpy").value.values == 2
    assert 1.8 <= student.spent < tenth["submission_seconds"] == 3


def test_impatience_never_lengthens_a_call(submit: Submit) -> None:
    student = submit(LOOPS, "a", call_seconds=0.1)
    lost(student, "a")
    assert timed(student, "a")[1] == "`a` ran longer than 0.1 seconds"


def test_the_whole_submissions_time_ends_everything(submit: Submit) -> None:
    text = "import time\ndef f(x):\n    time.sleep(0.25)\n    return x\ndef g(x): return x"
    student = submit(text, "f", "g", submission_seconds=0.7)
    for _ in range(2):
        student.call("f", ONE, "numpy")
    assert "used up the 0.7 seconds of the whole submission" in str(lost(student))
    assert 0.7 <= student.spent < 1.2
    assert "0.7 seconds of the whole submission" in str(lost(student, "g"))


def test_time_is_the_submissions_not_the_machines(submit: Submit) -> None:
    student = submit("import time\ntime.sleep(0.3)\ndef f(x): return x", "f")
    student.call("f", ONE, "numpy")
    before = student.spent
    assert before >= 0.3
    time.sleep(0.5)
    student.call("f", ONE, "numpy")
    assert student.spent - before < 0.4


def test_loading_has_a_limit_of_its_own(submit: Submit) -> None:
    student = submit("while True: pass\ndef f(x): return x", "f", load_seconds=0.3)
    said = str(lost(student))
    assert said == (
        "the submission cannot be loaded: while the file was running, it ran longer than "
        "0.3 seconds"
    )
    spent = student.spent
    assert str(lost(student)) == said
    assert student.spent == spent


# --- deaths --------------------------------------------------------------------------------------


def test_a_crash_costs_its_function_alone(submit: Submit) -> None:
    text = "import os\ndef f(x): os._exit(3)\ndef g(x): return x\nprint('loaded')"
    student = submit(text, "f", "g")
    for _ in range(students.CRASHES):
        said = lost(student)
        assert (said.kind, str(said)) == (
            "lost", "`f` ended the Python process (exit code 3), as os._exit does"
        )  # fmt: skip
        assert student.call("g", ONE, "numpy").value.values == 1
    assert "was not called again: it ended its process 4 times before" in str(lost(student))
    assert student.call("g", ONE, "numpy").value.values == 1


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The `op` of each request to a worker."""
    asked: list[str] = []
    ask = Worker.ask

    def noted(self: Worker, message: Any, *rest: Any) -> Any:
        asked.append(message["op"])
        return ask(self, message, *rest)

    monkeypatch.setattr(Worker, "ask", noted)
    return asked


def test_a_function_broken_by_another_is_called_again(submit: Submit, counted: list[str]) -> None:
    text = """
        import os
        broken = False
        def bad(x):
            global broken
            broken = True
            return x
        def good(x):
            if broken: os._exit(1)
            return x
        """
    student = submit(text, "bad", "good")
    student.call("bad", ONE, "numpy")
    assert student.call("good", ONE, "numpy").value.values == 1
    assert counted == ["load", "call", "call", "load", "call"]


def test_the_first_call_of_a_worker_is_not_tried_twice(submit: Submit, counted: list[str]) -> None:
    student = submit("import os\ndef f(x): os._exit(1)", "f")
    lost(student)
    lost(student)
    assert counted == ["load", "call"] * 2


def test_a_time_out_is_not_tried_twice(submit: Submit, counted: list[str]) -> None:
    student = submit(LOOPS, "a", "honest", call_seconds=0.1)
    student.call("honest", ONE, "numpy")
    lost(student, "a")
    assert counted == ["load", "call", "call"]


def test_endless_output_is_no_crash_to_try_again(submit: Submit, counted: list[str]) -> None:
    student = submit("def f(x):\n    while True: print('x' * 4096)", "f")
    said = lost(student)
    assert str(said) == "`f` printed more than 32 MiB of output"
    assert said.hint == "Is there a print in a loop that never ends?"
    lost(student)
    assert "was not called again: it ran out of time 2 times" in str(lost(student))
    assert counted == ["load", "call"] * 2


# --- several calls at once -----------------------------------------------------------------------


def at_once(student: Student, *values: float, name: str = "f", **options: Any) -> list[float]:
    answers = student.calls(name, [[np.array([v])] for v in values], "numpy", **options)
    return [float(answer.value.values[0]) for answer in answers]


def test_calls_at_once_are_made_in_order_in_one_request(submit: Submit, counted: list[str]) -> None:
    student = submit("n = 0\ndef f(x):\n    global n\n    n += 1\n    return x + n / 10", "f")
    assert at_once(student, 1, 2, 2) == [1.1, 2.2, 2.3]
    assert at_once(student) == []
    assert at_once(student, 5) == [5.4]
    assert counted == ["load", "calls", "calls", "calls"]


def test_calls_at_once_take_the_loss_of_a_pair(submit: Submit) -> None:
    student = submit("def f(x): return x, -x", "f")
    assert at_once(student, 1, 2, first=True) == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("raise ValueError", id="raises"),
        pytest.param("return 'text'", id="returns no array"),
        pytest.param("return np.zeros(9 << 20)", id="returns more than is carried"),
    ],
)
def test_calls_at_once_end_where_one_gives_no_value(
    body: str, submit: Submit, counted: list[str]
) -> None:
    text = f"import numpy as np\ndef f(x):\n    if x == 3: {body}\n    return x"
    student = submit(text, "f")
    assert at_once(student, 1, 2, 3, 4) == [1, 2]
    # It cost nothing: the same worker goes on, and several at once may be asked for again.
    assert at_once(student, 4, 5) == [4, 5]
    assert counted == ["load", "calls", "calls"]


def test_results_too_large_together_are_asked_for_one_by_one(submit: Submit) -> None:
    student = submit("import numpy as np\ndef f(x): return np.full(3 << 20, x)", "f")
    assert at_once(student, 1, 2) == [1, 2]
    assert at_once(student, 1, 2, 3) == []
    assert student.call("f", ONE, "numpy").value.values[0] == 1


@pytest.mark.parametrize("body", ["os._exit(1)", "while True: pass"], ids=["crash", "endless"])
def test_calls_lost_at_once_are_not_counted_and_not_tried_again(
    body: str, submit: Submit, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(students, "IMPATIENT_SECONDS", 0.2)
    student = submit(f"import os\ndef f(x):\n    if x == 2:\n        {body}\n    return x", "f")
    assert at_once(student, 1, 2) == []
    assert not student.timed_out("f")
    assert at_once(student, 1, 3) == []
    assert student.call("f", ONE, "numpy").value.values == 1
    assert counted == ["load", "calls", "load", "call"]


def test_a_function_that_was_lost_before_is_called_one_by_one(
    submit: Submit, counted: list[str]
) -> None:
    student = submit("import os\ndef f(x):\n    if x == 1: os._exit(1)\n    return x", "f", "g")
    lost(student)
    assert at_once(student, 3, 4) == []
    assert at_once(student, 3, 4, name="g") == []
    assert counted == ["load", "call"]


def test_a_file_that_takes_long_to_load_is_called_one_by_one(
    submit: Submit, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(students, "QUICK_SECONDS", 0.2)
    student = submit("import time\ntime.sleep(0.3)\ndef f(x): return x", "f")
    assert at_once(student, 1, 2) == []
    assert counted == ["load"]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            lambda _: [{"value": {"container": "None"}}] * 3, id="more answers than questions"
        ),
        pytest.param(lambda real: [real[0], real[0]], id="one block for two"),
        pytest.param(lambda real: {"value": real}, id="no list"),
        pytest.param(lambda _: [None], id="no answer"),
        pytest.param(lambda _: 7, id="a number"),
    ],
)
def test_forged_answers_at_once_are_a_loss(
    answers: Any, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = submit("def f(x): return x", "f")
    student.call("f", ONE, "numpy")
    real = protocol.unpack

    def forged(encoded: bytes, payload: bytes) -> Any:
        header, blocks = real(encoded, payload)
        return {**header, "answers": answers(header["answers"])}, blocks

    with monkeypatch.context() as patch:
        patch.setattr(protocol, "unpack", forged)
        assert at_once(student, 1, 2) == []
    assert student._worker is None
    assert student.call("f", ONE, "numpy").value.values == 1


def test_a_file_that_loads_only_once_fails_with_that_reason(submit: Submit, tmp_path: Path) -> None:
    student = submit(
        """
        import os, time
        while time.time() > UNTIL: os._exit(2)
        def f(x): os._exit(1)
        def g(x): return x
        """.replace("UNTIL", str(time.time() + 0.5)),
        "f",
        "g",
    )
    assert student.call("g", ONE, "numpy").value.values == 1
    time.sleep(0.5)
    assert "the submission loads no longer: while the file was running, it ended" in str(
        lost(student)
    )
    assert "cannot be loaded: while the file was running" in str(lost(student, "g"))


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("os.kill(os.getpid(), 9)", "was killed (out of memory or processor time)"),
        ("os.kill(os.getpid(), 11)", "crashed Python (segmentation fault)"),
        ("os.abort()", "aborted Python"),
        ("os.kill(os.getpid(), 7)", "crashed Python (bus error)"),
        ("os.kill(os.getpid(), 10)", "ended the Python process (SIGUSR1)"),
        ("os.kill(os.getpid(), 24)", "used up its processor time"),
        ("os._exit(0)", "ended the Python process (exit code 0), as os._exit does"),
        ("os.write(max(range(3, 40), key=ok), b'x' * 99)", "wrote to the grader's own pipe: bytes"),
    ],
)
def test_a_death_is_told_in_plain_words(submit: Submit, statement: str, says: str) -> None:
    text = f"""
        import os
        def ok(n):
            try:
                # Of the protocol's two pipes, the one that can be written to.
                os.write(n, b"")
                return n
            except OSError:
                return 0
        def f(x):
            {statement}
        """
    assert f"`f` {says}" in str(lost(submit(text, "f")))


def test_closed_pipes_are_a_death(submit: Submit) -> None:
    # It ends at its next read, unless it has been killed before.
    said = str(lost(submit("import os\ndef f(x): os.closerange(0, 99)", "f")))
    assert "ended the Python process" in said or "or closed the grader's own pipes" in said


# --- the machine's faults ------------------------------------------------------------------------


def test_a_level_that_is_not_reached_runs_nothing(
    submit: Submit, zygotes: dict[tuple[str, ...], Zygote], monkeypatch: pytest.MonkeyPatch,
    counted: list[str],
) -> None:  # fmt: skip
    workers: list[Worker] = []
    post_init = Worker.__post_init__

    def lowered(self: Worker) -> None:
        post_init(self)
        self.sandbox["level"] = "limits"
        workers.append(self)

    monkeypatch.setattr(Worker, "__post_init__", lowered)
    text = "print('ran')\ndef f(x): return x"
    student = submit(text, "f", required_level="contained")
    for _ in range(2):
        with pytest.raises(SandboxUnavailable, match="reaches level 'limits' here, and 'contai"):
            student.call("f", ONE, "numpy")
    student.close()
    assert (counted, student.printed) == ([], "")
    assert [worker.status for worker in workers] == [-9]
    assert student.sandbox["level"] == "limits"
    assert submit(text, "f", required_level="limits").call("f", ONE, "numpy").value.values == 1


def test_what_cannot_be_copied_is_no_fault_of_the_students(submit: Submit, tmp_path: Path) -> None:
    with Zygote(["numpy"]) as zygote:
        student = submit("def f(x): return x", "f", zygote=zygote)
        student.submission.path.unlink()
        with pytest.raises(SandboxUnavailable, match="the submission cannot be copied"):
            student.call("f", ONE, "numpy")
        assert list(zygote.scratch.iterdir()) == []


def test_a_machine_without_workers_is_asked_twice_not_for_ever(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refused(*arguments: object) -> Worker:
        asked.append(arguments)
        raise SandboxUnavailable("no processes left")

    monkeypatch.setattr(Zygote, "worker", refused)
    student = submit("def f(x): return x", "f")
    for _ in range(5):
        with pytest.raises(SandboxUnavailable, match="no processes left"):
            student.call("f", ONE, "numpy")
    assert len(asked) == 2


# --- what was printed ----------------------------------------------------------------------------


def test_printed_text_is_kept_once_and_capped(submit: Submit) -> None:
    text = """
        import os, sys
        print("demo 數")
        os.write(2, b"\\xff\\x1b[31m")
        def f(x): os._exit(1)
        def g(x):
            print("in g")
            return x
        """
    student = submit(text, "f", "g", output_kib=1)
    student.call("g", ONE, "numpy")
    for _ in range(3):
        lost(student)
    student.close()
    assert student.printed == "demo 數\n\ufffd\x1b[31min g\n"
    student = submit("print('x' * 5000)\ndef f(x): return x", "f", output_kib=1)
    student.call("f", ONE, "numpy")
    student.close()
    student.close()
    assert student.printed == "x" * 1024


# --- missing functions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("def soft_max(x): return x", "You define `soft_max`: rename it to `softmax`."),
        ("def SoftMax(x): return x", "You define `SoftMax`: rename it to `softmax`."),
        ("import nowhere", "While the file ran: hw.py, line 1: ModuleNotFoundError: No module"),
        ("x = 1", "Define `softmax` at the top level of hw.py."),
    ],
)
def test_a_missing_function_is_looked_for(submit: Submit, text: str, hint: str) -> None:
    said = lost(submit(text, "softmax"), "softmax")
    assert (said.kind, str(said)) == ("missing", "no function named `softmax` was found")
    assert said.hint.startswith(hint)


# --- words that may be forged --------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TREES = st.recursive(
    JSON | st.fixed_dictionaries(
        {},
        optional={
            "container": st.sampled_from(["list", "None", 3, None]),
            "block": st.sampled_from([0, 1, 2, -1, 0.0, True, "0", float("inf"), float("nan"), []]),
            "dtype": st.just("float64") | JSON,
            "library": st.just("numpy") | JSON,
            "graph": JSON,
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {"container": st.just("list"), "items": st.lists(inner, max_size=3) | JSON}
    ),
    max_leaves=6,
)  # fmt: skip
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "value": TREES,
        "gradients": JSON | st.fixed_dictionaries({"values": st.lists(TREES, max_size=2) | JSON}),
        "echo": st.lists(TREES, max_size=2) | JSON,
        "raised": JSON | st.fixed_dictionaries({"text": JSON, "type": JSON, "where": JSON}),
        "problem": JSON,
        "missing": JSON,
    },
)
SENT = [Block("float64", (2,), bytes(16)), Block("bool", (3,), b"\0\1\7")]
# What `Student._answer` takes for an answer that is none.
NO_ANSWER = (KeyError, TypeError, IndexError, ValueError, AttributeError, RecursionError)


@settings(max_examples=300)
@given(ANSWERS)
def test_any_answer_is_one_or_a_documented_error(header: dict[str, Any]) -> None:
    # As it would come: NaN and infinity pass through JSON.
    header = json.loads(json.dumps(header))
    try:
        answer = _read_answer(header, SENT, "`f`")
    except CallError as error:
        said = f"{error}{error.hint}"
        assert said.isprintable()
        return
    except NO_ANSWER:
        return
    for each in (answer.value, *answer.gradients, *answer.inputs_after):
        assert isinstance(each, Returned)
        assert isinstance(each.values, np.ndarray)
        assert f"{each.container}{each.dtype}{each.library}".isprintable()
        assert each.graph in (True, False)


def tree(block: object) -> dict[str, Any]:
    return {"container": "ndarray", "block": block, "dtype": "float64", "library": "numpy"}


def test_a_block_counts_once() -> None:
    # A thousand values of one block of 64 MiB would be stacked to 64 GiB here.
    header = {"value": {"container": "list", "items": [tree(0)] * 1000}}
    with pytest.raises(KeyError):
        _read_answer(header, SENT, "`f`")
    with pytest.raises(KeyError):
        _read_answer({"value": tree(0), "echo": [tree(0)]}, SENT, "`f`")


def test_bytes_that_are_no_bool_become_one() -> None:
    values = _read_answer({"value": tree(1)}, SENT, "`f`").value.values
    assert values.dtype == bool
    assert values.tobytes() == b"\0\1\1"


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "found": JSON | st.dictionaries(
                st.sampled_from(["f", "g", "other"]),
                JSON | st.fixed_dictionaries(
                    {"name": st.sampled_from(["f", "phi", "g", "evil", 3, None, []])},
                    optional={"problem": JSON, "package": JSON, "extra": JSON},
                ),
            ),
            "defined": JSON | st.lists(JSON, max_size=5),
            "notes": JSON | st.lists(JSON, max_size=50),
            "failed": JSON,
        },
    )
)  # fmt: skip
def test_any_words_about_loading_are_read(header: dict[str, Any]) -> None:
    names = {"f": ["f", "phi"], "g": ["g"]}
    loading = _loading(json.loads(json.dumps(header)), names)
    assert isinstance(loading, Loading)
    for key, found in loading.found.items():
        assert found["name"] in names[key]
        assert found.keys() <= {"name", "problem", "package"}
    assert all(name.isidentifier() for name in loading.defined)
    assert len(loading.notes) <= 40
    texts = [
        loading.failure,
        *loading.notes,
        *(v for f in loading.found.values() for v in f.values()),
    ]
    assert all(text.isprintable() for text in texts)
    json.dumps(texts).encode()


def test_deep_words_are_no_error_of_ours() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert _loading({"failed": deep, "notes": [deep]}, {}).notes == ["list"]
    while deep:  # taken apart here: its end would be another recursion
        deep = deep.pop()


@given(st.text() | JSON, st.integers(3, 50))
def test_plain_text_is_one_capped_line_that_any_file_can_hold(text: object, cap: int) -> None:
    said = plain(text, cap)
    assert len(said) <= cap
    assert said == " ".join(said.split())
    assert said.isprintable()
    said.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\tb", "a b"),
        ("\x1b]0;title\x07 \x1b[2Jx", "]0;title [2Jx"),
        ("\u202eevil", "evil"),
        ("\ud800x", "x"),
        ("數 é", "數 é"),
        ("x" * 700, "x" * 597 + "..."),
        (None, "NoneType"),
        (b"x", "bytes"),
    ],
)
def test_plain_text(text: object, shown: str) -> None:
    assert plain(text) == shown


FORGED = """
    import json, os, struct
    def sent(header, payload=b""):
        text = json.dumps(header).encode()
        return struct.pack("!4sII", b"LGr1", len(text), len(payload)) + text + payload
    def pipe():
        for n in range(3, 20):
            try:
                os.write(n, b"")
                return n
            except OSError:
                pass
    def f(x): os.write(pipe(), sent({"blocks": [], "nonce": "guess", "value": {}})); return x
    def early(x): os.write(pipe(), sent({"blocks": []}) * 2); os._exit(0)
    def g(x): return x
"""


def test_forged_frames_are_a_loss_of_their_function(submit: Submit) -> None:
    student = submit(FORGED, "f", "early", "g")
    assert "`f` wrote to the grader's own pipe: an answer to no question" in str(lost(student))
    assert "`early` wrote to the grader's own pipe" in str(lost(student, "early"))
    assert student.call("g", ONE, "numpy").value.values == 1


def test_a_forged_answer_of_nonsense_is_a_loss(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = submit("def f(x): return x", "f")
    student.call("f", ONE, "numpy")
    real = protocol.unpack

    def nonsense(encoded: bytes, payload: bytes) -> Any:
        header, blocks = real(encoded, payload)
        return ({**header, "value": {"container": [], "block": float("inf")}}, blocks)

    with monkeypatch.context() as patch:
        patch.setattr(protocol, "unpack", nonsense)
        assert "`f` sent an answer that is no answer" in str(lost(student))
    assert student.call("f", ONE, "numpy").value.values == 1


def test_scratch_is_removed_after_every_end(submit: Submit) -> None:
    text = """
        import os, time
        os.mkdir("locked"); open("locked/left", "w").close()
        os.chmod("locked", 0o000) if hasattr(os, "chmod") else None
        def f(x): os._exit(1)
        def g(x): time.sleep(9)
        def h(x): return x
        """
    with Zygote(["numpy"]) as zygote:
        student = submit(text, "f", "g", "h", zygote=zygote, call_seconds=0.2)
        for name in "fgh":
            try:
                student.call(name, ONE, "numpy")
            except CallError:
                assert list(zygote.scratch.iterdir()) == []
        assert len(list(zygote.scratch.iterdir())) == 1
        student.close()
        assert list(zygote.scratch.iterdir()) == []
        assert zygote.scratch.stat().st_mode & 0o777 == 0o711
    assert not zygote.scratch.exists()
