// The live wall: what the run in progress wrote last, zero-shot beside it.
"use strict";

let shown = "";
watchers.push((live) => {
  if (!live || shown === live.run + live.update + live.at) return;
  shown = live.run + live.update + live.at;
  byId("run").textContent = `${live.run}, after update ${live.update}, at ${live.at.slice(11, 19)} UTC`;
  byId("metrics").replaceChildren(...Object.entries(live.metrics).flatMap(([name, value]) =>
    [element("dt", name.replaceAll("_", " ")), element("dd", Number(value.toPrecision(4)).toString())]));
  byId("samples").replaceChildren(...live.samples.map((sample) => {
    const card = element("article", undefined, { class: "card" });
    card.append(element("p", sample.query, { class: "text query", dir: "auto" }));
    const pair = element("div", undefined, { class: "pair" });
    const score = sample.score === null ? "" : ` · score ${sample.score.toFixed(2)}`;
    for (const [title, text] of [["zero-shot", sample.zero_shot], [`now${score}`, sample.response]]) {
      const column = element("section");
      column.append(element("h2", title, { class: "small" }), element("p", text, { class: "text", dir: "auto" }));
      pair.append(column);
    }
    card.append(pair);
    return card;
  }));
});
