"""Reports: the figures are the ledger's, the page is whole, offline, and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from mocktrial.envs.chat import Usage
from mocktrial.envs.report import Report, build_report, print_groups, print_report, write_html
from mocktrial.envs.report.model import UserCard
from mocktrial.envs.statistics import EXACT
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Call, Fact, Task
from mocktrial.envs.trajectory import Asking, Event, Grade, Trajectory
from mocktrial.envs.users.certify.certificate import Certificate, Rate
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.faults import Fault
from tests.support.hostile import PAYLOADS, hostile
from tests.support.ledger import CONFIG, make_task, make_trajectory

TASKS = [make_task(number) for number in range(8)]
LOST = {"outcome": "no_result", "end": "no_result", "reason": "endpoint: dead", "grade": None}
Fill = Callable[..., Ledger]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    def fill(*trajectories: Trajectory, run: str = "main", tasks: list[Task] = TASKS) -> Ledger:
        ledger = Ledger.open(tmp_path / f"{run}.sqlite", CONFIG, run=run)
        ledger.add_tasks(tasks)
        for trajectory in trajectories:
            ledger.record(trajectory)
        return ledger

    return fill


def terminal(report: Report, width: int = 140) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width))
    return out.getvalue()


class Reader(HTMLParser):
    """What a browser would make of the page: tags with attributes, text, and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = {"script": "", "style": ""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cdata_elem:
            self.inside[self.cdata_elem] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_figures_are_means_over_tasks_and_no_result_is_apart(fill: Fill) -> None:
    """Task 0: 2 of 2. Task 1: 0 of 1, its other trial lost. Task 2: 1 of 2 with half a reward."""
    half = Grade(reward=0.5, success=False, asking=Asking(hidden=2, under_ask=1, over_ask=3, guess=5))
    ledger = fill(
        make_trajectory(TASKS[0], 0, usage=Usage(prompt_tokens=90, completion_tokens=10)),
        make_trajectory(TASKS[0], 1),
        make_trajectory(TASKS[1], 0, success=False, asking=Asking()),
        make_trajectory(TASKS[1], 1, **LOST),
        make_trajectory(TASKS[2], 0, outcome="masked"),
        make_trajectory(TASKS[2], 1, grade=half),
    )
    (agent,) = build_report([ledger]).agents
    assert (agent.tasks, agent.episodes, agent.no_result, agent.masked) == (3, 6, 1, 1)
    assert agent.success.value == pytest.approx((1 + 0 + 0.5) / 3)
    assert agent.reward.value == pytest.approx((1 + 0 + 0.75) / 3)
    assert (agent.under_ask.value, agent.under_ask.tasks) == (pytest.approx((0 + 1 / 3) / 2), 2)
    assert agent.over_ask.value == pytest.approx(0.5 / 3)
    assert agent.guess.value == pytest.approx((0 + 2 / 3) / 2)
    assert (agent.turns, agent.tokens) == (2.0, 20.0)
    assert [one.value for one in agent.pass_at] == [agent.success.value, 1.0]
    assert [(one.value, one.tasks) for one in agent.pass_hat[1:]] == [(0.5, 2)]
    assert agent.failures == (("endpoint: dead", 1),)


@pytest.mark.parametrize(
    ("trials", "ks"), [(2, "1 2"), (3, "1 2 3"), (4, "1 2 4"), (5, "1 2 4 5"), (20, "1 2 4 8 16 20")]
)
def test_of_many_trials_some_k_are_shown(fill: Fill, tmp_path: Path, trials: int, ks: str) -> None:
    """The other agent has two trials: its rows end with a gap, and not in another column."""
    several = fill(*(make_trajectory(task, n, success=n > 0) for task in TASKS[:2] for n in range(trials)))
    few = fill(*(make_trajectory(TASKS[0], n, agent="other") for n in range(2)), run="few")
    report = build_report([several, few])
    assert len(report.agents[0].pass_at) == trials  # JSON has all
    lines = [re.findall(r"[^\s│┃]+", line) for line in terminal(report, width=80).splitlines()]
    head = next(line for line in lines if line[:2] == ["agent", "k"])
    assert head[2:] == ks.split()
    rows = {tuple(line[:2]): line[2:] for line in lines if line[1:2] in (["pass@k"], ["pass^k"])}
    assert (rows["cheap", "pass@k"][-1], rows["cheap", "pass^k"][-1]) == ("100.0", "0.0")
    assert rows["other", "pass@k"] == ["100.0", "100.0", *["-"] * (len(ks.split()) - 2)]
    write_html(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    table = page.partition("Several trials")[2].partition("</table>")[0]
    assert [line.count('<td class="n">') for line in table.splitlines() if line.startswith("<tr><td>")] == [
        len(head) - 2
    ] * 4


def test_one_of_a_thing_is_not_many(fill: Fill, tmp_path: Path) -> None:
    report = build_report([fill(make_trajectory(TASKS[0])), fill(make_trajectory(TASKS[0], agent="b"), run="b")])
    assert "points on 1 task;" in " ".join(terminal(report).split())
    write_html(report, tmp_path / "report.html")
    text = Reader(tmp_path / "report.html").text
    assert "paired on 1 task;" in text
    assert "2 episodes of 2 agents." in text


FAULTY = make_task(8, faults=(Fault(tool="book", kind="timeout"),), gold=(Call(call="book"),))


def test_recovery_counts_episodes_that_met_a_fault(fill: Fill) -> None:
    """Task 8 is faulty: met and got over once, met and lost once, and once its tool was never called."""
    idle = (Event(turn=0, kind="call", name="look"),)
    ledger = fill(
        make_trajectory(FAULTY, 0), make_trajectory(FAULTY, 1, success=False),
        make_trajectory(FAULTY, 2, success=False, events=idle), make_trajectory(TASKS[0]),
        tasks=[*TASKS, FAULTY],
    )  # fmt: skip
    (agent,) = build_report([ledger]).agents
    assert agent.recovery is not None
    assert (agent.recovery.value, agent.recovery.tasks) == (0.5, 1)
    assert "recovery after a tool's fault: 50.0%" in terminal(build_report([ledger]))
    assert build_report([fill(make_trajectory(TASKS[0]), run="plain")]).agents[0].recovery is None


def test_cost_is_given_where_all_of_it_is_known(fill: Fill) -> None:
    priced = [make_trajectory(task, usage=Usage(prompt_tokens=9, cost=task.seed / 4)) for task in TASKS[1:3]]
    assert build_report([fill(*priced)]).agents[0].cost == pytest.approx(0.375)
    unpriced = make_trajectory(TASKS[0], usage=Usage(prompt_tokens=9))
    assert build_report([fill(*priced, unpriced, run="other")]).agents[0].cost is None


def test_failed_episodes_are_blamed_with_examples(fill: Fill, tmp_path: Path) -> None:
    spoke = (Event(turn=1, kind="fault", name="role_swap"),)
    report = build_report(
        [fill(make_trajectory(TASKS[0], success=False, events=spoke),
              *(make_trajectory(task, success=False) for task in TASKS[1:3]),
              make_trajectory(TASKS[3]), make_trajectory(TASKS[4], **LOST))]
    )  # fmt: skip
    user, agent = report.agents[0].blames
    assert (user.who, user.count, user.examples) == ("user", 1, ("task-0000, trial 0: role swap in turn 1",))
    assert (agent.who, agent.count) == ("agent", 2)
    assert "3 failed, by culprit: user 1, agent 2" in terminal(report)
    write_html(report, tmp_path / "report.html")
    text = Reader(tmp_path / "report.html").text
    for part in ("Who failed", "role swap 1", "Blamed on the user: role swap", "the user's fault: role_swap"):
        assert part in text


def test_the_variance_is_split_over_users_seeds_only_where_that_is_all_that_differs(tmp_path: Path) -> None:
    def run(name: str, **config: object) -> Ledger:
        ledger = Ledger.open(tmp_path / f"{name}.sqlite", {"agent": "cheap", "source": {"name": name}, **config})
        ledger.add_tasks(TASKS)
        for task in TASKS:
            for trial in range(2):
                lucky = (task.seed + trial + len(name)) % 3 > 0
                ledger.record(make_trajectory(task, trial, success=lucky))
        return ledger

    first, second, again = run("a", user_seed=0), run("bb", user_seed=1), run("ccc", user_seed=1, temperature=1.0)
    both = build_report([first, second], names=["a", "bb"])
    assert [agent.label for agent in both.agents] == ["cheap (a)", "cheap (bb)"]
    assert all(agent.variance is not None and agent.variance.user is not None for agent in both.agents)
    assert "user seed" in terminal(both)
    unlike = build_report([first, again])
    assert all(agent.variance is not None and agent.variance.user is None for agent in unlike.agents)


RATES = {
    "leaks": Rate(count=0, of=2000, rate=0.0, low=0.0, high=0.0018),
    "wrong_fact": Rate(count=5, of=1900, rate=0.0026, low=0.001, high=0.006),
}
CARD = Certificate(user="u", fingerprint="f", battery="b", seed=3, conversations=2000, no_results=0, rates=RATES)


@pytest.mark.parametrize(
    ("card", "shown"),
    [
        (UserCard(name="u", certificate=None), ("u: not certified", "mocktrial certify-user u")),
        (UserCard(name="u", certificate=CARD, current=True), ("2000 conversations", "wrong fact")),
        (UserCard(name="u", certificate=CARD), ("has changed since",)),
    ],
)
def test_every_report_carries_its_users_certified_rates(
    fill: Fill, tmp_path: Path, card: UserCard, shown: tuple[str, ...]
) -> None:
    report = build_report([fill(make_trajectory(TASKS[0]))])
    assert [user.name for user in report.users] == ["scripted"]
    carried = report.model_copy(update={"users": (card,)})
    write_html(carried, tmp_path / "report.html")
    for text in (terminal(carried), Reader(tmp_path / "report.html").text):
        for part in shown:
            assert part in text
    if card.certificate:
        assert "wrong fact 0.3% [0.1, 0.6]" in terminal(carried)


def test_an_agent_without_any_result_has_no_rates(fill: Fill) -> None:
    ledger = fill(make_trajectory(TASKS[0], **LOST), make_trajectory(TASKS[0], agent="b"))
    report = build_report([ledger])
    assert report.agents[0].success is None
    assert report.comparisons == ()
    assert "endpoint: dead" in terminal(report)


def test_all_right_is_not_certainty(fill: Fill) -> None:
    report = build_report([fill(*(make_trajectory(task) for task in TASKS))])
    success = report.agents[0].success
    assert (success.value, success.method) == (1.0, EXACT)
    assert success.low == pytest.approx(0.025 ** (1 / 8))
    assert "100.0% [63.1, 100.0]" in terminal(report)
    assert "Clopper-Pearson" in terminal(report)


def test_groups_split_the_tasks(fill: Fill) -> None:
    ledger = fill(*(make_trajectory(task, success=task.domain == "clinic") for task in TASKS))
    groups = build_report([ledger]).groups
    assert {(g.name, g.success.value) for g in groups if g.by == "domain"} == {
        ("clinic", 1.0),
        ("parcels", 0.0),
    }
    assert [g.name for g in groups if g.by == "difficulty"] == ["1", "2", "3", "4"]
    assert not [g for g in groups if g.by == "family"]  # all tasks are of one
    out = io.StringIO()
    for by in ("domain", "family"):
        print_groups(groups, by, Console(file=out, width=140))
    clinic, parcels, family = out.getvalue().splitlines()[-3:]
    assert clinic.split()[::3] == ["clinic", "100.0%"], clinic
    assert parcels.split()[::3] == ["parcels", "0.0%"], parcels
    assert family == "all tasks are of one family"


def test_runs_are_compared_by_task_and_told_apart(fill: Fill) -> None:
    before = fill(*(make_trajectory(task, success=task.seed < 2) for task in TASKS), run="before")
    after = fill(*(make_trajectory(task, success=task.seed < 7) for task in TASKS), run="after")
    report = build_report([before, after])
    assert [agent.label for agent in report.agents] == ["cheap (before)", "cheap (after)"]
    (comparison,) = report.comparisons
    assert (comparison.first, comparison.difference.value) == ("cheap (before)", 5 / 8)
    assert 0 < comparison.difference.low < 5 / 8 < comparison.difference.high <= 1
    assert (comparison.test.better, comparison.test.worse, comparison.test.p) == (5, 0, 0.0625)
    with pytest.raises(UsageError, match="no agent 'gone'"):
        build_report([before], compare=[("cheap", "gone")])


def test_nothing_to_report_is_said(fill: Fill) -> None:
    with pytest.raises(UsageError, match="no episodes"):
        build_report([fill()])


def test_a_report_is_json_and_the_same_every_time(fill: Fill, tmp_path: Path) -> None:
    ledger = fill(*(make_trajectory(task, trial) for task in TASKS for trial in range(2)))
    first, second = build_report([ledger]), build_report([ledger])
    assert Report.model_validate(json.loads(first.model_dump_json())) == first == second
    for name, report in (("a.html", first), ("b.html", second)):
        write_html(report, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_shows_all_of_a_trajectory(fill: Fill, tmp_path: Path) -> None:
    fact = Fact(id="day", label="the day of the visit", value="2026-01-05", spoken="Monday")
    task = make_task(0, facts=(fact,), goal="A visit on Monday.")
    events = (
        Event(turn=0, kind="release", name="day"),
        Event(turn=1, kind="question", name="repeated"),
        Event(turn=0, kind="call", name="book"),
    )
    write_html(
        build_report([fill(make_trajectory(task, success=False, events=events), tasks=[task])]),
        tmp_path / "report.html",
    )
    page = Reader(tmp_path / "report.html")
    (details,) = page.all("details")
    assert (details["data-agent"], details["data-verdict"]) == ("cheap", "failed")
    for text in ("the day of the visit", '{"day": "2026-01-05"}', '{"id": 7}', "row 7 of visit", "insert visit",
                 "the user told day", "needless question: repeated", "finished", "A visit on Monday."):  # fmt: skip
        assert text in page.text


@pytest.mark.parametrize("payload", [*PAYLOADS, "lone \ud800 surrogate", "[red]markup[/nonsense]"])
def test_hostile_text_stays_text(fill: Fill, tmp_path: Path, payload: str) -> None:
    task, trajectory = hostile(payload)
    lost = trajectory.model_copy(update=LOST | {"trial": 1, "reason": trajectory.reason})
    report = build_report([fill(trajectory, lost, tasks=[task])], title=trajectory.agent)
    write_html(report, tmp_path / "report.html")
    page = Reader(tmp_path / "report.html")
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not page.all("img") + page.all("base") + page.all("iframe") + page.all("link")
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name in {"src", "style"} for name in attributes), tag
    assert all((link["href"] or "").startswith("#") for link in page.all("a"))
    assert page.text.count(payload.replace("\ud800", "\\ud800")) >= 8
    if "nonsense" in payload:
        assert payload in terminal(report)


def test_only_the_pages_own_script_and_style_are_allowed(fill: Fill, tmp_path: Path) -> None:
    write_html(build_report([fill(make_trajectory(TASKS[0]))]), tmp_path / "report.html")
    page = Reader(tmp_path / "report.html")
    policy = next(m["content"] or "" for m in page.all("meta") if m.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    source = (tmp_path / "report.html").read_text("utf-8")
    assert "http:" not in source
    assert "https:" not in source


def test_a_large_report_is_cut_with_a_note_failures_first(fill: Fill, tmp_path: Path) -> None:
    long = {"role": "tool", "content": "x" * 50_000}
    ledger = fill(
        *(make_trajectory(task, success=task.seed < 6, messages=(long,)) for task in TASKS),
        *(make_trajectory(task, agent="other", success=task.seed < 6) for task in TASKS),
        make_trajectory(TASKS[0], 1, **LOST),
    )
    report = build_report([ledger], max_pages=7)
    shown = [(page.verdict, page.label) for page in report.pages]
    assert shown[:4] == [("failed", "cheap"), ("failed", "other")] * 2
    assert shown[4:] == [("no result", "cheap"), ("passed", "cheap"), ("passed", "other")]
    write_html(report, tmp_path / "report.html", max_bytes=20_000)
    page = Reader(tmp_path / "report.html")
    assert f"{len(page.all('details'))} of 17 episodes are shown, failures first." in page.text
    assert 2 <= len(page.all("details")) < 7
    assert "(44000 more characters in the export)" in page.text
    assert (tmp_path / "report.html").stat().st_size < 45_000
