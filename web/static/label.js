// One question after the other. An answer leaves this page only when the server has said that it is saved; until then
// it is kept in this browser, over a reload and over a server that goes away. So is an answer that is not finished, until
// it is sent.
//
// What is asked comes from the template of the kind of answer (templates/kinds): one [data-slot] for each option as
// shown, with a [data-text] for its text, and one [data-group] of radio buttons for each number to give.
"use strict";

const form = byId("question");
const slots = [...form.querySelectorAll("[data-slot]")];
const groups = [...form.querySelectorAll("[data-group]")];
const batch = document.querySelector("meta[name=batch]").content;
const TEXTS = ["note", "critique", "correction"];
const HOLD_AGAIN = 120e3;  // milliseconds after which a question that is worked on is reserved anew
const ASK_AGAIN = 5e3;  // milliseconds between two questions whether there is something to answer again
let question = null;
let since = 0;
let sending = false;
let waiting = 0;
let touched = false;

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

const nameOf = ({ question_id, version }) => `${who}: ${question_id}.${version}`;
const openQuestion = {  // the question of this tab: after a restart of the server, the page asks for the same one
  path() { try { return JSON.parse(sessionStorage.getItem(`open of ${who}`)); } catch { return null; } },
  set(path) { try { sessionStorage.setItem(`open of ${who}`, JSON.stringify(path)); } catch { /* nothing is kept */ } },
};

function show(reply) {
  const { question: next, progress } = reply;
  if (next !== null && reply.batch !== batch) return location.assign("/");  // it has another form
  clearTimeout(waiting);
  question = next;
  touched = false;
  byId("bar").max = progress.questions;
  byId("bar").value = progress.answered;
  byId("count").textContent =
    `${progress.mine.toLocaleString("en")} by you · ${progress.answered.toLocaleString("en")} of ${progress.questions.toLocaleString("en")}`;
  form.hidden = next === null;
  byId("done").hidden = next !== null;
  if (progress.mine >= 3) byId("instructions").open = false;
  if (next === null) {
    waiting = setTimeout(lookAgain, ASK_AGAIN);
    return;
  }
  form.reset();
  byId("words").open = false;
  byId("return").hidden = next.version === 1;
  byId("undo").hidden = next.version !== 1;
  setText(byId("query"), next.query);
  slots.forEach((slot, place) => setText(slot.querySelector("[data-text]"), next.options[place].text));
  since = performance.now();
  const draft = kept.get(`draft of ${nameOf(next)}`);
  if (draft) {
    fill(draft);
    since -= draft.seconds * 1000;
  } else if (next.before) fill(next.before);
  if (next.version === 1) openQuestion.set(`/question?held=${next.question_id}&ticket=${next.ticket}`);
  scrollTo(0, 0);
  byId("query").focus({ preventScroll: true });
  mark();
}

// A question may come back: another labeler's time for it runs out, or a newer batch is published.
async function lookAgain() {
  if (!inDialog()) {
    try {
      const { ok, reply, status } = await ask("/question");
      if (status === 401) return location.assign("/");
      if (ok && question === null) return show(reply);
    } catch { /* the server is away: the next look will tell */ }
  }
  if (question === null) waiting = setTimeout(lookAgain, ASK_AGAIN);
}

// Whoever writes for more than ten minutes keeps the question.
setInterval(async () => {
  if (!touched || sending || question === null || question.version !== 1) return;
  touched = false;
  const { question_id, ticket } = question;
  try {
    const { ok, reply } = await ask(`/question?held=${question_id}&ticket=${ticket}`);
    if (!ok || sending || question === null || question.question_id !== question_id) return;
    if (reply.question && reply.question.question_id === question_id) return;
    show(reply);
    notice("Somebody else has the question that was here: it was open for more than ten minutes.");
  } catch { /* the server is away: the next time will tell */ }
}, HOLD_AGAIN);

// The form as the server has it: numbers by option, not by the place at which this labeler sees it.
const optionAt = (place) => question.options[place].choice;
const placeOf = (option) => question.options.findIndex(({ choice }) => choice === option);

function written() {
  const entries = Object.fromEntries([...new FormData(form)].filter(([name]) => ["choice", "confidence", ...TEXTS].includes(name)));
  const choice = /^\d+$/.test(entries.choice) ? optionAt(Number(entries.choice)) : entries.choice;
  const given = {};
  slots.forEach((slot, place) => {
    for (const input of slot.querySelectorAll("[data-field]")) {
      const numbers = given[input.dataset.field] ??= slots.map(() => null);
      if (input.checked) numbers[optionAt(place)] = Number(input.value);
    }
  });
  const flags = [...form.querySelectorAll("[name=flags]:checked")].map((box) => box.value);
  return { ...entries, choice, given, flags, confidence: entries.confidence ? Number(entries.confidence) : undefined,
    question_id: question.question_id, ticket: question.ticket, version: question.version,
    seconds: (performance.now() - since) / 1000 };
}

function fill({ choice, given = {}, flags = [], confidence, ...texts }) {
  const check = (name, value) => {
    const input = form.querySelector(`input[name="${name}"][value="${value}"]`);
    if (input) input.checked = true;
  };
  if (choice !== undefined) check("choice", typeof choice === "number" ? placeOf(choice) : choice);
  for (const [field, numbers] of Object.entries(given))
    numbers.forEach((number, option) => { if (number !== null) check(`${field}-${placeOf(option)}`, number); });
  if (confidence !== undefined) check("confidence", confidence);
  for (const flag of flags) check("flags", flag);
  for (const name of TEXTS) {
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
  kept.set(`answer of ${nameOf(answer)}`, answer);
  const reply = await deliver(answer);
  sending = false;
  byId("send").disabled = false;
  if (reply.progress) show(reply);
  else next();
}

// Send an answer until the server has it or refuses it.
async function deliver(answer) {
  for (let wait = 0.5; ; wait = Math.min(wait * 1.5, 5)) {
    let response;
    try {
      response = await ask("/answer", answer);
    } catch {
      response = { status: 0 };
    }
    if (response.status === 401) {
      notice("You are signed out. Your answer is kept here. Sign in again.");
      await rest(2);
      location.assign("/");
      return new Promise(() => {});  // the next page sends it
    }
    if (response.ok || (response.status >= 400 && response.status < 429)) {
      kept.remove(`answer of ${nameOf(answer)}`);
      if (response.ok || response.status === 409) kept.remove(`draft of ${nameOf(answer)}`);
      notice(response.ok ? "" : response.reply.error);
      return response.reply;
    }
    notice(response.status === 429 ? response.reply.error
      : "Not saved yet: the server does not answer. Your answer is kept here and sent again.");
    await rest(response.wait || wait);
  }
}

async function next(path = openQuestion.path() || "/question") {
  for (;;) {
    try {
      const { ok, reply, status, wait } = await ask(path);
      if (status === 401) return location.assign("/");
      if (ok) return show(reply);
      notice(reply.error);
      if (status === 400) return next("/question");
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
  if (question) notice("This is your last answer. Change it and answer again, or go back to the current question.");
  else next("/question");
}

function leave() {
  if (sending || question === null || question.version === 1) return;
  notice("");
  next();
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
  const radio = radios(group)[(number + 9) % 10];  // 0 is the tenth
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
  touched = true;
  if (question && !sending) kept.set(`draft of ${nameOf(question)}`, { ...written(), at: Date.now() });
  mark();
}

form.addEventListener("change", ({ target }) => {
  // Numbers take back "equally good" and "skip", and those take back the numbers.
  if (target.dataset.field) form.querySelectorAll(".others [name=choice]").forEach((radio) => { radio.checked = false; });
  if (target.name === "choice") form.querySelectorAll("[data-field]").forEach((radio) => { radio.checked = false; });
  keep();
});
form.addEventListener("input", keep);
form.addEventListener("focusin", ({ target }) => {
  mark();
  const shape = target.closest(".option, .row");
  if (shape && target.matches(":focus-visible")) shape.scrollIntoView({ block: "nearest" });  // the whole of it
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const answer = written();
  const group = missing();
  if (group && answer.flags.length) answer.choice = "skip";  // a broken question needs no answer
  else if (group) {
    notice(group.dataset.missing);
    if (groups.length > 1) enter(group);
    return;
  }
  send(answer);
});
byId("undo").addEventListener("click", undo);
byId("undo-done").addEventListener("click", undo);
byId("return").addEventListener("click", leave);

document.addEventListener("keydown", (event) => {
  if (inDialog() || event.altKey || event.metaKey || sending) return;
  if (event.key === "Enter" && question && (event.ctrlKey || !/^(TEXTAREA|BUTTON|SUMMARY|A)$/.test(document.activeElement.tagName))) {
    event.preventDefault();
    return form.requestSubmit();
  }
  if (event.key === "Escape") {
    if (typing()) byId("query").focus({ preventScroll: true });
    else leave();
    return;
  }
  if (event.key === "Backspace" && groups.length > 1 && question && !event.ctrlKey && !typing()) {
    event.preventDefault();
    return back();
  }
  const key = shortcutOf(event);
  const other = { KeyT: form.querySelector("[value=tie]"), KeyS: form.querySelector("[value=skip]") }[key];
  if (key === "KeyU") undo();
  else if (!question) return;
  else if (key.startsWith("Digit")) digit(Number(key.slice(5)));
  else if (other && other.checked) form.requestSubmit();
  else if (other) choose(other);
  else if (key === "KeyB") form.querySelector("[name=flags]").click();
  else if (key === "KeyN") { byId("words").open = true; byId("note").focus(); }
  else if (key === "KeyC") {
    const steps = [...form.querySelectorAll("input[name=confidence]")];
    steps[(steps.findIndex((step) => step.checked) + 1) % steps.length].checked = true;
    keep();
  } else return;
  event.preventDefault();
});

// First what an earlier page could not send, then the answer that the list of one's own answers asks to change.
async function begin() {
  for (const key of kept.keys(`answer of ${who}: `)) {
    sending = true;
    await deliver(kept.get(key));
    sending = false;
  }
  const change = new URLSearchParams(location.search).get("change");
  if (!change) return next();
  history.replaceState(null, "", "/");
  await next(`/answers/${encodeURIComponent(change)}`);
  if (question && question.version > 1)
    notice("This is your answer. Change it and answer again, or go back to the current question.");
}
begin();
