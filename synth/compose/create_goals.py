"""Goals that make a record: every link named, or one left to a preference or to a bound."""

from __future__ import annotations

from collections.abc import Iterator

from mocktrial.synth.compose.design import LinkDesign, RecordDesign
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.compose.record_goals import verification, with_pin
from mocktrial.synth.compose.scene import GoalData, Scene, capital, family, goal_id, named
from mocktrial.synth.compose.sql import flag_holds, free_places, taken_by, vague_day, vague_time
from mocktrial.synth.compose.thing_goals import bounded, limit_fact, narrowed, superlatives, within


def open_to(record: RecordDesign, link: LinkDesign) -> str:
    """What the rules ask of the thing at `t` before it may have one more record."""
    tests = []
    for rule in record.rules:
        data = rule.rule
        if data.limit == link.name:
            tests.append(f"{taken_by(record, link, f't.{link.to.key}')} < {rule.most}")
        elif data.capacity == link.name:
            tests.append(f"{free_places(record, rule, 't')} > 0")
        elif data.stock == link.name:
            tests.append(f"t.{data.by} > 0")
        elif data.needs == link.name:
            item = link.to.field(data.by or "")
            tests.append(flag_holds(item, data.value, f"t.{data.by}") if item else "1")
    return " AND ".join(tests) or "1"


def create_verb(scene: Scene, record: RecordDesign) -> str:
    """How a user asks for one; not "book a booking"."""
    verbs = [verb for verb in record.record.create if not record.noun.one.startswith(verb)]
    return scene.chance.choice(verbs or record.record.create)


def create_goals(scene: Scene, record: RecordDesign) -> Iterator[GoalData]:
    """Making a record: all links named; one of them chosen by a preference or within a bound."""
    op = scene.ops.get("create", record.record.name)
    if op is None:
        return
    yield from _create(scene, record, op, None, "")
    if any(item.kind in ("day", "time") for item in record.fields):
        yield from _create(scene, record, op, None, "vague")
    for link in record.links[1:]:
        orders = superlatives(link.to)
        if len(orders) > 1:
            yield from _create(scene, record, op, link, "preference")
        if orders:
            yield from _create(scene, record, op, link, "constraint")


def _create(scene: Scene, record: RecordDesign, op: Op, picked: LinkDesign | None, how: str) -> Iterator[GoalData]:
    bind: list[GoalData] = []
    facts: list[GoalData] = []
    plan: list[GoalData] = []
    arguments: GoalData = {}
    phrase, listed = "", ""
    checks: list[GoalData] = []
    for link in record.links:
        if link is picked:
            part = _picked(scene, record, link, how)
            if part is None:
                return
            bind, facts, plan, phrase = bind + part[0], facts + part[1], plan + part[2], phrase + part[3]
            arguments[op.args[link.name]] = part[4]
            continue
        way = named(scene, link.to, link.name, link.words)
        if way is None:
            return
        column = ""
        if link is record.party:
            checks, more, column = verification(scene, way)
            facts += more
        test = open_to(record, link)
        bind.append({"sql": f"SELECT t.name AS {way.id}{column} FROM {link.to.table} t WHERE {test}"})
        facts.append(
            way.fact
            | {
                "alternatives": f"SELECT t.name FROM {link.to.table} t WHERE {test} AND t.name <> :{way.id} "
                "ORDER BY t.name LIMIT 6"
            }
        )
        plan.append(way.call)
        phrase += f"[ {link.link.prep} {{{way.id}}}]"
        arguments[op.args[link.name]] = way.key()
    for item in record.fields:
        options = scene.values(item)
        bind.append({"name": item.name, "choices": options})
        arguments[op.args[item.name]] = {"fact": item.name}
        vague = how == "vague" and item.kind in ("day", "time")
        if vague:
            about = vague_day(f":{item.name}") if item.kind == "day" else vague_time(f":{item.name}")
            bind.append({"sql": f"SELECT {about} AS {item.name}_about"})
        facts.append(scene.value_fact(item, kind="vague") if vague else scene.value_fact(item))
        noun = "" if item.kind == "flag" else f"{item.words}: "
        said = f" {item.prep} {{{item.name}}}" if item.prep else f", {noun}{{{item.name}}}"
        if vague:
            phrase += f"[{said}| {{{item.name}_about}}]"
        elif item.prep:
            phrase += f"[{said}]"
        else:
            listed += f"[{said}]"
    phrase += listed
    verb = create_verb(scene, record)
    words = {"verb": verb, "a_noun": record.noun.a, "parts": phrase}
    frames = scene.frames("create", words)
    frames["wish"] = capital(f"{verb} {record.noun.a}{_plain(phrase)}.")
    yield with_pin(scene, {
        "id": goal_id("create", how), "tags": ["choice"] if picked else [], **frames, "family": family(checks),
        "bind": bind, "facts": facts,
        "plan": [plan[0], *checks, *plan[1:], {"call": op.name, "id": "made", "arguments": arguments}],
        "finish": f"Done: {record.noun.a} is made.",
    })  # fmt: skip


def _plain(phrase: str) -> str:
    """A phrase with all its parts."""
    text = phrase
    while "[" in text:
        start, end = text.index("["), text.index("]")
        text = text[:start] + text[start + 1 : end].split("|")[0] + text[end + 1 :]
    return text


def _picked(
    scene: Scene, record: RecordDesign, link: LinkDesign, how: str
) -> tuple[list[GoalData], list[GoalData], list[GoalData], str, GoalData] | None:
    """A link that the user leaves to a rule of choice: binds, facts, calls, phrase, argument."""
    listing, item = narrowed(scene, link.to)
    orders = superlatives(link.to)
    rules = [rule.rule for rule in record.rules]
    ruled = {name for rule in rules for name in (rule.needs, rule.capacity, rule.stock, rule.limit)}
    if listing is None or link.name in ruled:
        return None
    bind: list[GoalData] = []
    facts: list[GoalData] = []
    arguments: GoalData = {}
    kind = ""
    if item is not None and scene.chance.random() < 0.5:
        listing = scene.ops.get("list", link.to.thing.name, "") or listing
    elif item is not None:
        name = f"{link.name}_{item.name}"
        bind.append(
            {"sql": f"SELECT {item.name} AS {name} FROM {link.to.table} GROUP BY {item.name} HAVING count(*) > 1"}
        )
        facts.append(scene.value_fact(item, name, hide=False))
        arguments[listing.args[item.name]] = {"fact": name}
        kind = f" whose {item.words} is {{{name}}}"
    noun, prep = link.words, link.link.prep
    source: GoalData = {"step": "listed", "take": listing.gives["id"]}
    if how == "preference":
        bind.append({"name": "wanted", "choices": sorted(orders)})
        facts.append({
            "id": "wanted", "kind": "preference", "label": f"what matters most in the {noun}", "spoken_as": orders,
            "question": f"What matters most to you in the {noun}?",
            "aliases": ["preference", "what matters", f"which {noun}"],
        })  # fmt: skip
        source["best"] = "{wanted}"
        phrase = f" {prep} [{{wanted}}|a suitable] {noun}{kind}"
    else:
        bounds = bounded(link.to)
        if not bounds:
            return None
        best, bound = scene.chance.choice(bounds)
        bind.append({"name": "most", "choices": scene.values(bound)[2:]})
        facts.append(limit_fact(scene, bound))
        source |= {"best": best, "at_most": {listing.gives[bound.name]: "most"}}
        phrase = f" {prep} {orders[best]} {noun}{kind}{within(bound)}"
    calls = [{"call": listing.name, "id": "listed", "arguments": arguments}]
    return bind, facts, calls, phrase, source
