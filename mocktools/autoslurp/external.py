"""The five public services that the original calls outside, in the shapes that these document.

One function a path, each a pure function of a world and a request's parameters; keys are taken and not
looked at. Serpstack search, mediastack news, open-meteo geocoding and forecast, marketstack end-of-day
prices, freecurrencyapi rates. What the real service refuses is refused with its status and error shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from mocktrial.mocktools.world import World

Answer = tuple[int, dict[str, Any]]
Params = Mapping[str, Any]
_UNITS = {  # by how a variable's name begins; the first that fits
    "temperature": "°C", "rain": "mm", "showers": "mm", "snowfall": "cm", "wind": "km/h", "relative": "%",
    "precipitation_probability": "%", "precipitation": "mm", "weather": "wmo code", "time": "iso8601",
    "sunrise": "iso8601", "sunset": "iso8601",
}  # fmt: skip
_MAX_DAYS = 16


def _first(params: Params, name: str, default: str = "") -> str:
    """A parameter as text; of a repeated one all values with commas between."""
    value = params.get(name)
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return default if value is None else str(value)


def _number(params: Params, name: str, default: int, most: int) -> int | None:
    """A count from 1 to `most`, or None where it is none."""
    text = _first(params, name, str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most else None


def _refused(status: int, code: str, message: str) -> Answer:
    return status, {"error": {"code": code, "message": message}}


def search(world: World, params: Params) -> Answer:
    query = _first(params, "query").strip()
    result = world.call("web_search", {"query": query})
    if not result.ok:
        info = {"code": 310, "type": "missing_query", "info": "You have not specified a valid query."}
        return 200, {"success": False, "error": info}
    return 200, {
        "request": {"success": True},
        "search_parameters": {"engine": "google", "type": "web", "q": query},
        "search_information": {"total_results": len(result.value)},
        "organic_results": [row | {"domain": row["url"].split("/")[2]} for row in result.value],
    }


def news(world: World, params: Params) -> Answer:
    limit = _number(params, "limit", 25, 100)
    sort = _first(params, "sort", "published_desc")
    arguments = {"keywords": _first(params, "keywords"), "sort": sort, "limit": 100}
    date = _first(params, "date").replace(",", "/")
    result = world.call("news_search", arguments | ({"date": date} if date else {}))
    if limit is None or not result.ok:
        return _refused(422, "validation_error", "Validation error: limit or sort.")
    rows = _rows(result.value)
    data = [
        {"author": None, "title": row["title"], "description": row["description"], "image": None,
         "url": f"https://{row['source'].replace(' ', '')}.example/{row['id']}", "source": row["source"],
         "category": row["category"], "language": "en", "country": row["country"],
         "published_at": f"{row['published_at']}:00+00:00"}
        for row in rows[:limit]
    ]  # fmt: skip
    return 200, {"pagination": _pagination(limit, len(data), len(rows)), "data": data}


def _pagination(limit: int, count: int, total: int) -> dict[str, int]:
    return {"limit": limit, "offset": 0, "count": count, "total": total}


def _rows(value: Any) -> list[dict[str, Any]]:
    """The rows of a result, also of one that was shortened."""
    return list(value["rows"] if isinstance(value, dict) else value)


def geocoding(world: World, params: Params) -> Answer:
    count = _number(params, "count", 10, 100)
    if count is None:
        return _reason("Parameter count must be between 1 and 100.")
    result = world.call("geocode", {"name": _first(params, "name").strip(), "count": count})
    if not result.ok:
        return _reason("Parameter name must be given.")
    found = [row | {"feature_code": "PPL"} for row in _rows(result.value)]
    return 200, ({"results": found} if found else {}) | {"generationtime_ms": 0.1}


def forecast(world: World, params: Params) -> Answer:
    days = _number(params, "forecast_days", 7, _MAX_DAYS)
    try:
        place = {name: float(_first(params, name)) for name in ("latitude", "longitude")}
    except ValueError:
        return _reason("Parameter latitude and longitude must be numbers.")
    last = world.now + timedelta(days=(days or 1) - 1)
    result = world.call("forecast", {**place, "date": f"{world.now:%Y-%m-%d}/{last:%Y-%m-%d}"})
    if days is None or not result.ok:
        return _reason("Latitude, longitude or forecast_days is out of range.")
    daily = list(result.value["daily"])
    body = place | {"generationtime_ms": 0.1, "utc_offset_seconds": 0, "timezone": "GMT", "elevation": 0.0}
    for part in ("daily", "hourly"):
        wanted = [name for name in _first(params, part).split(",") if name]
        if not wanted:
            continue
        rows = daily if part == "daily" else _hours(world, place, [row["time"] for row in daily])
        columns = ["time", *wanted]
        strange = [name for name in columns if name not in rows[0]]
        if strange:
            return _reason(f"Cannot initialize {part} from invalid String value {strange[0][:60]}.")
        body[f"{part}_units"] = {name: _unit(name) for name in columns}
        body[part] = {name: [row[name] for row in rows] for name in columns}
    return 200, body


def _reason(text: str) -> Answer:
    return 400, {"error": True, "reason": text}


def _hours(world: World, place: Mapping[str, float], dates: list[str]) -> list[dict[str, Any]]:
    calls = [world.call("forecast", {**place, "date": date, "hourly": "all"}) for date in dates]
    return [row for call in calls for row in call.value["hourly"]]


def _unit(name: str) -> str:
    return next((unit for start, unit in _UNITS.items() if name.startswith(start)), "")


def stocks(world: World, params: Params) -> Answer:
    limit = _number(params, "limit", 100, 1000)
    if limit is None:
        return _refused(422, "validation_error", "limit must be between 1 and 1000.")
    result = world.call("stock_eod", {"symbols": _first(params, "symbols"), "limit": min(limit, 40)})
    if not result.ok:
        return _refused(422, "no_valid_symbols_provided", "At least one valid symbol must be provided")
    data = [row | {"date": f"{row['date']}T00:00:00+0000"} for row in _rows(result.value)]
    return 200, {"pagination": _pagination(limit, len(data), len(data)), "data": data}


def currency(world: World, params: Params) -> Answer:
    names = ("base_currency", "currencies")
    result = world.call("currency_latest", {name: text for name in names if (text := _first(params, name))})
    if not result.ok:
        errors = {result.code: [result.value["error"]["message"]]}
        return 422, {"message": "Validation error", "errors": errors}
    return 200, {"data": {row["currency"]: row["rate"] for row in _rows(result.value)}}


PATHS: dict[str, Callable[[World, Params], Answer]] = {
    "/search": search,
    "/v1/news": news,
    "/v1/search": geocoding,
    "/v1/forecast": forecast,
    "/v1/eod": stocks,
    "/v1/latest": currency,
}
