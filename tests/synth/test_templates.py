"""Templates: brackets give way to what is hidden; a name that nobody gives is an error."""

from __future__ import annotations

import pytest

from mocktrial.envs.rubric import CallCriterion, StateCriterion, TellCriterion
from mocktrial.mocktools.errors import SpecError
from mocktrial.synth.form.templates import choose, fill, fill_criterion, instruct, speak, sql_names

SPOKEN = {"who": "Ann", "field": "eye", "day": "Monday"}
TEMPLATE = "Book {who} with [the {field} doctor|a doctor][ on {day}]."


@pytest.mark.parametrize(
    ("hidden", "text"),
    [
        ((), "Book Ann with the eye doctor on Monday."),
        (("day",), "Book Ann with the eye doctor."),
        (("field",), "Book Ann with a doctor on Monday."),
        (("field", "day"), "Book Ann with a doctor."),
        (("who",), None),  # stands outside brackets
    ],
)
def test_hidden_parts_give_way(hidden: tuple[str, ...], text: str | None) -> None:
    assert instruct(TEMPLATE, SPOKEN, hidden) == text


def test_a_wording_that_forgets_a_told_fact_is_not_used() -> None:
    assert instruct("Book {who}[ on {day}].", SPOKEN, ("day",)) is None


def test_a_name_that_nobody_gives_is_an_error() -> None:
    with pytest.raises(SpecError, match="'when'"):
        fill("Come {when}.", SPOKEN)
    with pytest.raises(SpecError, match="'when'"):
        fill_criterion(StateCriterion(id="a", sql="SELECT 1 WHERE :when = 1"), SPOKEN)


def test_criteria_get_values_and_keep_their_types() -> None:
    values = {"days": 3, "parcel": "k1", "other": 9}
    state = fill_criterion(StateCriterion(id="a", sql="SELECT '10:30' WHERE :days > 2"), values)
    assert isinstance(state, StateCriterion)
    assert state.values == {"days": 3}
    call = fill_criterion(CallCriterion(id="b", tool="hold", arguments={"days": "{days}"}), values)
    assert isinstance(call, CallCriterion)
    assert call.arguments == {"days": 3}
    tell = fill_criterion(TellCriterion(id="c", any_of=("{days} days",)), values)
    assert isinstance(tell, TellCriterion)
    assert tell.any_of == ("3 days",)


def test_what_follows_a_bar_may_name_bound_values() -> None:
    template = "Move it to [{day}|{near:day}]."
    bound = {"near": "2026-05-12"}
    assert instruct(template, {"day": "Monday"}, ("day",), bound) == "Move it to Tuesday 12 May."
    assert instruct(template, {"day": "Monday"}, (), bound) == "Move it to Monday."
    with pytest.raises(SpecError, match="'near'"):
        instruct(template, {"day": "Monday"}, ("day",))


@pytest.mark.parametrize(
    ("value", "manner", "text"),
    [
        ("2026-05-02", "day", "Saturday 2 May"),
        ("soon", "day", "soon"),
        ("10:30", "time", "10:30"),
        ("10:30:00", "time", "10:30"),
        (12.5, "money", "$12.50"),
        (12, "money", "$12"),
        (1200.0, "money", "$1200"),
        ("12", "money", "12"),
        (True, "flag", "yes"),
        (0, "flag", "no"),
        (3, "", "3"),
    ],
)
def test_values_are_spoken(value: object, manner: str, text: str) -> None:
    assert speak(value, manner) == text


def test_a_part_that_names_what_is_absent_gives_way() -> None:
    assert (
        choose("[Booked as {a.id}.|][No room.{b.id}|Full.]", lambda name: name.startswith("b"))
        == "Booked as {a.id}.Full."
    )


def test_names_of_sql_are_not_sought_in_its_texts() -> None:
    assert sql_names("SELECT '10:30', :a WHERE x = :b_2 AND y = :a AND z = 'it is :c'") == ("a", "b_2")
