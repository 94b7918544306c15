"""The pages, by FastAPI: a name or number in the query, one page a thing, deep links throughout.

Everything is rendered here and escaped; the policy allows only this server's own style and script (FAULTS 23). Beyond
loopback there is a token, which comes once in the address (`/?token=...`) and then in a cookie. What cannot be shown is
a page that says so: 404 for an unknown name. Without fastapi this module raises `MissingExtra`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader

from mocktrial.envs.episode import Limits
from mocktrial.envs.report.build import verdict
from mocktrial.envs.report.page import page_environment, page_file
from mocktrial.envs.viewer.curves import HEIGHT, WIDTH, drawings, read_metrics
from mocktrial.envs.viewer.listing import Filter, Order, listing, paged
from mocktrial.envs.viewer.shelf import Shelf
from mocktrial.envs.viewer.unfold import unfold
from mocktrial.mocktools import listening
from mocktrial.mocktools.errors import MissingExtra, UsageError
from mocktrial.mocktools.gate import Gate, Refusal
from mocktrial.mocktools.observing.measured import Measured

try:
    from fastapi import FastAPI, Query, Request, Response
    from fastapi.responses import HTMLResponse, RedirectResponse
except ModuleNotFoundError as error:
    raise MissingExtra("the package fastapi is not installed", hint="pip install 'mocktrial[serve]'") from error

_HERE = Path(__file__).parent / "templates"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_COOKIE = "mocktrial_token"
Number = Annotated[int, Query(alias="id", ge=0)]


@dataclass(frozen=True)
class Pages:
    """Renders a template with what every page has."""

    shelf: Shelf
    environment: Environment

    def show(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        body = self.environment.get_template(template).render(**values)
        return HTMLResponse(body.encode("utf-8", "backslashreplace"), status)


def viewer_app(shelf: Shelf, gate: Gate) -> FastAPI:
    """The ASGI application over what `shelf` finds."""
    pages = Pages(shelf, _environment())
    app = FastAPI(title="mocktrial view", docs_url=None, redoc_url=None, openapi_url=None)
    _guard(app, gate)
    _add_files(app)
    _add_runs(app, pages)
    _add_comparison(app, pages)
    _add_datasets(app, pages)
    _add_training(app, pages)

    @app.exception_handler(UsageError)
    async def unknown(_: Request, error: UsageError) -> Response:
        return pages.show("error.html.j2", 404, message=str(error), hint=error.hint)

    return app


def _environment() -> Environment:
    environment = page_environment()
    assert environment.loader is not None
    environment.loader = ChoiceLoader([FileSystemLoader(_HERE), environment.loader])
    return environment


def _guard(app: FastAPI, gate: Gate) -> None:
    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            gate.check_sender({name: value for name, value in request.headers.raw if name in (b"host", b"origin")})
        except Refusal as refusal:
            return Response(str(refusal), refusal.status)
        if gate.token is not None:
            given = request.query_params.get("token")
            if given is not None and secrets.compare_digest(given.encode(), gate.token.encode()):
                entered = RedirectResponse("/", 303)
                entered.set_cookie(_COOKIE, gate.token, httponly=True, samesite="strict")
                return entered
            if not secrets.compare_digest(request.cookies.get(_COOKIE, "").encode(), gate.token.encode()):
                return Response("open /?token=... first", 401)
        response = await go_on(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response


def _add_files(app: FastAPI) -> None:
    style = page_file("report.css") + (_HERE / "viewer.css").read_text("utf-8")
    script = (_HERE / "viewer.js").read_text("utf-8")

    @app.get("/viewer.css")
    async def css() -> Response:
        return Response(style, media_type="text/css")

    @app.get("/viewer.js")
    async def js() -> Response:
        return Response(script, media_type="text/javascript")


def _add_runs(app: FastAPI, pages: Pages) -> None:
    shelf = pages.shelf

    @app.get("/")
    def home() -> Response:
        return pages.show("home.html.j2", runs=[(name, shelf.agents(name)) for name in shelf.runs()])

    @app.get("/run")
    def run(
        name: str, agent: str = "", verdict: str = "", text: str = "", order: Order = "played", page: int = 1
    ) -> Response:
        view, asked = shelf.run(name), Filter(agent, verdict, text.strip(), order, page)
        return pages.show("run.html.j2", run=view, asked=asked, found=listing(view.rows, asked))

    @app.get("/episode")
    async def episode(
        run: str, number: Number, agent: str = "", verdict: str = "", text: str = "", order: Order = "played"
    ) -> Response:
        asked = Filter(agent, verdict, text, order)
        return await _episode(pages, run, number, asked)


async def _episode(pages: Pages, run: str, number: int, asked: Filter) -> Response:
    view = pages.shelf.run(run)
    task, trajectory = pages.shelf.episode(run, number)
    image = pages.shelf.image(task.world, trajectory.world_hash)
    limits = Limits.model_validate(view.config.get("limits") or {})
    row = view.row(number)
    return pages.show(
        "episode.html.j2",
        run=view,
        row=row,
        verdict=verdict(row),
        task=task,
        trajectory=trajectory,
        turns=await unfold(task, trajectory, image, limits),
        replayed=image is not None,
        asked=asked,
        found=listing(view.rows, asked, number),
    )


def _add_comparison(app: FastAPI, pages: Pages) -> None:
    @app.get("/compare")
    def compare(first: str = "", second: str = "", named: bool = False, page: int = 1) -> Response:
        asked: dict[str, Any] = {"first": first, "second": second, "named": named}
        names = pages.shelf.runs()
        if not first or not second:
            return pages.show("compare.html.j2", names=names, **asked, compared=None)
        compared = pages.shelf.compared(first, second, named=named)
        at = paged(len(compared.pairings), page)
        return pages.show("compare.html.j2", names=names, **asked, compared=compared, at=at)


def _add_datasets(app: FastAPI, pages: Pages) -> None:
    shelf = pages.shelf

    @app.get("/datasets")
    def datasets() -> Response:
        return pages.show("datasets.html.j2", datasets=[(name, shelf.recipe(name)) for name in shelf.datasets()])

    @app.get("/dataset")
    def dataset(name: str) -> Response:
        return pages.show("dataset_page.html.j2", name=name, recipe=shelf.recipe(name), folder=shelf.folder(name))

    @app.get("/world")
    def world(dataset: str, world: str, page: int = 1) -> Response:
        folder = shelf.folder(dataset)
        place = next((one for one in folder.worlds if one.world == world), None)
        if place is None:
            raise UsageError(f"{dataset} has no world {world!r}")
        at = paged(len(place.tasks), page)
        tasks = folder.read(replace(place, tasks=place.tasks[at.shown], proofs=place.proofs[at.shown]))
        return pages.show("world.html.j2", dataset=dataset, spec=folder.spec(world), tasks=tasks, at=at)


def _add_training(app: FastAPI, pages: Pages) -> None:
    shelf = pages.shelf

    @app.get("/training")
    def training(name: str = "") -> Response:
        if not name:
            return pages.show("trainings.html.j2", names=shelf.journals())
        return pages.show("training.html.j2", name=name, **_drawn(shelf.journal(name)))

    @app.get("/training/curves")
    def curves(name: str) -> Response:
        """The drawings alone, for a page that is open while the run goes on."""
        return pages.show("curves.html.j2", **_drawn(shelf.journal(name)))


def _drawn(journal: Path) -> dict[str, Any]:
    rows = read_metrics(journal)
    return {"drawings": drawings(rows), "rows": len(rows), "width": WIDTH, "height": HEIGHT}


def serve(shelf: Shelf, host: str = "127.0.0.1", port: int = 8099, *, token: str | None = None) -> None:
    """Answer until interrupted. Prints one line when ready."""
    gate = Gate.at(host, token)
    listening.listen(Measured(viewer_app(shelf, gate), gate), host, (port,), "viewer")
