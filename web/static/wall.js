// The live wall: what the run in progress wrote last, next to zero-shot.
"use strict";

function textOf(text, kind) {
  const node = element("p", undefined, { class: kind, dir: "auto" });
  setText(node, text);
  return node;
}

let shown = "";
watchers.push((live) => {
  if (!live || shown === live.run + live.update + live.at) return;
  shown = live.run + live.update + live.at;
  byId("run").textContent = `${live.run}, after update ${live.update}, at ${live.at.slice(11, 19)} UTC`;
  byId("metrics").replaceChildren(...Object.entries(live.metrics).flatMap(([name, value]) =>
    [element("dt", name.replaceAll("_", " ")), element("dd", Number(value.toPrecision(4)).toString())]));
  byId("samples").replaceChildren(...live.samples.map((sample) => {
    const card = element("article", undefined, { class: "card" });
    card.append(textOf(sample.query, "text query"));
    const pair = element("div", undefined, { class: "pair" });
    const score = sample.score === null ? "" : ` · score ${sample.score.toFixed(2)}`;
    for (const [title, text] of [["zero-shot", sample.zero_shot], [`now${score}`, sample.response]]) {
      const column = element("section");
      column.append(element("h2", title, { class: "small" }), textOf(text, "text"));
      pair.append(column);
    }
    card.append(pair);
    return card;
  }));
});
