"""The labeling page and the live wall as a web application."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from data.answers import BY_NAME
from data.canonical import Document
from data.errors import Refused, Unavailable
from data.escape import visible
from data.page.accounts import Account, account_of
from data.paths import campaign_of
from data.store import Store
from web.answering import Answering, Query
from web.desk import Desk
from web.desks import Desks
from web.forms import AnswerForm, AnyForm, PullForm, ReleaseForm, SignInForm, SignOutForm, fill
from web.guard import Guard, check_origin, read_json
from web.limits import Limit
from web.line import Line
from web.roster import Roster
from web.sessions import LASTS, Sessions
from web.threads import Result, Threads

HERE = Path(__file__).resolve().parent


class Page:
    """Everything that the routes share: the labelers, the questions, the line, and the limits."""

    def __init__(self, store: Store, desks: Desks, key: bytes, public: str | None) -> None:
        self.desks, self.line, self.public = desks, Line(store, campaign_of(desks.last.campaign)), public
        self.roster, self.sessions = Roster(store), Sessions(key)
        self.answering = Answering(desks, self.sessions)
        self.answers, self.looks, self.bad_tokens = Limit(60, 60), Limit(120, 240), Limit(5, 5)
        self.store_threads, self.cord_threads = Threads("store", 40, 200), Threads("cord", 32, 1_000)
        self.cookie = "andon" if public is None else "__Host-andon"
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )

    async def labeler(self, request: Request) -> Account | None:
        accounts = await run_in_threadpool(_safely, self.roster.listed)
        return self.sessions.read(request.cookies.get(self.cookie, ""), accounts)

    def show(self, template: str, request: Request, labeler: Account | None, desk: Desk | None = None) -> HTMLResponse:
        desk = desk or self.desks.last
        values = {
            "labeler": labeler,
            "csrf": self.sessions.csrf(request.cookies.get(self.cookie, "")),
            "campaign": campaign_of(desk.campaign),
            "batch": desk.batch,
            "instructions": visible(desk.instructions),
            "kind": BY_NAME[desk.ask.kind],
            "count": desk.options,
            "axes": desk.ask.axes,
        }
        return HTMLResponse(self.templates.get_template(template).render(values))

    async def label(self, request: Request) -> Response:
        """Show the form of the batch that the labeler is asked next, or of the answer that they change."""
        labeler = await self.labeler(request)
        if labeler is None:
            return self.show("sign_in.html", request, None)
        if "label" not in labeler.may:
            return RedirectResponse("/wall", 303)
        desk = self.desks.of(request.query_params.get("change", "")) or self.desks.desk_for(labeler.name)
        return self.show("label.html", request, labeler, desk)

    def page(self, template: str, role: str | None = None) -> Callable[[Request], Any]:
        """Make the endpoint of a page for those who are signed in."""

        async def endpoint(request: Request) -> Response:
            labeler = await self.labeler(request)
            if labeler is None or (role is not None and role not in labeler.may):
                return RedirectResponse("/", 303)
            return self.show(template, request, labeler)

        return endpoint

    async def sign_in(self, request: Request) -> Response:
        check_origin(request, self.public)
        form = _filled(SignInForm, await read_json(request))
        accounts = await run_in_threadpool(_safely, self.roster.listed)
        labeler = account_of(accounts, form.token.strip())
        if labeler is None:  # a right token is never refused, or a stranger could lock out everybody behind one proxy
            if wait := self.bad_tokens.wait(request.client.host if request.client else "?"):
                raise HTTPException(429, f"Too many wrong tokens: try again in {wait} s.", {"retry-after": str(wait)})
            raise HTTPException(401, "This token is not known, or no longer. Ask the person who gave it to you.")
        answer = JSONResponse({"name": labeler.name})
        secure = self.public is not None
        cookie = self.sessions.issue(labeler)
        answer.set_cookie(self.cookie, cookie, max_age=LASTS, path="/", secure=secure, httponly=True, samesite="strict")
        return answer

    async def sign_out(self, request: Request) -> Response:
        check_origin(request, self.public)
        _filled(SignOutForm, await read_json(request))
        accounts = await run_in_threadpool(_safely, self.roster.listed)
        cookie = request.cookies.get(self.cookie, "")
        await run_in_threadpool(_safely, lambda: self.sessions.end(cookie, accounts))
        answer = JSONResponse({})
        answer.delete_cookie(self.cookie, path="/", secure=self.public is not None, httponly=True, samesite="strict")
        return answer

    def look(self, role: str | None, handler: Callable[[Account, Query], Document]) -> Callable[[Request], Any]:
        """Make the endpoint of a GET, which changes nothing."""

        async def endpoint(request: Request) -> Response:
            labeler = await self._allowed(request, role)
            _limited(self.looks, labeler)
            query = dict(request.query_params) | request.path_params
            return JSONResponse(await self._from_store(lambda: handler(labeler, query), role))

        return endpoint

    def change(
        self,
        role: str,
        form: type[AnyForm],
        handler: Callable[[Account, AnyForm], Document],
        limit: Limit | None = None,
    ) -> Callable[[Request], Any]:
        """Make the endpoint of a POST: from our own page, with the value of its session."""

        async def endpoint(request: Request) -> Response:
            labeler = await self._allowed(request, role)
            check_origin(request, self.public)
            if not self.sessions.same_csrf(request.cookies.get(self.cookie, ""), request.headers.get("x-csrf", "")):
                raise HTTPException(403, "This page is out of date: load it again.")
            filled = _filled(form, await read_json(request))
            if limit is not None:
                _limited(limit, labeler)
            made = await self._from_store(lambda: handler(labeler, filled), role)
            return JSONResponse(made, status_code=int(made.pop("status", 200)))

        return endpoint

    async def _from_store(self, work: Callable[[], Result], role: str | None = "label") -> Result:
        """Do work that waits for the store, in threads of its own; the cord has others than the answers."""
        threads = self.store_threads if role == "label" else self.cord_threads
        return await threads.run(lambda: _safely(work))

    async def _allowed(self, request: Request, role: str | None) -> Account:
        labeler = await self.labeler(request)
        if labeler is None:
            raise HTTPException(401, "Sign in again.")
        if role is not None and role not in labeler.may:
            raise HTTPException(403, f"{labeler.name} may not {role}.")
        return labeler

    def pull(self, labeler: Account, form: PullForm) -> Document:
        return self.line.pull(labeler.name, form.scope, form.reason)

    def release(self, labeler: Account, form: ReleaseForm) -> Document:
        self.line.release(labeler.name, form.pull, form.reason)
        return self.line.state()


def application(page: Page) -> ASGIApp:
    """Build the application; its routes are its table of contents."""
    routes = [
        Route("/", page.label),
        Route("/mine", page.page("mine.html", "label")),
        Route("/wall", page.page("wall.html")),
        Route("/session", page.sign_in, methods=["POST"]),
        Route("/sign-out", page.sign_out, methods=["POST"]),
        Route("/question", page.look("label", page.answering.question)),
        Route("/last", page.look("label", page.answering.last)),
        Route("/answers", page.look("label", page.answering.all_mine)),
        Route("/answers/{question}", page.look("label", page.answering.mine)),
        Route("/answer", page.change("label", AnswerForm, page.answering.answer, page.answers), methods=["POST"]),
        Route("/line", page.look(None, lambda labeler, query: page.line.state())),
        # There is no limit: pulling is never in the way.
        Route("/pull", page.change("pull", PullForm, page.pull), methods=["POST"]),
        Route("/release", page.change("release", ReleaseForm, page.release), methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _in_words})
    app.router.redirect_slashes = False
    return Guard(app, page.public)


async def _in_words(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=dict(error.headers or {}))


def _limited(limit: Limit, labeler: Account) -> None:
    if wait := limit.wait(labeler.name):
        raise HTTPException(429, f"That was fast: try again in {wait} s.", {"retry-after": str(wait)})


def _filled(form: type[AnyForm], body: Mapping[str, Any]) -> AnyForm:
    try:
        return fill(form, body)
    except Refused as refusal:
        raise HTTPException(400, str(refusal)) from refusal


def _safely(handler: Callable[[], Result]) -> Result:
    """Answer a refusal with its words, and a store that fails with the one thing to do."""
    try:
        return handler()
    except (Unavailable, OSError) as error:
        raise HTTPException(503, "Nothing was saved: the store does not answer. Try again.") from error
    except Refused as refusal:
        raise HTTPException(400, str(refusal)) from refusal
