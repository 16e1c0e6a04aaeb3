// What went wrong, in the one line that the service tells, until it is put away or work goes on.

import { button, el } from "./dom.js";

const place = () => document.getElementById("banner");

export function say(error) {
  const text = error instanceof Error ? error.message : String(error);
  const close = button("×", clear, { class: "plain", "aria-label": "Put this message away" });
  place().replaceChildren(el("div", { class: "banner", role: "alert" }, el("p", { text }), close));
}

export function clear() {
  place().replaceChildren();
}

/** Run what may fail, and tell of it here. */
export async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    say(error);
    return undefined;
  }
}

addEventListener("unhandledrejection", (event) => say(event.reason));
