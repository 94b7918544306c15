"""What each page of `mocktrial view` costs as runs grow: run `python benchmarks/viewer.py`.

Two runs of so many episodes, really played: 5 trials a task. CPU-ms of the server for a page that is opened first, by a
viewer that has seen nothing, and again (the cheapest of some); bytes of the page. `--browser`: ms of wall time from a
click to the painted page in Chromium, median and most of some. `--keep FOLDER` leaves the runs for `mocktrial view`.
Exits 1 where a page that is opened again takes more than 50 CPU-ms.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import httpx
from rich.console import Console
from rich.table import Table

from mocktrial.agents.base import Agent
from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.viewer.app import viewer_app
from mocktrial.envs.viewer.shelf import Shelf
from mocktrial.mocktools import listening
from mocktrial.mocktools.gate import Gate
from mocktrial.synth.production.generate import generate

MARK_MS = 50.0
TRIALS, TASKS = 5, 100  # of a task; proved ones, which are played under more and more seeds
console = Console()


def shelf_at(root: Path) -> Shelf:
    return Shelf(root / "runs", root / "datasets", root / "checkpoints")


def fill(root: Path, episodes: int) -> None:
    """Runs `expert` and `guesser` of so many episodes each, their dataset and a journal."""
    dataset = generate(7, TASKS)
    dataset.save(root / "datasets" / "shipped")
    images = {task.world: dataset.image(task) for task in dataset.tasks}
    seeds = range(episodes // TRIALS)
    tasks = [
        (task := dataset.tasks[n % TASKS]).model_copy(update={"id": f"{task.id}.{n}", "seed": task.seed + n})
        for n in seeds
    ]
    agents: tuple[Agent, ...] = (Expert(), Guesser())
    for agent in agents:
        config = {"agent": agent.name, "trials": TRIALS}
        asyncio.run(run_agent(agent, tasks, images, root / "runs" / agent.name, config=config, trials=TRIALS))
    (root / "checkpoints").mkdir()
    lines = (f'{{"step": {step}, "loss": {2 + 50 / (step + 20)}, "reward": {step / 5000}}}\n' for step in range(5000))
    (root / "checkpoints" / "toy.metrics.jsonl").write_text("".join(lines))


def pages_of(shelf: Shelf, episodes: int) -> dict[str, str]:
    """Addresses by what they show."""
    world = shelf.folder("shipped").worlds[0].world
    addresses: dict[str, tuple[str, dict[str, str | int]]] = {
        "runs": ("/", {}),
        "run": ("/run", {"name": "guesser"}),
        "run, last page": ("/run", {"name": "guesser", "page": episodes // 100}),
        "run, failed": ("/run", {"name": "guesser", "verdict": "failed"}),
        "run, text": ("/run", {"name": "guesser", "text": "clinic"}),
        "run, by tokens": ("/run", {"name": "guesser", "order": "tokens"}),
        "episode": ("/episode", {"run": "guesser", "id": episodes // 2}),
        "comparison": ("/compare", {"first": "expert", "second": "guesser"}),
        "datasets": ("/datasets", {}),
        "dataset": ("/dataset", {"name": "shipped"}),
        "world": ("/world", {"dataset": "shipped", "world": world}),
        "training": ("/training", {"name": "toy"}),
    }
    return {name: f"{path}?{urlencode(query)}" for name, (path, query) in addresses.items()}


async def costs(shelf: Shelf, address: str, times: int) -> tuple[float, float, int]:
    """CPU-ms of a page for the first time and again, and its bytes."""
    spent, size = [], 0
    transport = httpx.ASGITransport(viewer_app(shelf, Gate.at("127.0.0.1")))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for _ in range(times):
            start = time.process_time()
            answer = await client.get(address)
            spent.append(1000 * (time.process_time() - start))
            assert answer.status_code == 200, answer.text
            size = len(answer.content)
    return spent[0], min(spent[1:]), size


_CLICKED = "addEventListener('click', () => sessionStorage.setItem('clicked', Date.now()), true)"
_PAINTED = """() => new Promise(done => new PerformanceObserver(list => done(
    performance.timeOrigin + list.getEntriesByName('first-contentful-paint')[0].startTime
    - Number(sessionStorage.getItem('clicked')))).observe({type: 'paint', buffered: true}))"""


def painted(shelf: Shelf, times: int) -> dict[str, list[float]]:
    """Wall-ms from a click to the next page's first painted content."""
    from playwright.sync_api import sync_playwright

    names = ("filter", "next page", "open an episode", "next episode", "compare")
    found: dict[str, list[float]] = {name: [] for name in names}
    with listening.running(viewer_app(shelf, Gate.at("127.0.0.1"))) as (port,), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.add_init_script(_CLICKED)

        def click(name: str, what: str) -> None:
            with page.expect_navigation():
                page.click(what)
            found[name].append(page.evaluate(_PAINTED))

        for _ in range(times):
            page.goto(f"http://127.0.0.1:{port}/run?name=guesser")
            page.fill("#search", "clinic")
            click("filter", "form.filter button")
            if page.query_selector("a[rel=next]"):
                click("next page", "a[rel=next]")
            click("open an episode", "tr.row a")
            click("next episode", "a[rel=next]")
            page.goto(f"http://127.0.0.1:{port}/compare?first=expert&second=guesser")
            click("compare", "form.filter button")
        browser.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, nargs="+", default=[100, 10_000], help="of each of the two runs")
    parser.add_argument("--times", type=int, default=6, help="that each page is opened")
    parser.add_argument("--browser", action="store_true", help="time Chromium, too (needs playwright)")
    parser.add_argument("--keep", type=Path, help="folder for the runs, which is used again")
    options = parser.parse_args()
    slow = 0
    with TemporaryDirectory() as folder:
        for episodes in options.episodes:
            root = (options.keep or Path(folder)) / str(episodes)
            if not root.exists():
                fill(root, episodes)
            shelf = shelf_at(root)
            table = Table("page", "first CPU-ms", "again", "KiB", title=f"Two runs of {episodes} episodes")
            for name, address in pages_of(shelf, episodes).items():
                first, again, size = asyncio.run(costs(shelf_at(root), address, options.times))
                slow += again > MARK_MS
                table.add_row(name, f"{first:.1f}", f"{again:.1f}", f"{size / 1024:.0f}")
            console.print(table)
            for name, all_ms in (painted(shelf, options.times) if options.browser else {}).items():
                if all_ms:
                    console.print(f"{name:20}{statistics.median(all_ms):6.0f} ms, at most {max(all_ms):.0f}")
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
