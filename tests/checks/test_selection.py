"""Which rules are on."""

from __future__ import annotations

import pytest

from fakes import RULES
from lossgrade_checks.selection import Choice, UnknownRule, matching, rules_on

ALL = ["LG101", "LG102", "LG201"]


@pytest.mark.parametrize(
    ("choices", "on"),
    [
        pytest.param([], ALL, id="nothing said"),
        pytest.param([Choice(["LG1"])], ["LG101", "LG102"], id="a beginning"),
        pytest.param([Choice(["lg101"])], ["LG101"], id="in small letters"),
        pytest.param([Choice(["worst-loss"])], ["LG201"], id="a name"),
        pytest.param([Choice([])], [], id="none"),
        pytest.param([Choice(ignore=["LG1"])], ["LG201"], id="ignored"),
        pytest.param([Choice(["ALL"], ignore=["LG"])], [], id="all, then none"),
        pytest.param([Choice(["LG101"], ignore=["LG1"])], ["LG101"], id="the longer one counts"),
        pytest.param([Choice(["LG1"], ignore=["LG101"])], ["LG102"], id="also against itself"),
        pytest.param([Choice(["LG101"], ignore=["bad-loss"])], [], id="as long: ignored"),
        pytest.param([Choice(["LG2"], ["LG102"])], ["LG102", "LG201"], id="extended"),
        pytest.param([Choice([], ignore=["LG1"]), Choice(["LG101"])], ["LG101"], id="starts anew"),
        pytest.param([Choice(["LG1"]), Choice(ignore=["LG102"])], ["LG101"], id="goes on"),
        pytest.param([Choice(ignore=["LG1"]), Choice(None, ["LG102"])], ["LG102", "LG201"], id="+"),
    ],
)
def test_the_later_and_the_longer_counts_for_more(choices: list[Choice], on: list[str]) -> None:
    assert [rule.code for rule in rules_on(RULES, choices)] == on


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        pytest.param("LG110", "'LG110' is no rule: .*; did you mean LG101?", id="a code"),
        pytest.param("worst-los", "did you mean worst-loss?", id="a name"),
        pytest.param("E501", "`lossgrade rule --all` lists them", id="another linter's"),
        pytest.param("", "'' is no rule", id="nothing"),
        pytest.param("LG000", "syntax errors are always reported; exclude the file", id="LG000"),
        pytest.param("syntax-error", "syntax errors are always reported", id="its name"),
    ],
)
def test_what_names_no_rule_says_what_may_be_meant(selector: str, says: str) -> None:
    with pytest.raises(UnknownRule, match=says):
        matching(RULES, selector)
