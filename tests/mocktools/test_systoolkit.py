"""SysToolKit: the notation, the catalogue's own rules, and the contract of the world that it makes."""

from __future__ import annotations

import re

import pytest

from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.systoolkit import Catalog, CatalogTool, catalog, device_image, device_world
from mocktrial.mocktools.systoolkit.examples import examples, executable
from mocktrial.mocktools.systoolkit.notation import column, parameter, read_notation
from mocktrial.mocktools.world import World

KNOWN: Catalog = catalog()
_SLOT = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("integer 1..30", {"type": "integer", "minimum": 1, "maximum": 30}),
        ("integer -5..5 = 0; shift", {"type": "integer", "minimum": -5, "maximum": 5, "default": 0, "description": "shift"}),
        ("real 15..28", {"type": "number", "minimum": 15.0, "maximum": 28.0}),
        ("a|b c?", {"type": "string", "enum": ["a", "b c"]}),
        ("alarms.id", {"type": "string", "minLength": 1, "maxLength": 200}),
        ("text[] 2..3", {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 200}, "minItems": 2, "maxItems": 3}),
        ("date", {"type": "string", "format": "date"}),
        ("boolean? = false; all of them", {"type": "boolean", "default": False, "description": "all of them"}),
    ],
)  # fmt: skip
def test_a_parameter_is_read(text: str, schema: dict[str, object]) -> None:
    assert parameter(read_notation(text, "here")) == schema


def test_a_column_is_read_with_the_check_of_its_bounds() -> None:
    made, checks = column("level", "integer? 0..100; percent", "here")
    assert (made.type, made.null, made.description, checks) == (
        "integer",
        True,
        "percent",
        ("level BETWEEN 0 AND 100",),
    )
    made, checks = column("owner", "text 1..9 -> people.id", "here")
    assert (made.references, checks) == ("people.id", ("length(owner) BETWEEN 1 AND 9",))


@pytest.mark.parametrize("text", ["", "colour", "integer 1..", "text ->", "Text"])
def test_what_cannot_be_read_names_its_place(text: str) -> None:
    with pytest.raises(SpecError, match=r"domains/x.toml, tool.level"):
        read_notation(text, "domains/x.toml, tool.level")


def test_every_tool_is_executable() -> None:
    image = device_image()
    assert [name for name, tool in KNOWN.tools.items() if executable(tool, image) is None] == []


@pytest.mark.soak
def test_the_world_keeps_the_contract() -> None:
    report = check_world(device_world())
    assert report.problems == ()


@pytest.mark.parametrize("domain", [name for name in KNOWN.domains if KNOWN.domains[name].tools])
def test_a_domain_stands_by_itself(domain: str) -> None:
    """Its tools, and the tables that they say they use, make a world that keeps the contract."""
    assert check_world(device_world([domain]), rounds=3).problems == ()


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(UsageError, match="no domain 'toaster'"):
        device_world(["toaster"])


@pytest.mark.parametrize("tool", KNOWN.tools.values(), ids=KNOWN.tools)
def test_a_tool_is_asked_for_in_words_of_its_own(tool: CatalogTool) -> None:
    own = _grams(tool.spec.description)
    for ask in tool.asks:
        assert set(_SLOT.findall(ask)) <= set(tool.takes), ask
        assert not own & _grams(ask), f"{ask} says what the description says"
    assert len({ask.casefold() for ask in tool.asks}) >= 3
    assert set(tool.values) <= set(tool.takes)


def test_required_arguments_have_several_examples() -> None:
    with World.open(device_image(), 0) as world:
        poor = [
            (name, parameter)
            for name, tool in KNOWN.tools.items()
            for parameter in tool.spec.required
            if not examples(tool, parameter, world)
        ]
    assert poor == []


def test_rows_that_people_speak_of_are_listed_by_a_tool() -> None:
    with World.open(device_image(), 0) as world:
        for domain in KNOWN.domains.values():
            for table, entry in domain.tables.items():
                if not entry.says:
                    continue
                result = world.call(entry.listed_by, {})
                assert result.ok, (table, result.text)
                rows = result.value if isinstance(result.value, list) else result.value["rows"]
                assert {*entry.key, entry.says} <= set(rows[0]), table


def test_a_third_at_most_are_toggles_or_pages() -> None:
    plain = sum(tool.plain for tool in KNOWN.tools.values())
    assert plain / len(KNOWN.tools) <= 0.34


def test_state_is_one_for_all_tools() -> None:
    """What one domain's tool changes, others see: flight mode cuts calls, mail and Bluetooth sound."""
    with World.open(device_image(), 0) as world:
        assert world.call("set_flight_mode", {"enabled": True}).ok
        assert world.call("dial_number", {"number": "116117"}).code == "no_signal"
        assert world.call("send_email", {"to": "a@b.example", "subject": "s", "body": "b"}).code == "no_connection"
        assert world.call("list_bluetooth_devices", {}).code == "bluetooth_off"
        assert world.call("lock_phone", {}).ok
        assert world.call("list_passwords", {}).code == "locked"
        assert world.call("set_ring_volume", {"level": 0}).ok
        assert world.call("show_sound", {}).value["ringer"] == "vibrate"


def _grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return set(zip(*(words[start:] for start in range(5)), strict=False))
