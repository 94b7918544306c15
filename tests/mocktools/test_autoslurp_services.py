"""The services keep state: what is set is listed, changed and removed, and what they tell is consistent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.dataset import read
from mocktrial.mocktools.autoslurp.resolve import arguments, canonical_arguments
from mocktrial.mocktools.autoslurp.services import ASSISTANT, autoslurp_image, autoslurp_world, for_tool
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.world import World

Arguments = dict[str, Any]


@pytest.fixture
def world() -> Iterator[World]:
    with World.open(autoslurp_image(), 1) as opened:
        yield opened


def test_every_intent_is_a_tool_that_takes_all_its_labels() -> None:
    tools = {tool.name: tool for tool in autoslurp_world().tools()}
    for name, intent in catalog().intents.items():
        assert {*intent.slots, *intent.extra, "other"} <= set(tools[name].parameters), name
        assert tools[name].effect == intent.effect, name
    assert [kit.name for kit in autoslurp_world().toolkits] == [*catalog().services, ASSISTANT]


def test_the_world_keeps_the_contract() -> None:
    report = check_world(autoslurp_world(), rounds=2)
    assert report.problems == ()


STATEFUL = [  # set, then what shows it, and a text that only then is shown
    ("alarm_set", {"time": "05:45", "event_name": "fishing"}, "alarm_query", {"time": "05:45"}, "fishing"),
    ("alarm_set", {"time": "2026-05-13T05:45"}, "alarm_query", {"date": "2026-05-13"}, "05:45"),
    ("alarm_change", {"from_time": "20:00", "to_time": "21:15"}, "alarm_query", {}, "21:15"),
    ("calendar_set", {"event_name": "picnic", "date": "2026-05-16"}, "calendar_query", {"event_name": "picnic"}, "05-16"),
    ("lists_createoradd", {"list_name": "camping"}, "lists_query", {}, "camping"),
    ("lists_createoradd", {"list_name": "shopping", "item_name": "rope"}, "lists_query", {"item_name": "rope"}, "shopping"),
    ("email_sendemail", {"to_person": "john", "content": "on leave"}, "email_query", {"to_person": "john"}, "on leave"),
    ("email_addcontact", {"person": "ida", "email_address": "ida@mail.example"}, "email_querycontact", {"person": "ida"}, "ida@"),
    ("play_music", {"song_name": "yellow"}, "music_query", {"query": "song name"}, "'now': {'title': 'Yellow'"),
    ("music_likeness", {"artist_name": "bjork"}, "music_query", {}, "bjork"),
    ("play_radio", {"radio_name": "npr"}, "radio_query", {}, "'now': {'radio_name': 'NPR', 'state': 'playing'}"),
    ("social_post", {"media_type": "twitter", "content": "rain again"}, "social_query", {"media_type": "twitter"}, "rain again"),
    ("takeaway_order", {"food_type": "moussaka"}, "takeaway_query", {}, "moussaka"),
    ("transport_ticket", {"to_place_name": "chicago", "date": "2026-05-15"}, "transport_query", {}, "2026-05-15"),
    ("transport_taxi", {"to_place_name": "airport", "time": "10:00"}, "transport_query", {}, "planned"),
    ("news_subscription", {"news_topic": "chess"}, "news_subscription", {"news_topic": "go"}, "chess"),
    ("phone_notification", {"event_name": "low battery"}, "phone_notification", {}, "low battery"),
    ("phone_text", {"text": "on my way"}, "phone_text", {"text": "there"}, "on my way"),
    ("email_subscription", {"from_person": "delia"}, "email_subscription", {"from_person": "ben"}, "delia"),
    ("playlists_createoradd", {"artist_name": "bjork"}, "playlists_createoradd", {}, "bjork"),
    ("iot_hue_lightcolor", {"house_place": "kitchen", "color_type": "blue"}, "iot_hue_lighton", {"house_place": "kitchen"}, "blue"),
    ("iot_wemo_on", {"device_type": "geyser"}, "iot_wemo_off", {"device_type": "geyser", "time": "20:00"}, "'powered': True"),
    ("audio_volume_other", {"change_to": "77%"}, "audio_volume_mute", {}, "77"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "given_", "ask", "about", "text"), STATEFUL, ids=[row[0] for row in STATEFUL])
def test_what_was_set_is_shown(
    world: World, change: str, given_: Arguments, ask: str, about: Arguments, text: str
) -> None:
    with World.open(autoslurp_image(), 1) as untouched:
        assert text not in str(untouched.call(ask, about).value)
    done = world.call(change, given_)
    assert done.ok, done.text
    assert text in str(world.call(ask, about).value)


REMOVALS = [
    ("alarm_query", "alarm_remove", {"time": "07:30"}, "yoga"),
    ("alarm_query", "alarm_remove", {"date": "2026-05-16/2026-05-17"}, "church"),
    ("alarm_query", "alarm_remove", {"descriptor": "all"}, "wake up"),
    ("calendar_query", "calendar_remove", {"event_name": "haircut", "date": "2026-05-11"}, "haircut"),
    ("calendar_query", "calendar_remove", {"person": "sarah"}, "lunch"),
    ("lists_query", "lists_remove", {"list_name": "guest"}, "amy"),
    ("lists_query", "lists_remove", {"item_name": "eggs"}, "eggs"),
    ("email_query", "email_remove", {"descriptor": "spam"}, "you have won"),
]


@pytest.mark.parametrize(("ask", "remove", "given_", "text"), REMOVALS, ids=[f"{r[1]} {r[3]}" for r in REMOVALS])
def test_what_was_removed_is_gone_and_nothing_else(
    world: World, ask: str, remove: str, given_: Arguments, text: str
) -> None:
    before = world.call(ask, {}).value
    removed = world.call(remove, given_)
    assert removed.ok
    assert text in str(removed.value)
    after = world.call(ask, {}).value
    assert text not in str(after)
    if given_ != {"descriptor": "all"}:
        assert len(after) == len(before) - sum(1 for row in removed.value if row.get("id") or row.get("item_name"))
        assert after


@pytest.mark.parametrize("remove", ["alarm_remove", "calendar_remove", "lists_remove", "email_remove"])
def test_removing_everything_unasked_is_asked_back(world: World, remove: str) -> None:
    assert world.call(remove, {}).code == "need_slot"
    assert world.write_set() == ()


def test_a_missing_slot_is_asked_for(world: World) -> None:
    asked = world.call("alarm_set", {"event_name": "fishing"})
    assert asked.value["error"]["message"] == "When do you want to set the alarm?"


@pytest.mark.parametrize(
    ("said", "stored"), [("07:30 pm", "19:30"), ("12:15 am", "00:15"), ("12:00 PM", "12:00"), ("06:00", "06:00")]
)
def test_times_are_kept_on_the_24_hour_clock(world: World, said: str, stored: str) -> None:
    alarm = world.call("alarm_set", {"time": said}).value
    assert alarm["time"] == stored


def test_an_array_of_two_is_dealt_to_a_label_and_its_twin(world: World) -> None:
    twice = world.call("datetime_convert", {"time_zone": ["eastern", "pacific"], "time": "10:00"})
    twin = world.call("datetime_convert", {"time_zone": "eastern", "time_zone2": "pacific", "time": "10:00"})
    assert twice.value == twin.value
    assert twice.value["to_time"] == "07:00"


def test_lights_change_in_their_room_only(world: World) -> None:
    world.call("iot_hue_lightoff", {"house_place": "kitchen"})
    lit = dict(world.query("SELECT room, max(lit) FROM lights GROUP BY room"))
    assert (lit["kitchen"], lit["living room"]) == (0, 1)


def test_one_thing_plays_at_a_time_and_skip_goes_on(world: World) -> None:
    first = world.call("play_music", {"artist_name": "elton john"}).value
    skipped = world.call("music_settings", {"player_setting": "next song"}).value
    assert first["title"] != skipped["title"]
    assert world.query("SELECT title FROM plays WHERE kind = 'music' AND state = 'playing'") == [(skipped["title"],)]


DAYS = st.dates(date(2020, 1, 1), date(2029, 12, 31))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DAYS, st.integers(0, 40), st.integers(0, 40), st.times())
def test_an_event_is_found_by_every_period_that_holds_it(
    world: World, day: date, before: int, after: int, clock: Any
) -> None:
    time = clock.strftime("%H:%M")
    event = world.call("calendar_set", {"event_name": "x", "date": day.isoformat(), "time": time}).value
    period = f"{day - timedelta(before)}/{day + timedelta(after)}"
    for filters in ({"date": period}, {"time": f"{time}/.."}, {"time": f"../{time}"}, {"time": period}):
        ids = [row["id"] for row in world.call("calendar_query", filters | {"event_name": "x"}).value]
        assert event["id"] in ids, filters
    later = f"{day + timedelta(1)}/{day + timedelta(9)}"
    found = world.call("calendar_query", {"date": later, "event_name": "x"}).value
    assert event["id"] not in [row["id"] for row in found]
    assert world.call("calendar_remove", {"event_name": "x"}).ok


def test_exchange_rates_agree_with_one_another(world: World) -> None:
    def rate(base: str, other: str) -> float:
        return float(world.call("currency_latest", {"base_currency": base, "currencies": other}).value[0]["rate"])

    assert rate("EUR", "JPY") == pytest.approx(rate("EUR", "GBP") * rate("GBP", "JPY"), rel=1e-4)
    assert rate("EUR", "dollar") == rate("EUR", "USD")


def test_a_forecast_agrees_with_its_hours_and_with_itself(world: World) -> None:
    place = {"latitude": 40.71, "longitude": -74.01}
    for offset in range(7):
        day = (world.now.date() + timedelta(offset)).isoformat()
        both = world.call("forecast", place | {"date": day, "hourly": "all"}).value
        warm = [hour["temperature_2m"] for hour in both["hourly"]]
        daily = both["daily"][0]
        assert (max(warm), min(warm)) == (daily["temperature_2m_max"], daily["temperature_2m_min"])
        water = sum(hour["precipitation"] for hour in both["hourly"])
        assert water == pytest.approx(daily["precipitation_sum"], abs=0.01)
        assert daily == world.call("forecast", place).value["daily"][offset]


def test_a_share_opens_at_its_last_close_within_its_range(world: World) -> None:
    found = world.call("web_search", {"query": "walmart stock symbol"}).value[0]["snippet"]
    assert "WMT" in found
    days = world.call("stock_eod", {"symbols": "WMT", "limit": 10}).value
    assert days[0]["date"] == "2026-05-08"  # the last trading day before Monday
    for later, earlier in pairwise(days):
        assert later["open"] == earlier["close"]
        assert later["low"] <= min(later["open"], later["close"]) <= max(later["open"], later["close"]) <= later["high"]


def test_search_and_geocoding_tell_the_same_of_a_place(world: World) -> None:
    place = world.call("geocode", {"name": "Denver"}).value[0]
    page = world.call("web_search", {"query": "how far above sea level is denver"}).value[0]
    assert f"{place['elevation']:.0f} metres" in page["snippet"]


@pytest.mark.shared
@pytest.mark.parametrize("file", ["test.csv", "train.csv"])
def test_every_released_command_is_taken_with_all_its_labels(file: str, autoslurp_dir: Path) -> None:
    """As said and as resolved; a call may be asked back for a slot, and fails in no other way."""
    image = autoslurp_image()
    calls = [call for row in read(autoslurp_dir / file).rows for call in row.calls if call.intent in image.tools]
    assert calls
    for call in calls:
        for given_ in (arguments(call.slots), canonical_arguments(call.slots, image.now)):
            with World.open(image, 1) as world:
                code = world.call(call.intent, for_tool(call.intent, given_)).code
            assert code in ("", "need_slot", "not_found"), (call, code)
