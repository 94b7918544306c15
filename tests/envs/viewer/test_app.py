"""The viewer's pages over HTTP, and in a real browser (FAULTS 17, 20, 23)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.dataset import Dataset
from mocktrial.envs.report import build_report, write_html
from mocktrial.envs.store import Ledger
from mocktrial.envs.viewer.app import viewer_app
from mocktrial.envs.viewer.shelf import Shelf
from mocktrial.mocktools import listening
from mocktrial.mocktools.gate import Gate
from mocktrial.synth.production.generate import generate
from tests.support.hostile import PAYLOADS, hostile
from tests.support.ledger import CONFIG, make_task, make_trajectory
from tests.support.played import play_dataset


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    root = tmp_path_factory.mktemp("view")
    dataset: Dataset = generate(3, 4, ("clinic",))
    dataset.save(root / "datasets" / "small")
    for agent in (Expert(), Guesser()):
        play_dataset(root / "runs" / agent.name, agent, dataset)
    _play_hostile(root / "runs" / "hostile")
    (root / "checkpoints").mkdir()
    (root / "checkpoints" / "toy.metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "loss": 1.5}\n')
    return Shelf(root / "runs", root / "datasets", root / "checkpoints")


def _play_hostile(folder: Path) -> None:
    with Ledger.open(folder / "ledger.sqlite", CONFIG) as ledger:
        for number, payload in enumerate(PAYLOADS):
            task, trajectory = hostile(payload)
            ledger.add_tasks([task])
            ledger.record(trajectory.model_copy(update={"trial": number}))


@pytest.fixture(scope="module")
def address(shelf: Shelf) -> Iterator[str]:
    with listening.running(viewer_app(shelf, Gate.at("127.0.0.1"))) as (port,):
        yield f"http://127.0.0.1:{port}"


def test_every_page_leads_to_the_next(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        for path, text in (
            ("/", "guesser"),
            ("/run?name=guesser&verdict=failed", "4 of 4"),
            ("/episode?run=expert&id=1", "What it changed"),
            ("/compare?first=expert&second=guesser", "-100.0"),
            ("/datasets", "small"),
            ("/dataset?name=small", "4 proved tasks"),
            ("/world?dataset=small&world=clinic-0", "find_patient"),
            ("/training?name=toy", "<polyline"),
        ):
            answer = client.get(path)
            assert (answer.status_code, text in answer.text) == (200, True), path
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_tasks_that_were_changed_in_between_are_compared_by_name(tmp_path: Path) -> None:
    before = [make_task(number) for number in range(4)]
    after = [task.model_copy(update={"instruction": "Book it today."}) for task in before]
    for name, tasks in (("old", before), ("new", after)):
        with Ledger.open(tmp_path / "runs" / name / "ledger.sqlite", CONFIG) as ledger:
            ledger.add_tasks(tasks)
            for task in tasks:
                ledger.record(make_trajectory(task, success=name == "new"))
    shelf = Shelf(tmp_path / "runs", tmp_path, tmp_path)
    with listening.running(viewer_app(shelf, Gate.at("127.0.0.1"))) as (port,):
        pages = [
            httpx.get(f"http://127.0.0.1:{port}/compare?first=old&second=new{more}").text
            for more in ("", "&named=true")
        ]
    assert "compare tasks of one name" in pages[0]
    assert "+100.0" in pages[1]
    assert "paired on 4 tasks" in pages[1]


def test_an_episode_stands_beside_what_each_turn_changed(address: str, shelf: Shelf) -> None:
    played = [(row, shelf.episode("expert", row.id)[1]) for row in shelf.run("expert").rows]
    row, trajectory = max(played, key=lambda one: len(one[1].writes))
    assert trajectory.writes
    page = httpx.get(f"{address}/episode?run=expert&id={row.id}").text
    assert "only the end is known" not in page
    assert page.count('<div class="change') == len(trajectory.writes)


@pytest.mark.parametrize(
    "path", ["/run?name=..%2F..", "/run?name=%2Fetc", "/episode?run=expert&id=999", "/dataset?name=.", "/training?name=x",
             "/world?dataset=small&world=..%2Fsmall"],
)  # fmt: skip
def test_what_is_not_there_is_a_page_that_says_so(address: str, path: str) -> None:
    answer = httpx.get(address + path)
    assert answer.status_code == 404
    assert "Not found" in answer.text


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_a_foreign_host_or_origin_is_refused(address: str, header: dict[str, str]) -> None:
    assert httpx.get(address, headers=header).status_code == 403


def test_with_a_token_nothing_is_shown_before_it_was_given(shelf: Shelf) -> None:
    app = viewer_app(shelf, Gate.at("127.0.0.1", "secret"))
    with listening.running(app) as (port,), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/?token=secret").headers["Location"] == "/"
        assert client.get("/run?name=expert").status_code == 200


@pytest.mark.browser
def test_no_payload_runs_or_fetches_anything_in_a_browser(address: str, shelf: Shelf, tmp_path: Path) -> None:
    """FAULTS 23: 40 payloads in every place of an episode, on the viewer's pages and in the report's file."""
    from playwright.sync_api import sync_playwright

    with shelf.ledger("hostile") as ledger:
        write_html(build_report([ledger]), tmp_path / "report.html")
    pages = [f"{address}/run?name=hostile", f"{address}/", (tmp_path / "report.html").as_uri()]
    pages += [f"{address}/episode?run=hostile&id={row.id}" for row in shelf.run("hostile").rows]
    assert len(PAYLOADS) == 40
    fetched: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: fetched.append(request.url))
        page.on("dialog", lambda dialog: fetched.append(dialog.message))
        for url in pages:
            page.goto(url)
            for opened in page.query_selector_all("details"):
                opened.evaluate("one => one.open = true")
            assert page.evaluate("window.pwned") is None, url
        browser.close()
    assert [url for url in fetched if not url.startswith(address) and not url.startswith("file:")] == []


def test_curves_are_drawn_anew_while_a_training_goes_on(address: str, shelf: Shelf) -> None:
    journal = shelf.journals_under / "live.metrics.jsonl"
    journal.write_text('{"step": 1, "loss": 2.5}\n')
    seen = []
    for line in ("", '{"step": 2, "loss": 0.125}\n'):
        with journal.open("a") as file:
            file.write(line)
        seen.append(httpx.get(f"{address}/training/curves?name=live").text)
    assert ["1 lines so far" in seen[0], "<b>2.5</b>" in seen[0]] == [True, True]
    assert ["2 lines so far" in seen[1], "<b>0.125</b>" in seen[1]] == [True, True]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_are_dark_where_the_reader_likes_it_and_never_wider_than_the_window(address: str, width: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        papers = []
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            for path in ("/", "/run?name=hostile", "/episode?run=hostile&id=7", "/compare?first=expert&second=hostile"):
                page.goto(address + path)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert papers == ["rgb(251, 250, 248)", "rgb(20, 23, 28)"]


@pytest.mark.browser
def test_a_run_can_be_walked_through_by_keyboard(address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/run?name=expert")
        page.keyboard.press("j")
        page.keyboard.press("j")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "id=2" in page.url
        with page.expect_navigation():
            page.keyboard.press("k")
        assert "id=1" in page.url
        with page.expect_navigation():
            page.keyboard.press("u")
        page.keyboard.press("/")
        page.keyboard.type("nothing-like-it")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "0 of 4" in page.inner_text("body")
        browser.close()
