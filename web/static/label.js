// One question after the other. An answer leaves this page only when the server has said that it is saved; until then
// it is kept here, over a reload and over a server that goes away. So is an answer that is not finished.
//
// What is asked comes from the template of the kind of answer (templates/kinds): one [data-slot] for each option as
// shown, with a [data-text] for its text, and one [data-group] of radio buttons for each number to give.
"use strict";

const form = byId("question");
const slots = [...form.querySelectorAll("[data-slot]")];
const groups = [...form.querySelectorAll("[data-group]")];
const who = document.querySelector(".who span").textContent;
const KEPT = `answer of ${who}`;  // on its way to the server
const DRAFT = `draft of ${who}`;  // on its way to being finished
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
  slots.forEach((slot, place) => { slot.querySelector("[data-text]").textContent = next.options[place].text; });
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) || "null");
  const same = draft && draft.question_id === next.question_id && draft.version === next.version;
  if (same) fill(draft);
  else if (next.before) fill(next.before);
  since = performance.now();
  scrollTo(0, 0);
  byId("query").focus({ preventScroll: true });
  mark();
}

// The form as the server has it: numbers by option, not by the place at which this labeler sees it.
const optionAt = (place) => question.options[place].choice;
const placeOf = (option) => question.options.findIndex(({ choice }) => choice === option);

function written() {
  const entries = Object.fromEntries([...new FormData(form)].filter(([name]) =>
    ["choice", "confidence", "note", "critique", "correction"].includes(name)));
  const choice = /^\d+$/.test(entries.choice) ? optionAt(Number(entries.choice)) : entries.choice;
  const given = {};
  slots.forEach((slot, place) => {
    for (const input of slot.querySelectorAll("[data-field]")) {
      const numbers = given[input.dataset.field] ??= slots.map(() => null);
      if (input.checked) numbers[optionAt(place)] = Number(input.value);
    }
  });
  return { ...entries, choice, given, confidence: entries.confidence ? Number(entries.confidence) : undefined,
    question_id: question.question_id, ticket: question.ticket, version: question.version, seconds: (performance.now() - since) / 1000 };
}

function fill({ choice, given = {}, confidence, ...texts }) {
  const check = (name, value) => {
    const radio = form.querySelector(`input[name="${name}"][value="${value}"]`);
    if (radio) radio.checked = true;
  };
  if (choice !== undefined) check("choice", typeof choice === "number" ? placeOf(choice) : choice);
  for (const [field, numbers] of Object.entries(given))
    numbers.forEach((number, option) => { if (number !== null) check(`${field}-${placeOf(option)}`, number); });
  if (confidence !== undefined) check("confidence", confidence);
  for (const name of ["note", "critique", "correction"]) {
    if (!texts[name]) continue;
    byId(name).value = texts[name];
    byId("words").open = true;
  }
}

const rest = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

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
      notice("You are signed out. Your answer is kept here. Sign in again.");
      return rest(2).then(() => location.assign("/"));
    }
    if (heard.ok || heard.status === 409 || (heard.status >= 400 && heard.status < 429)) {
      sessionStorage.removeItem(KEPT);
      if (heard.ok || heard.status === 409) sessionStorage.removeItem(DRAFT);
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
      notice("The server does not answer. This page continues when it is back.");
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

// The groups of radio buttons: which one is next, and what is still missing.
const radios = (group) => [...group.querySelectorAll("input[type=radio]")];
const checked = (group) => radios(group).find((radio) => radio.checked);
const undecided = () => form.querySelector("[value=tie]:checked, [value=skip]:checked") !== null;
const missing = () => (undecided() ? undefined : groups.find((group) => !checked(group)));
const focused = () => groups.find((group) => group.contains(document.activeElement));
const current = () => focused() || missing() || groups[groups.length - 1];

function enter(group) {
  (checked(group) || radios(group)[0]).focus({ preventScroll: true });
  group.scrollIntoView({ block: "nearest" });
}

function mark() {
  const marked = groups.length > 1 && question ? current() : null;
  for (const group of groups) group.classList.toggle("current", group === marked);
}

function choose(radio) {
  radio.checked = true;
  radio.focus({ preventScroll: true });
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

function digit(number) {
  const group = current();
  const radio = radios(group)[number - 1];
  if (!radio) return;
  if (groups.length === 1 && radio.checked) return form.requestSubmit();
  choose(radio);
  const rest = [...groups.slice(groups.indexOf(group) + 1), ...groups].find((other) => !checked(other));
  if (groups.length > 1 && rest) enter(rest);
}

function back() {
  const group = current();
  const last = checked(group) ? group : groups[Math.max(groups.indexOf(group) - 1, 0)];
  for (const radio of radios(last)) radio.checked = false;
  enter(last);
  keep();
}

function keep() {
  if (question && !sending) sessionStorage.setItem(DRAFT, JSON.stringify(written()));
  mark();
}

form.addEventListener("change", ({ target }) => {
  // Numbers take back "equally good" and "skip", and those take back the numbers.
  if (target.dataset.field) form.querySelectorAll(".others input").forEach((radio) => { radio.checked = false; });
  if (target.name === "choice") form.querySelectorAll("[data-field]").forEach((radio) => { radio.checked = false; });
  keep();
});
form.addEventListener("input", keep);
form.addEventListener("focusin", mark);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const group = missing();
  if (group) {
    notice(group.dataset.missing);
    if (groups.length > 1) enter(group);
    return;
  }
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
  const other = { t: form.querySelector("[value=tie]"), s: form.querySelector("[value=skip]") }[key];
  if (key === "u") undo();
  else if (!question) return;
  else if (/^[1-9]$/.test(key)) digit(Number(key));
  else if (key === "backspace" && groups.length > 1) back();
  else if (other && other.checked) form.requestSubmit();
  else if (other) choose(other);
  else if (key === "n") { byId("words").open = true; byId("note").focus(); }
  else if (key === "c") {
    const steps = [...form.querySelectorAll("input[name=confidence]")];
    steps[(steps.findIndex((step) => step.checked) + 1) % steps.length].checked = true;
    keep();
  } else return;
  event.preventDefault();
});

const kept = sessionStorage.getItem(KEPT);
if (kept) send(JSON.parse(kept));
else next();
