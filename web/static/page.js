// What every page has: talking to the server, the state of the line, and the cord. Text is set as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const csrf = document.querySelector("meta[name=csrf]").content;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF": csrf },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(15000), ...options });
  const reply = await response.json().catch(() => ({ error: "The server sent nothing that this page understands." }));
  return { status: response.status, ok: response.ok, reply, wait: Number(response.headers.get("retry-after")) || 0 };
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// An empty text is written out, or nobody could point at it.
function setText(node, text) {
  node.textContent = text || "(empty)";
  node.classList.toggle("empty", !text);
}

const typing = () => /^(TEXTAREA|SELECT)$/.test(document.activeElement.tagName)
  || (document.activeElement.tagName === "INPUT" && !/^(radio|checkbox)$/.test(document.activeElement.type));
const inDialog = () => document.querySelector("dialog[open]") !== null;
const who = byId("who") ? byId("who").textContent : "";

// What this browser keeps for the labeler. A browser may refuse to keep anything: then the page works without.
const kept = {
  get(key) { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* nothing is kept */ } },
  remove(key) { try { localStorage.removeItem(key); } catch { /* nothing was kept */ } },
  keys(beginning) { try { return Object.keys(localStorage).filter((key) => key.startsWith(beginning)); } catch { return []; } },
};
const DRAFT_DAYS = 30;
if (who) {
  for (const key of kept.keys("draft of ")) {
    const draft = kept.get(key);
    const old = !draft || !(Date.now() - draft.at < DRAFT_DAYS * 86400e3);
    if (old || !key.startsWith(`draft of ${who}: `)) kept.remove(key);
  }
}

// Keys are places on the keyboard, so that they work with every layout; the hints show what the layout has there. A
// browser that does not tell the layout lets a Latin letter count as itself.
let layout = null;
const shortcuts = byId("shortcuts");
if (shortcuts) {
  const switched = `shortcuts of ${who}`;
  const show = () => document.body.classList.toggle("without-shortcuts", !shortcuts.checked);
  shortcuts.checked = kept.get(switched) !== "off";
  shortcuts.addEventListener("change", () => { kept.set(switched, shortcuts.checked ? "on" : "off"); show(); });
  show();
}
if (navigator.keyboard && navigator.keyboard.getLayoutMap) {
  navigator.keyboard.getLayoutMap().then((map) => {
    if (map.size === 0) return;
    layout = map;
    for (const hint of document.querySelectorAll("kbd[data-code]"))
      if (map.has(hint.dataset.code)) hint.textContent = map.get(hint.dataset.code).toUpperCase();
  }, () => 0);
}

// Return the key of an event as "KeyT" or "Digit1"; empty if one-key shortcuts are off or do not apply.
function shortcutOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing() || inDialog()) return "";
  if (shortcuts && !shortcuts.checked) return "";
  const number = event.code.match(/^(?:Digit|Numpad)(\d)$/) || (!event.code && event.key.match(/^(\d)$/));
  if (number) return `Digit${number[1]}`;
  if ((layout === null || !event.code) && /^[a-z]$/i.test(event.key)) return `Key${event.key.toUpperCase()}`;
  return event.code;
}

// Nothing with focus may be under the bar: the bar's height is the margin of every scrolling.
const bar = document.querySelector(".bar");
if (bar) {
  const measure = () => document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  new ResizeObserver(measure).observe(bar);
  measure();
}

// The line: is it stopped, by whom, and what does the run in progress write?
const watchers = [];
async function look() {
  try {
    const { ok, reply, status } = await ask("/line");
    if (status === 401) return location.assign("/");
    if (ok) { showPulls(reply.pulls, reply.more); watchers.forEach((watch) => watch(reply.live)); offerRun(reply.live); }
  } catch { /* the server is away: the next look will tell */ }
}

let shownPulls = "";
function showPulls(pulls, more = 0) {
  if (JSON.stringify([pulls, more]) === shownPulls) return;
  shownPulls = JSON.stringify([pulls, more]);
  const box = byId("stopped");
  box.replaceChildren(...pulls.map((pull) => {
    const line = element("p");
    const reason = element("span", pull.reason, { dir: "auto", class: "isolated" });
    line.append(element("strong", `Stopped: ${pull.scope.replace(":", " ")}. `), reason,
      element("span", ` (${pull.by}, ${pull.at.slice(11, 16)} UTC)`, { class: "hint" }));
    if (byId("release")) {
      const button = element("button", "Release ...", { type: "button", class: "quiet" });
      button.addEventListener("click", () => openRelease(pull));
      line.append(" ", button);
    }
    return line;
  }));
  if (more) box.append(element("p", `${more} earlier pulls stop the line too.`, { class: "hint" }));
  box.hidden = pulls.length === 0;
}

function offerRun(live) {
  const scope = byId("pull-scope");
  if (!scope || !live || inDialog()) return;
  const value = `run:${live.run}`;
  const offered = [...scope.options].find((option) => option.value.startsWith("run:"));
  if (offered && offered.value === value) return;
  if (offered) offered.remove();
  scope.append(element("option", `the run in progress (${live.run})`, { value }));
}

// A dialog that sends one reason and shows the receipt.
function openDialog(dialog) {
  dialog.querySelector("textarea").value = "";
  dialog.querySelector(".receipt").textContent = "";
  dialog.querySelector("[type=submit]").disabled = false;
  dialog.showModal();
  dialog.querySelector("textarea").focus();
}

function onReason(name, send) {
  const form = byId(`${name}-form`);
  const receipt = byId(`${name}-receipt`);
  byId(`${name}-cancel`).addEventListener("click", () => byId(name).close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    receipt.textContent = "Sending ...";
    try {
      const { ok, reply } = await send(byId(`${name}-reason`).value);
      receipt.textContent = ok ? receiptOf(name, reply) : reply.error;
      button.disabled = ok;
      look();
    } catch {
      receipt.textContent = "NOT received: the server does not answer. Your words are still here: try again.";
      button.disabled = false;
    }
  });
}

function receiptOf(name, reply) {
  if (name === "release") return "Released.";
  return reply.number === null
    ? `Received and kept on the server's machine (${reply.pull}). The store does not answer; the pull will be handed on. Tell people too.`
    : `Received, number ${reply.number} (${reply.pull}). The line stops: ${reply.scope.replace(":", " ")}.`;
}

let releasing = null;
function openRelease(pull) {
  releasing = pull.pull;
  byId("release-what").textContent = `${pull.pull}: ${pull.reason}`;
  openDialog(byId("release"));
}

if (byId("pull")) {
  byId("cord").addEventListener("click", () => openDialog(byId("pull")));
  onReason("pull", (reason) => ask("/pull", { reason, scope: byId("pull-scope").value }));
  document.addEventListener("keydown", (event) => {
    if (shortcutOf(event) !== "KeyP") return;
    event.preventDefault();
    openDialog(byId("pull"));
  });
}
if (byId("release")) onReason("release", (reason) => ask("/release", { pull: releasing, reason }));
if (byId("stopped")) {
  byId("sign-out").addEventListener("click", async () => { await ask("/sign-out", {}).catch(() => 0); location.assign("/"); });
  addEventListener("DOMContentLoaded", look);
  setInterval(look, 3000);
}
