"""The original wire form of the local services, as a pure function of a world and one request.

`handle` answers `/alarm?intent=alarm_set&time=07:00` (GET) or the same as a JSON object (POST) as the
published servers do: an envelope with code SUCCESS that echoes intent and slots, whose `response` is the
result, a clarifying question, or a remark on a date or time in the wrong form; code FAIL for a POST without
`intent`. Unlike theirs, the answer tells what the world really holds. Paths of the external services go to
`external`. An unknown path is 404. Only `NoResult` (our own bug) escapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from mocktrial.mocktools.autoslurp import external
from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.services import labels_of
from mocktrial.mocktools.values import JSON, dumps
from mocktrial.mocktools.world import ToolResult, World

Body = dict[str, Any]
# As the originals: a value that begins so is right. Beyond theirs: moments, open spans, lengths of time.
_FORMATS = {
    "date": re.compile(r"202\d-\d\d-\d\d"),
    "time": re.compile(r"(202\d-\d\d-\d\d[ T])?\d\d:\d\d|202\d-\d\d-\d\d/|\.\./\d\d:\d\d|P(\d+D|T\d+[HM])"),
}
_MOMENT = re.compile(r"(202\d-\d\d-\d\d) (\d\d:\d\d.*)")
_ASKED_BACK = frozenset(["bad_arguments", "too_large", "too_long", "too_much_work", "constraint"])


def is_service(path: str) -> bool:
    return path in external.PATHS or path in _services()


def handle(world: World, path: str, method: str, params: Mapping[str, Any]) -> tuple[int, Body]:
    """Status and JSON body for one request. `params` is the query string or the posted object; a repeated
    name in a query string is a list."""
    if path in external.PATHS:
        return external.PATHS[path](world, params)
    service = _services().get(path)
    if service is None:
        return 404, failure(f"there is no service at {path[:100]}")
    if method == "POST" and "intent" not in params:
        return 200, failure("fail, missing parameters" + (": intent" if params else ""))
    intent = dumps(given) if not isinstance(given := params.get("intent", ""), str) else given
    labels, intents = _known(service)
    slots = {name: _text(value) for name, value in params.items() if name in labels and value not in (None, "", [])}
    if intent not in intents:
        return 200, _success(intent, slots, "not supporting intent")
    wrong = _wrong_format(slots)
    if wrong:
        return 200, _success(intent, slots, f"{wrong} format not right")
    result = world.call(intent, _arguments(slots, intents[intent]))
    if result.code in _ASKED_BACK:
        return 200, failure(result.value["error"]["message"])
    return 200, _success(intent, slots, _response(intent, result))


def failure(message: str) -> Body:
    return {"code": "FAIL", "msg": message}


def _success(intent: str, slots: Mapping[str, JSON], response: str) -> Body:
    query = {"intent": intent, "slots": slots}
    return {"code": "SUCCESS", "msg": "success", "data": {"response": response, "query": query}}


@cache
def _services() -> dict[str, str]:
    return {service.path: name for name, service in catalog().services.items() if not service.external}


@cache
def _known(service: str) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """The labels that the service echoes, whatever the intent, and those that each intent's tool takes."""
    facts = catalog()
    found = {name: intent for name, intent in facts.intents.items() if intent.service == service}
    taken = {name: frozenset(labels_of(intent, facts)) for name, intent in found.items()}
    return frozenset(facts.services[service].slots).union(*taken.values()), taken


def _text(value: Any) -> str | list[str]:
    if isinstance(value, list):
        texts = [one if isinstance(one, str) else dumps(one) for one in value]
        return texts[0] if len(texts) == 1 else texts
    return value if isinstance(value, str) else dumps(value)


def _wrong_format(slots: Mapping[str, str | list[str]]) -> str:
    """ "time" or "date" where such a slot's value has the wrong form (the last one found, as theirs)."""
    wrong = ""
    for name, value in slots.items():
        kind = catalog().kind(name)
        pattern = _FORMATS.get(kind)
        if pattern and not all(pattern.match(one) for one in ([value] if isinstance(value, str) else value)):
            wrong = kind
    return wrong


def _arguments(slots: Mapping[str, str | list[str]], labels: frozenset[str]) -> dict[str, str | list[str]]:
    """The slots that the intent's tool takes. "2026-05-12 07:00" in `time` is dealt to `date` and `time`."""
    given = {name: value for name, value in slots.items() if name in labels}
    time = given.get("time")
    moment = _MOMENT.fullmatch(time) if isinstance(time, str) else None
    if moment and "date" in labels and "date" not in given:
        given |= {"date": moment[1], "time": moment[2]}
    return given


def _response(intent: str, result: ToolResult) -> str:
    if not result.ok:
        return str(result.value["error"]["message"])
    if catalog().intents[intent].effect == "write":
        return f"operated successfully. {_tell(result.value)}".strip()
    count = len(result.value) if isinstance(result.value, list) else 1
    return f"find {count} result{'s' * (count != 1)}. {_tell(result.value)}".strip()


def _tell(value: Any) -> str:
    """A result in words: rows numbered, empty columns left out."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join([f"{number}. {_tell(row)}" for number, row in enumerate(value, 1)])
    if isinstance(value, dict):
        return ", ".join([f"{key}: {_tell(part)}" for key, part in value.items() if part is not None and part != []])
    return str(value).lower()  # numbers, and booleans as JSON has them
