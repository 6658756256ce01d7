// One question after the other. An answer leaves this page only when the server has said that it is saved; until then
// it is kept here, over a reload and over a server that goes away.
"use strict";

const form = byId("question");
let question = null;
let since = 0;
let sending = false;

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function show({ question: next, progress }) {
  question = next;
  byId("bar").max = progress.questions;
  byId("bar").value = progress.answered;
  byId("count").textContent =
    `${progress.mine.toLocaleString("en")} by you · ${progress.answered.toLocaleString("en")} of ${progress.questions.toLocaleString("en")}`;
  form.hidden = next === null;
  byId("done").hidden = next !== null;
  if (progress.mine >= 3) byId("instructions").open = false;
  if (next === null) return;
  form.reset();
  byId("words").open = false;
  byId("query").textContent = next.query;
  byId("options").replaceChildren(...next.options.map(({ choice, text }, place) => {
    const label = element("label", undefined, { class: "option" });
    label.append(element("input", undefined, { type: "radio", name: "choice", value: choice }),
      element("kbd", place + 1), element("span", text, { class: "text", dir: "auto" }));
    return label;
  }));
  if (next.before) fill(next.before);
  since = performance.now();
  scrollTo(0, 0);
  byId("query").focus({ preventScroll: true });
}

function fill(before) {
  for (const [name, value] of Object.entries(before)) {
    if (name === "choice" || name === "confidence") {
      const radio = form.querySelector(`input[name=${name}][value="${value}"]`);
      if (radio) radio.checked = true;
    } else {
      byId(name).value = value;
      byId("words").open = true;
    }
  }
}

function written() {
  const entries = Object.fromEntries(new FormData(form));
  const choice = /^\d+$/.test(entries.choice) ? Number(entries.choice) : entries.choice;
  return { ...entries, choice, confidence: entries.confidence ? Number(entries.confidence) : undefined,
    question_id: question.question_id, version: question.version, seconds: (performance.now() - since) / 1000 };
}

const rest = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const who = document.querySelector(".who span").textContent;
const KEPT = `answer of ${who}`;

async function send(answer) {
  if (sending) return;
  sending = true;
  byId("send").disabled = true;
  sessionStorage.setItem(KEPT, JSON.stringify(answer));
  for (let wait = 0.5; ; wait = Math.min(wait * 1.5, 5)) {
    let heard;
    try {
      heard = await ask("/answer", answer);
    } catch {
      heard = { status: 0 };
    }
    if (heard.status === 401) {
      notice("You are signed out: your answer is kept here. Sign in again.");
      return rest(2).then(() => location.assign("/"));
    }
    if (heard.ok || heard.status === 409 || (heard.status >= 400 && heard.status < 429)) {
      sessionStorage.removeItem(KEPT);
      notice(heard.ok ? "" : heard.said.error);
      sending = false;
      byId("send").disabled = false;
      return heard.said.progress ? show(heard.said) : next();
    }
    notice(heard.status === 429 ? heard.said.error
      : "Not saved yet: the server does not answer. Your answer is kept here and sent again.");
    await rest(heard.wait || wait);
  }
}

async function next(path = "/question") {
  for (;;) {
    try {
      const { ok, said, status, wait } = await ask(path);
      if (status === 401) return location.assign("/");
      if (ok) return show(said);
      notice(said.error);
      await rest(wait || 2);
    } catch {
      notice("The server does not answer. This page goes on when it is back.");
      await rest(1);
    }
  }
}

async function undo() {
  if (sending) return;
  await next("/last");
  notice(question ? "This is your last answer. Change it, and answer again." : "");
  if (!question) next();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!form.querySelector("input[name=choice]:checked")) return notice("Choose one first, or skip.");
  send(written());
});
byId("undo").addEventListener("click", undo);
byId("undo-done").addEventListener("click", undo);

document.addEventListener("keydown", (event) => {
  if (inDialog() || event.altKey || event.metaKey || sending) return;
  if (event.key === "Enter" && question && (event.ctrlKey || !/^(TEXTAREA|BUTTON|SUMMARY|A)$/.test(document.activeElement.tagName))) {
    event.preventDefault();
    return form.requestSubmit();
  }
  if (event.ctrlKey || event.repeat || typing()) return;
  const key = event.key.toLowerCase();
  const places = form.querySelectorAll("#options input");
  const radio = /^[1-9]$/.test(key) ? places[key - 1]
    : { t: form.querySelector("[value=tie]"), s: form.querySelector("[value=skip]") }[key];
  if (key === "u") undo();
  else if (!question) return;
  else if (radio && radio.checked) form.requestSubmit();
  else if (radio) { radio.checked = true; radio.focus(); }
  else if (key === "n") { byId("words").open = true; byId("note").focus(); }
  else if (key === "c") {
    const steps = [...form.querySelectorAll("input[name=confidence]")];
    steps[(steps.findIndex((step) => step.checked) + 1) % steps.length].checked = true;
  } else return;
  event.preventDefault();
});

const kept = sessionStorage.getItem(KEPT);
if (kept) send(JSON.parse(kept));
else next();
