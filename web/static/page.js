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
  const answer = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(15000), ...options });
  const said = await answer.json().catch(() => ({ error: "The server said nothing that this page understands." }));
  return { status: answer.status, ok: answer.ok, said, wait: Number(answer.headers.get("retry-after")) || 0 };
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const typing = () => /^(TEXTAREA|SELECT)$/.test(document.activeElement.tagName)
  || (document.activeElement.tagName === "INPUT" && document.activeElement.type !== "radio");
const inDialog = () => document.querySelector("dialog[open]") !== null;

// The line: is it stopped, by whom, and what does the run in progress write?
const watchers = [];
async function look() {
  try {
    const { ok, said, status } = await ask("/line");
    if (status === 401) return location.assign("/");
    if (ok) { showPulls(said.pulls, said.more); watchers.forEach((watch) => watch(said.live)); offerRun(said.live); }
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
      const { ok, said } = await send(byId(`${name}-reason`).value);
      receipt.textContent = ok ? told(name, said) : said.error;
      button.disabled = ok;
      look();
    } catch {
      receipt.textContent = "NOT received: the server does not answer. Your words are still here: try again.";
      button.disabled = false;
    }
  });
}

function told(name, said) {
  if (name === "release") return "Released.";
  return said.number === null
    ? `Received and kept on the server's machine (${said.pull}). The store does not answer; the pull will be handed on. Tell people too.`
    : `Received, number ${said.number} (${said.pull}). The line stops: ${said.scope.replace(":", " ")}.`;
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
    if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey || typing() || inDialog()) return;
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
