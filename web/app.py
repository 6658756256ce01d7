"""The labeling page and the live wall as a web application."""

import threading
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
from data.page.answers import PageQuestion
from data.paths import campaign_of
from data.store import Store
from web.desk import Desk, form_of, order_for
from web.guard import Headers, check_host, check_origin, read_json
from web.limits import Limit
from web.line import Line
from web.roster import Roster
from web.sessions import LASTS, Sessions

HERE = Path(__file__).resolve().parent
Handler = Callable[[Account, Mapping[str, Any]], Document]


class Page:
    """Everything that the routes share: who, what is asked, the line, and the limits."""

    def __init__(
        self, store: Store, desk: Desk, key: bytes, public: str | None, finished: Callable[[], None] = lambda: None
    ) -> None:
        self.desk, self.line, self.public = desk, Line(store, campaign_of(desk.campaign)), public
        self.roster, self.sessions = Roster(store), Sessions(key)
        self.answers, self.looks, self.bad_tokens = Limit(60, 60), Limit(120, 240), Limit(5, 5)
        self.cookie = "andon" if public is None else "__Host-andon"
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
        )
        self._finished, self._told = finished, threading.Event()
        if desk.finished:
            self._told.set()

    async def labeler(self, request: Request) -> Account | None:
        check_host(request, self.public)
        return self.sessions.read(request.cookies.get(self.cookie, ""), await run_in_threadpool(self.roster.listed))

    def show(self, template: str, request: Request, labeler: Account | None) -> HTMLResponse:
        csrf = self.sessions.csrf(request.cookies.get(self.cookie, ""))
        desk = self.desk
        shown = {
            "labeler": labeler,
            "csrf": csrf,
            "campaign": campaign_of(desk.campaign),
            "instructions": visible(desk.instructions),
            "kind": BY_NAME[desk.ask.kind],
            "count": desk.options,
            "axes": desk.ask.axes,
        }
        return HTMLResponse(self.templates.get_template(template).render(shown))

    async def label(self, request: Request) -> Response:
        labeler = await self.labeler(request)
        if labeler is None:
            return self.show("sign_in.html", request, None)
        return self.show("label.html", request, labeler) if "label" in labeler.may else RedirectResponse("/wall", 303)

    async def wall(self, request: Request) -> Response:
        labeler = await self.labeler(request)
        return self.show("wall.html", request, labeler) if labeler else RedirectResponse("/", 303)

    async def sign_in(self, request: Request) -> Response:
        check_host(request, self.public)
        check_origin(request, self.public)
        token = (await read_json(request)).get("token")
        listed = await run_in_threadpool(self.roster.listed)
        labeler = account_of(listed, token.strip()) if isinstance(token, str) else None
        if labeler is None:  # a right token is never refused, or a stranger could lock out everybody behind one proxy
            if wait := self.bad_tokens.wait(request.client.host if request.client else "?"):
                raise HTTPException(429, f"Too many wrong tokens: try again in {wait} s.", {"retry-after": str(wait)})
            raise HTTPException(401, "This token is not known, or no longer. Ask whoever gave it to you.")
        answer = JSONResponse({"name": labeler.name})
        secure = self.public is not None
        answer.set_cookie(
            self.cookie,
            self.sessions.issue(labeler),
            max_age=LASTS,
            path="/",
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        check_host(request, self.public)
        check_origin(request, self.public)
        answer = JSONResponse({})
        answer.delete_cookie(self.cookie, path="/", secure=self.public is not None, httponly=True, samesite="strict")
        return answer

    def look(self, role: str | None, handler: Callable[[Account], Document]) -> Callable[[Request], Any]:
        """Make a GET, which changes nothing."""

        async def endpoint(request: Request) -> Response:
            labeler = await self._allowed(request, role)
            _limited(self.looks, labeler)
            return JSONResponse(await run_in_threadpool(_safely, lambda: handler(labeler)))

        return endpoint

    def change(self, role: str, handler: Handler, limit: Limit | None = None) -> Callable[[Request], Any]:
        """Make a POST: from our own page, with the value of its session."""

        async def endpoint(request: Request) -> Response:
            labeler = await self._allowed(request, role)
            check_origin(request, self.public)
            if not self.sessions.same_csrf(request.cookies.get(self.cookie, ""), request.headers.get("x-csrf", "")):
                raise HTTPException(403, "This page is out of date: load it again.")
            body = await read_json(request)
            if limit is not None:
                _limited(limit, labeler)
            made = await run_in_threadpool(_safely, lambda: handler(labeler, body))
            return JSONResponse(made, status_code=int(made.pop("status", 200)))

        return endpoint

    async def _allowed(self, request: Request, role: str | None) -> Account:
        labeler = await self.labeler(request)
        if labeler is None:
            raise HTTPException(401, "Sign in again.")
        if role is not None and role not in labeler.may:
            raise HTTPException(403, f"{labeler.name} may not {role}.")
        return labeler

    def question(self, labeler: Account) -> Document:
        found = self.desk.next_for(labeler.name)
        shown = _shown(found, labeler) | {"version": 1} if found else None
        return {"question": shown, "progress": self.desk.progress(labeler.name)}

    def last(self, labeler: Account) -> Document:
        found = self.desk.last_of(labeler.name)
        if found is None:
            return {"question": None, "progress": self.desk.progress(labeler.name)}
        question, versions = found
        shown = _shown(question, labeler) | {"version": len(versions) + 1, "before": self._form(versions[-1])}
        return {"question": shown, "progress": self.desk.progress(labeler.name)}

    def answer(self, labeler: Account, body: Mapping[str, Any]) -> Document:
        question, version = body.get("question_id"), body.get("version")
        if not isinstance(question, str) or not isinstance(version, int):
            raise Refused("An answer names its question and version.")
        outcome = self.desk.answer(labeler.name, question, version, body)
        if self.desk.finished and not self._told.is_set():
            self._told.set()
            self._finished()
        made = {"saved": outcome.saved} | self.question(labeler)
        if outcome.saved:
            return made
        assert outcome.other is not None
        mine = outcome.other["labeler_id"] == labeler.name
        why = "You answered this question before; that answer stands." if mine else "Somebody else has answered it."
        return made | {"status": 409, "error": why, "stored": self._form(outcome.other) if mine else None}

    def _form(self, answer: Document) -> Document:
        return form_of(answer, self.desk.options, self.desk.ask)

    def pull(self, labeler: Account, body: Mapping[str, Any]) -> Document:
        return self.line.pull(labeler.name, str(body.get("scope", "everything")), str(body.get("reason", "")))

    def release(self, labeler: Account, body: Mapping[str, Any]) -> Document:
        self.line.release(labeler.name, str(body.get("pull", "")), str(body.get("reason", "")))
        return self.line.state()


def application(page: Page) -> ASGIApp:
    """Build the application; its routes are its table of contents."""
    routes = [
        Route("/", page.label),
        Route("/wall", page.wall),
        Route("/session", page.sign_in, methods=["POST"]),
        Route("/sign-out", page.sign_out, methods=["POST"]),
        Route("/question", page.look("label", page.question)),
        Route("/last", page.look("label", page.last)),
        Route("/answer", page.change("label", page.answer, page.answers), methods=["POST"]),
        Route("/line", page.look(None, lambda labeler: page.line.state())),
        Route("/pull", page.change("pull", page.pull), methods=["POST"]),  # no limit: pulling is never in the way
        Route("/release", page.change("release", page.release), methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Headers(Starlette(routes=routes, exception_handlers={HTTPException: _told}))


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=dict(error.headers or {}))


def _limited(limit: Limit, labeler: Account) -> None:
    if wait := limit.wait(labeler.name):
        raise HTTPException(429, f"That was fast: try again in {wait} s.", {"retry-after": str(wait)})


def _safely(handler: Callable[[], Document]) -> Document:
    """Answer a refusal with its words, and a store that fails with the one thing to do."""
    try:
        return handler()
    except (Unavailable, OSError) as error:
        raise HTTPException(503, "Nothing was saved: the store does not answer. Try again.") from error
    except Refused as refusal:
        raise HTTPException(400, str(refusal)) from refusal


def _shown(question: PageQuestion, labeler: Account) -> Document:
    options = [{"choice": i, "text": visible(question.options[i])} for i in order_for(question, labeler.name)]
    return {"question_id": question.question_id, "query": visible(question.query), "options": options}
