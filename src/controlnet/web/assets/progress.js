// How a job stands: a bar, a word, and the button that ends it.

import { button, el } from "./dom.js";

/** Make the line of one job at a time; `begin()` gives what `run` of api.js wants. */
export function progress() {
  const bar = el("progress", { max: 1, value: 0 });
  const word = el("p", { class: "hint", role: "status" });
  const stop = button("Cancel", () => control?.abort(), { class: "plain" });
  const node = el("div", { class: "progress", hidden: true }, bar, word, stop);
  let control = null;

  function told(view) {
    node.hidden = false;
    bar.value = view.progress;
    if (view.state === "waiting") word.textContent = view.position ? `waiting, ${view.position} before it` : "waiting";
    else if (view.state === "running") word.textContent = view.steps ? `step ${view.step} of ${view.steps}` : "preparing";
    else word.textContent = view.state;
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
