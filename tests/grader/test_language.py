"""`--language zh`: what a student reads is Chinese, and English stays as it was."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from lossgrade import language
from lossgrade.phrases import PHRASES, retold

if TYPE_CHECKING:
    from collections.abc import Iterator

CHINESE = re.compile(r"[\u4e00-\u9fff]")
WRONG = "missing-minus-sign/stat453_numpy.py"
LAW = "cross_entropy.never_negative"


@pytest.fixture
def chinese() -> Iterator[None]:
    language.use("zh")
    yield
    language.use("en")


# ---- a run of pytest --------------------------------------------------------------------


def test_a_wrong_submission_is_told_of_in_chinese(grade: Any, hand_in: Any) -> None:
    hand_in(WRONG)
    run = grade("--language", "zh")
    assert run.code == 1
    assert run.result["language"] == "zh"
    failed = [c for c in run.criteria.values() if c["outcome"] == "failed"]
    assert failed
    for criterion in run.criteria.values():
        assert CHINESE.search(criterion["title"])
    for criterion in failed:
        assert CHINESE.search(criterion["message"])
        assert not criterion["hint"] or CHINESE.search(criterion["hint"])
    law = run.criteria[LAW]
    assert law["title"] == "损失都不为负"
    assert re.fullmatch(r"`cross_entropy` 返回了 -\S+，损失应大于等于 0", law["message"])
    assert law["title"] in run.out
    assert law["message"].split()[0] in run.out


def test_english_is_as_it_was(grade: Any, hand_in: Any) -> None:
    hand_in(WRONG)
    run = grade("--language", "en")
    assert run.result["language"] == "en"
    law = run.criteria[LAW]
    assert law["title"] == "No loss is negative"
    assert re.fullmatch(
        r"`cross_entropy` returned -\S+, expected a loss of 0 or more", law["message"]
    )
    assert not CHINESE.search(json.dumps(run.result, ensure_ascii=False) + run.out)


def test_the_language_may_stand_in_the_configuration(
    grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in(WRONG)
    course = pytester.mkdir("course") / "pytest.ini"
    course.write_text("[pytest]\nlossgrade_language = zh\n", encoding="utf-8")
    run = grade("-c", course, "-k", "never_negative")
    assert run.criteria[LAW]["title"] == "损失都不为负"
    # The command line wins.
    run = grade("-c", course, "-k", "never_negative", "--language", "en")
    assert run.result["language"] == "en"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(
            ["--language", "tlh"],
            "ERROR: --language: language 'tlh', expected one of en, zh",
            id="unknown",
        ),
        pytest.param(
            ["-o", "lossgrade_language=tlh"],
            "ERROR: lossgrade_language: language 'tlh', expected one of en, zh",
            id="unknown in the configuration",
        ),
    ],
)
def test_an_unknown_language_is_one_clear_error(
    arguments: list[str], error: str, grade: Any
) -> None:
    run = grade(*arguments)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert run.err.strip() == error
    assert run.record is None


def test_a_language_without_a_submission_is_refused(pytester: pytest.Pytester) -> None:
    ran = pytester.runpytest_subprocess("--language", "zh")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert "--language needs --submission PATH" in ran.stderr.str()


def test_processes_of_xdist_speak_it_too(grade: Any, hand_in: Any) -> None:
    pytest.importorskip("xdist")
    hand_in(WRONG)
    run = grade("-n", "2", "-k", "never_negative", "--language", "zh")
    assert run.criteria[LAW]["title"] == "损失都不为负"
    assert CHINESE.search(run.criteria[LAW]["message"])


def test_what_happened_in_the_sandbox_is_told_in_chinese(grade: Any, hand_in: Any) -> None:
    hand_in(
        text="""
import os
import no_such_module

def to_onehot(y, num_classes):
    raise ValueError("a {brace} and {0}")

def softmax(z):
    return {"a": z}

def to_classlabel(z):
    return None

def cross_entropy(p, y):
    os._exit(3)
"""
    )
    run = grade("--language", "zh")
    note = "hw.py 第 3 行：ModuleNotFoundError: No module named 'no_such_module'；其余部分照常运行"
    assert run.result["notes"] == [note]
    told = [c["message"] for c in run.criteria.values()]
    for text in (
        "`to_onehot` 抛出了 ValueError: a {brace} and {0}（hw.py 第 6 行：",
        "`softmax` 返回了 dict，它不是数组，调用参数为 ",
        "`to_classlabel` 返回了 None",
        "`cross_entropy` 结束了 Python 进程（退出码 3），就像调用了 os._exit",
    ):
        assert any(message.startswith(text) for message in told), text


# ---- say --------------------------------------------------------------------------------


@pytest.mark.parametrize("speaking", language.LANGUAGES)
@pytest.mark.parametrize("text", ["{x}", "{", "}", "{0}", "{{x}}", "{error!r:>{width}}"])
def test_braces_in_values_are_left_alone(text: str, speaking: str) -> None:
    language.use(speaking)
    try:
        told = language.say("{name} raised {error}", name="`f`", error=text)
        assert told == {"en": f"`f` raised {text}", "zh": f"`f` 抛出了 {text}"}[speaking]
        # Told by the other process, and found again there.
        assert text in retold(f"cannot be used: {text}")
    finally:
        language.use("en")


def test_an_unknown_text_is_said_as_it_is(chinese: None) -> None:
    """An instructor's own criterion has a title that no catalogue knows."""
    assert language.say("The course's own {law}") == "The course's own {law}"
    assert language.say("") == ""


def test_an_unknown_language_changes_nothing(chinese: None) -> None:
    with pytest.raises(ValueError, match=r"language 'xx', expected one of en, zh"):
        language.use("xx")
    assert language.used() == "zh"


@pytest.mark.parametrize(
    ("english", "said"),
    [
        pytest.param("ran longer than 5 seconds", "运行时间超过 5 秒", id="a time-out"),
        pytest.param(
            "ran longer than 5 seconds, printing 3 MiB of output",
            "运行时间超过 5 秒，打印了 3 MiB 的输出",
            id="a time-out with output",
        ),
        pytest.param(
            "hw.ipynb, cell 2, line 4: EOFError: input() has nobody to ask here; the rest was run",
            "hw.ipynb 单元格 2 第 4 行：EOFError：input() 在这里得不到任何输入；其余部分照常运行",
            id="phrases in a phrase",
        ),
        pytest.param("NameError: name 'x' is not defined", None, id="Python's own text"),
    ],
)
def test_phrases_of_the_sandbox_are_found_again(
    english: str, said: str | None, chinese: None
) -> None:
    assert retold(english) == (said or english)


def test_phrases_are_left_alone_in_english() -> None:
    for phrase in PHRASES:
        assert retold(phrase) == phrase
