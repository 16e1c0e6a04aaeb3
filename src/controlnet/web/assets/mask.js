// A mask painted over a picture: white is where it counts.

import { guarded } from "./banner.js";
import { button, el } from "./dom.js";
import { pad } from "./pad.js";
import { load } from "./pictures.js";

const LARGEST = 1024; // of a side: an edge painted by hand is no finer

/** Make the place of a mask. `over()`: the picture beneath, a data URI or null, whose shape the mask takes, for
 *  both are fitted alike; `size()`: of the mask without a picture; `words`: what white means. */
export function mask({ size, over, words }) {
  let value = null;
  const tools = (text, act) => el("div", { class: "row tools" }, button(text, act));
  const node = el("div", { class: "stack tight" });

  async function paint(kept) {
    const [under, start] = await Promise.all([over(), kept].map((one) => (one ? load(one) : undefined)));
    const whole = under ?? size();
    const scale = Math.min(1, LARGEST / Math.max(whole.width, whole.height));
    const [width, height] = [whole.width, whole.height].map((side) => Math.round(side * scale));
    const brush = Math.round(Math.min(width, height) / 6);
    const painted = pad({ width, height, under, start, size: brush, changed: (next) => (value = next) });
    node.replaceChildren(el("p", { class: "hint", text: words }), painted, tools("No mask", clear));
  }

  function clear() {
    value = null;
    node.replaceChildren(tools("Paint a mask", () => guarded(() => paint(null))));
  }

  async function set(next) {
    clear();
    value = next ?? null;
    if (value) await paint(value);
  }

  clear();
  return { node, set, clear, get value() { return value; } };
}
