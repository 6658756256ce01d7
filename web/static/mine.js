// The labeler's own answers, the last one first, each with a way to change it.
"use strict";

const time = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

function summaryOf({ answer, order }) {
  const { choice, given = {}, flags = [] } = answer;
  const parts = [];
  if (choice === "skip") parts.push("Skipped");
  else if (choice === "tie") parts.push("All equally good");
  else if (choice !== undefined) parts.push(`Text ${order.indexOf(choice) + 1}`);
  for (const [name, numbers] of Object.entries(given))
    parts.push(`${name}: ${order.map((option) => numbers[option]).join(", ")}`);
  if (flags.length) parts.push("the question is broken");
  if (answer.note || answer.critique || answer.correction) parts.push("with a note");
  return parts.join(" · ");
}

function lineOf(entry) {
  const line = element("li", undefined, { class: "card" });
  const query = element("p", undefined, { class: "text", dir: "auto" });
  setText(query, entry.query);
  const facts = element("p", undefined, { class: "facts" });
  const change = element("a", "Change", { href: `/?change=${encodeURIComponent(entry.question_id)}` });
  change.append(element("span", ` the answer to ${entry.query.slice(0, 60)}`, { class: "unseen" }));
  const corrected = entry.versions > 1 ? ", changed" : "";
  facts.append(element("strong", summaryOf(entry)), element("span", time.format(new Date(entry.at)) + corrected, { class: "hint" }), change);
  line.append(query, facts);
  return line;
}

async function more() {
  const list = byId("answers");
  try {
    const { ok, reply, status } = await ask(`/answers?begin=${list.children.length}`);
    if (status === 401) return location.assign("/");
    if (!ok) { byId("count").textContent = reply.error; return; }
    list.append(...reply.answers.map(lineOf));
    byId("count").textContent = reply.all === 0 ? "You have not answered anything yet."
      : `${list.children.length.toLocaleString("en")} of ${reply.all.toLocaleString("en")}, the last one first`;
    byId("more").hidden = list.children.length >= reply.all;
  } catch {
    byId("count").textContent = "The server does not answer. Try again in a moment.";
    byId("more").hidden = false;
  }
}

byId("more").addEventListener("click", more);
more();
