// How a job stands: a bar, a word, and the button that ends it.

import { button, el } from "./dom.js";

function stands({ state, position, step, steps }) {
  if (state === "waiting" && position) return `waiting, ${position} before it`;
  if (state === "running") return steps ? `step ${step} of ${steps}` : "preparing";
  return state;
}

/** Make the line of one job at a time; `begin()` gives what `run` of api.js wants. */
export function progress() {
  const bar = el("progress", { max: 1, value: 0 });
  const word = el("p", { class: "hint", role: "status" });
  const stop = button("Cancel", () => control?.abort(), { class: "plain" });
  const node = el("div", { class: "progress", hidden: true }, bar, word, stop);
  let control = null;

  function told(view, before = "") {
    node.hidden = false;
    bar.value = view.progress;
    word.textContent = before + stands(view);
  }

  function begin() {
    control = new AbortController();
    told({ state: "waiting", progress: 0 });
    return { told, signal: control.signal };
  }

  function end() {
    control = null;
    node.hidden = true;
  }

  return { node, begin, end, get busy() { return control !== null; } };
}
