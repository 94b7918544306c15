"""The wire form: envelope, clarifying questions, format remarks, and the external services' shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.mocktools.autoslurp.wire import handle
from mocktrial.mocktools.world import World

PLAIN = {  # a value for each label that a service insists on, or reads with care
    "time": "07:00", "to_time": "07:00", "from_time": "20:00", "date": "2026-05-12", "event_name": "meeting",
    "food_type": "pizza", "list_name": "shopping", "item_name": "eggs", "to_person": "john", "person": "john",
    "color_type": "red", "game_name": "chess", "text": "hello", "content": "hello", "to_place_name": "chicago",
    "news_topic": "sports", "place_name": "london", "descriptor": "all",
}  # fmt: skip
LOCAL = [
    (service.path, name, intent)
    for name, intent in catalog().intents.items()
    if (service := catalog().services.get(intent.service)) and not service.external
]


@pytest.fixture
def world() -> Iterator[World]:
    with World.open(autoslurp_image(), 1) as opened:
        yield opened


def ask(world: World, path: str, **params: Any) -> dict[str, Any]:
    status, body = handle(world, path, "GET", params)
    assert status == 200
    return body


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("path", "name", "intent"), LOCAL, ids=[row[1] for row in LOCAL])
def test_every_intent_answers_a_plain_request(world: World, method: str, path: str, name: str, intent: Any) -> None:
    slots = {label: PLAIN[label] for label in intent.slots + intent.extra if label in PLAIN}
    status, body = handle(world, path, method, {"intent": name, "iid": "7"} | slots)
    assert (status, body["code"], body["msg"]) == (200, "SUCCESS", "success")
    assert body["data"]["query"] == {"intent": name, "slots": slots}
    start = "operated successfully" if intent.effect == "write" else "find "
    assert body["data"]["response"].startswith(start)
    with World.open(autoslurp_image(), 1) as other:
        direct = other.call(name, slots)
        assert direct.ok, direct.text
        assert other.digest() == world.digest()


def test_set_then_query(world: World) -> None:
    ask(world, "/alarm", intent="alarm_set", time="07:15 pm", event_name="gym")
    shown = ask(world, "/alarm", intent="alarm_query", event_name="gym")["data"]["response"]
    assert shown.startswith("find 1 result. 1. id: alarm-")
    assert "time: 19:15" in shown


def test_a_post_without_intent_fails(world: World) -> None:
    expected = {"code": "FAIL", "msg": "fail, missing parameters: intent"}
    assert handle(world, "/alarm", "POST", {"time": "07:00"}) == (200, expected)
    assert handle(world, "/alarm", "POST", {}) == (200, {"code": "FAIL", "msg": "fail, missing parameters"})


@pytest.mark.parametrize(
    ("path", "params", "response"),
    [
        ("/alarm", {"intent": "alarm_set"}, "When do you want to set the alarm?"),
        ("/alarm", {"intent": "alarm_set", "time": "seven"}, "time format not right"),
        ("/calendar", {"intent": "calendar_query", "date": "tomorrow"}, "date format not right"),
        ("/calendar", {"intent": "calendar_query", "date": "2016-05-12"}, "date format not right"),
        ("/alarm", {"intent": "calendar_set"}, "not supporting intent"),
        ("/alarm", {}, "not supporting intent"),
        ("/alarm", {"intent": "alarm_change", "from_time": "03:33", "to_time": "04:00"}, "There is no such alarm."),
    ],
)
def test_what_is_not_done_is_told_and_changes_nothing(
    world: World, path: str, params: dict[str, str], response: str
) -> None:
    body = ask(world, path, **params)
    assert (body["code"], body["data"]["response"]) == ("SUCCESS", response)
    assert world.write_set() == ()


@pytest.mark.parametrize("time", ["07:00", "07:00 am", "2026-05-12 07:00", "2026-05-11T11:00", "14:00/16:00", "PT20M"])
def test_times_that_the_service_reads(world: World, time: str) -> None:
    body = ask(world, "/calendar", intent="calendar_set", event_name="x", time=time)
    assert body["data"]["response"].startswith("operated successfully")


def test_a_moment_is_dealt_to_date_and_time(world: World) -> None:
    ask(world, "/calendar", intent="calendar_set", event_name="x", time="2026-05-12 07:00")
    assert world.query("SELECT date, time FROM events WHERE event_name = 'x'") == [("2026-05-12", "07:00")]


def test_slots_of_the_service_are_echoed_though_the_intent_has_no_use_for_them(world: World) -> None:
    body = ask(world, "/alarm", intent="alarm_query", to_time="08:00", iid="7", nonsense="x")
    assert body["data"]["query"]["slots"] == {"to_time": "08:00"}
    assert body["code"] == "SUCCESS"


def test_posted_values_need_not_be_text(world: World) -> None:
    _, body = handle(world, "/iot", "POST", {"intent": "audio_volume_other", "change_to": 30, "device_type": None})
    assert "level: 30" in body["data"]["response"]


def test_an_unknown_path_is_not_found(world: World) -> None:
    assert handle(world, "/shopping", "GET", {})[0] == 404


def test_the_weather_of_a_city_in_two_requests(world: World) -> None:
    city = ask(world, "/v1/search", name="Miami", count="1", language="en", format="json")["results"][0]
    where = {"latitude": str(city["latitude"]), "longitude": str(city["longitude"])}
    body = ask(world, "/v1/forecast", **where, daily="temperature_2m_max,rain_sum", hourly="temperature_2m")
    assert len(body["daily"]["time"]) == len(body["daily"]["rain_sum"]) == 7
    assert len(body["hourly"]["time"]) == len(body["hourly"]["temperature_2m"]) == 168
    assert body["daily"]["temperature_2m_max"][0] == max(body["hourly"]["temperature_2m"][:24])
    assert body["daily_units"] == {"time": "iso8601", "temperature_2m_max": "°C", "rain_sum": "mm"}


def test_a_share_price_in_two_requests(world: World) -> None:
    found = ask(world, "/search", access_key="k", query="apple stock symbol")["organic_results"][0]
    assert "AAPL" in found["title"]
    body = ask(world, "/v1/eod", access_key="k", symbols="AAPL", limit="5")
    assert [row["symbol"] for row in body["data"]] == ["AAPL"] * 5
    assert body["pagination"]["count"] == 5


@pytest.mark.parametrize("limit", ["0", "1001", "00000000199999", "1" * 5000, "٣"])
def test_a_limit_out_of_bounds_is_none(world: World, limit: str) -> None:
    given = {"access_key": "k", "symbols": "AAPL"}
    assert handle(world, "/v1/eod", "GET", given | {"limit": "1000"})[0] == 200
    assert handle(world, "/v1/eod", "GET", given | {"limit": limit})[0] == 422


def test_news_by_keyword_and_date(world: World) -> None:
    body = ask(world, "/v1/news", access_key="k", keywords="trump", date="2026-05-10", sort="published_desc")
    assert [row["title"] for row in body["data"]] == ["President Trump meets European leaders"]


def test_currency(world: World) -> None:
    assert ask(world, "/v1/latest", apikey="k", base_currency="EUR", currencies="USD") == {"data": {"USD": 1.12}}
    assert len(ask(world, "/v1/latest", apikey="k")["data"]) == 24


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/v1/search", {}, 400),
        ("/v1/search", {"name": "Rome", "count": "0"}, 400),
        ("/v1/forecast", {"latitude": "north", "longitude": "1"}, 400),
        ("/v1/forecast", {"latitude": "91", "longitude": "1"}, 400),
        ("/v1/forecast", {"latitude": "nan", "longitude": "1"}, 400),
        ("/v1/forecast", {"latitude": "1", "longitude": "1", "daily": "happiness"}, 400),
        ("/v1/eod", {"symbols": "apple"}, 422),
        ("/v1/eod", {"symbols": "AAPL", "limit": "many"}, 422),
        ("/v1/news", {"sort": "loudest"}, 422),
        ("/v1/latest", {"base_currency": "XXX"}, 422),
    ],
)
def test_what_the_real_services_refuse_is_refused(world: World, path: str, params: dict[str, str], status: int) -> None:
    assert handle(world, path, "GET", params)[0] == status


def test_a_search_without_a_query_is_an_error_body(world: World) -> None:
    assert ask(world, "/search", query=" ")["success"] is False
    assert ask(world, "/v1/search", name="Atlantis") == {"generationtime_ms": 0.1}
