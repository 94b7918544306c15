"""The reader keeps every row of the released files and says what it doubts."""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.dataset import Dataset, read
from mocktrial.mocktools.autoslurp.slot_list import parse_lists
from mocktrial.mocktools.errors import UsageError

KNOWN = frozenset(catalog().kinds)
HEADER = "id,query,intent,slots,domain,action\n"

names = st.sampled_from(sorted(KNOWN))
# A value is any line of text; it is stripped, because the released style puts spaces around the colon.
values = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1).map(str.strip)
values = values.filter(bool)
slots = st.lists(st.tuples(names, values), max_size=4)


def slots_of(text: str) -> list[tuple[str, str]]:
    (one,) = parse_lists(text, KNOWN)
    return list(one.slots)


def write(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def only_row(tmp_path: Path, intent: str, slots: str) -> Dataset:
    path = tmp_path / "row.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        csv.writer(file).writerow(["7", "do it", intent, slots, "", ""])
    return read(path)


def quoted(item: str) -> str:
    """Python's own quoting, which the released files follow where their quotes match."""
    plain = item.replace("\\", "\\\\")
    return '"' + plain.replace('"', '\\"') + '"' if "'" in plain else f"'{plain}'"


@given(slots)
def test_well_quoted_lists_parse_back(slots: list[tuple[str, str]]) -> None:
    text = "[" + ", ".join(quoted(f"{name} : {value}") for name, value in slots) + "]"
    assert slots_of(text) == slots


@given(slots)
def test_bare_apostrophes_inside_single_quotes_parse_back(slots: list[tuple[str, str]]) -> None:
    clean = [(name, value.replace("\\", "").replace('"', "").strip() or "x") for name, value in slots]
    # Where a value itself looks like the seam between two items, nobody could tell them apart.
    clean = [(name, re.sub(r"'\s*,|,\s*'|'+$|'\s*\]", " ", value).strip() or "x") for name, value in clean]
    text = "[" + ", ".join(f"'{name} : {value}'" for name, value in clean) + "]"
    assert slots_of(text) == clean


@given(st.text())
def test_any_text_is_read_without_error(text: str) -> None:
    assert parse_lists(text, KNOWN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['content:how's it going']", [("content", "how's it going")]),
        ("[''content:the plan]", [("content", "the plan")]),
        ("[date:noon]", [("date", "noon")]),
        ("['person : al', 'descriptor':'very old']", [("person", "al"), ("descriptor", "very old")]),
        ("['person : al,'index:1-3']", [("person", "al"), ("index", "1-3")]),
        ("['person : al',date:friday, or so']", [("person", "al"), ("date", "friday, or so")]),
        ("[\"content:'tis [so], he said: 'yes'\"]", [("content", "'tis [so], he said: 'yes'")]),
        ("['time : six' , 'time : ten']", [("time", "six"), ("time", "ten")]),
    ],
)
def test_broken_quotes_keep_their_slots(text: str, expected: list[tuple[str, str]]) -> None:
    assert slots_of(text) == expected


def test_broken_quotes_are_reported(tmp_path: Path) -> None:
    (row,) = only_row(tmp_path, "general_quirky", "['content:it's on']").rows
    assert row.calls[0].slots == (("content", "it's on"),)
    assert "quotes do not match" in row.problems[0]
    assert row.raw == "['content:it's on']"


@pytest.mark.parametrize("separator", [";", ","])
def test_two_intents_take_one_list_each(tmp_path: Path, separator: str) -> None:
    text = "['color_type : blue'],['house_place : kitchen']"
    (row,) = only_row(tmp_path, f"iot_hue_lightcolor{separator}iot_hue_lightoff", text).rows
    assert [call.intent for call in row.calls] == ["iot_hue_lightcolor", "iot_hue_lightoff"]
    assert [call.slots for call in row.calls] == [(("color_type", "blue"),), (("house_place", "kitchen"),)]
    assert not row.problems


def test_an_empty_first_list_stays_with_the_first_intent(tmp_path: Path) -> None:
    (row,) = only_row(tmp_path, "calendar_query;email_sendemail", "[],['content:it's done']").rows
    assert [call.slots for call in row.calls] == [(), (("content", "it's done"),)]


def test_missing_list_and_items_without_colon_or_value_are_reported(tmp_path: Path) -> None:
    (row,) = only_row(tmp_path, "play_music;music_likeness", "['loud', 'song_name : ', 'index : 1']").rows
    assert [call.slots for call in row.calls] == [(("index", "1"),), ()]
    assert [problem.split(":")[0] for problem in row.problems] == [
        "item without a colon",
        "item without a value",
        "2 intents but 1 lists of slots",
    ]


def test_labels_get_the_services_spelling_and_repeats_are_kept(tmp_path: Path) -> None:
    text = "['amout : ten', 'currency_name : euro', 'currency_name : yen']"
    (row,) = only_row(tmp_path, "qa_currency", text).rows
    assert row.calls[0].slots == (("amount", "ten"), ("currency_name", "euro"), ("currency_name", "yen"))
    assert row.problems == ("qa_currency: currency_name comes 2 times",)


def test_labels_no_service_has_are_counted_apart_from_labels_of_other_services(tmp_path: Path) -> None:
    data = only_row(tmp_path, "alarm_set", "['timeofday : noon', 'date : friday', 'time : six']")
    assert data.unmapped == {"alarm_set.timeofday": 1}
    assert data.foreign == {"alarm_set.date": 1}
    assert data.rows_unmapped == 1
    assert only_row(tmp_path, "juggle", "['time : six']").unmapped == {"juggle": 1}


def test_both_names_of_the_query_column_and_absent_domain_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "1,hello there,general_greet,[],greet", header="id,sentence,intent,slots,action\n")
    (row,) = read(path).rows
    assert (row.query, row.action, row.domain) == ("hello there", "greet", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,query,intent,action\n", "line 1: no column 'slots'"),
        (b"id,intent,slots\n", "no column 'query' or 'sentence'"),
        (b"", "line 1: no column 'id'"),
        (HEADER.encode() + b"1,a,b,[],x,y\n1,a\n", "line 3: 2 cells where the header has 6"),
        (HEADER.encode() + b"1,a,,[],x,y\n", "line 2: the intent is empty"),
        (HEADER.encode() + b"1,\xff\xfe,b,[],x,y\n", "not a CSV file"),
        (HEADER.encode() + b'1,"a" b,c,[],x,y\n', "not a CSV file"),
    ],
)
def test_broken_files_are_usage_errors_with_file_line_and_next_step(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_missing_file_and_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(UsageError):
        read(tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "count"), [("train.csv", 1000), ("train_5k.csv", 5000), ("test.csv", 100)])
def test_every_released_row_is_kept(autoslurp_dir: Path, name: str, count: int) -> None:
    data = read(autoslurp_dir / name)
    assert len(data.rows) == len({row.id for row in data.rows}) == count
    assert all(call.intent in catalog().intents for row in data.rows for call in row.calls)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "broken", "no_colon"), [("train.csv", 13, 0), ("train_5k.csv", 39, 1)])
def test_well_quoted_rows_agree_with_python_and_the_others_are_reported(
    autoslurp_dir: Path, name: str, broken: int, no_colon: int
) -> None:
    rows = read(autoslurp_dir / name).rows
    well = [row for row in rows if not any("quotes" in problem for problem in row.problems)]
    for row in well:
        lists = ast.literal_eval(f"[{row.raw}]")
        items = [item.partition(":") for one in lists for item in one if ":" in item]
        found = [(name, value) for call in row.calls for name, value in call.slots]
        assert found == [(catalog().label(name.strip()), value.strip()) for name, _, value in items]
    assert len(rows) - len(well) == broken
    assert sum("without" in problem for row in rows for problem in row.problems) == no_colon


def test_catalog_is_consistent() -> None:
    facts = catalog()
    assert sum(not one.external for one in facts.services.values()) == 18
    assert sum(one.external for one in facts.services.values()) == 5
    for name, intent in facts.intents.items():
        labels = {*intent.slots, *intent.extra}
        assert labels <= facts.kinds.keys(), name
        if intent.service:
            assert set(intent.slots) <= set(facts.services[intent.service].slots), name
        assert all(set(group) & labels for group in intent.required), name
        assert bool(intent.required) == bool(intent.question), name
    assert not facts.aliases.keys() & facts.kinds.keys()
