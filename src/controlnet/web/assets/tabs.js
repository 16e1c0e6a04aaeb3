// Tabs as a screen reader knows them: arrow keys go along, the address keeps which one is open.

import { el } from "./dom.js";

/** Make tabs of [name, title, node]; returns `open(name)`. */
export function tabs(list, strip, place) {
  const made = list.map(([name, title, node]) => {
    const tab = el("button", { type: "button", role: "tab", id: `tab-${name}`, text: title, "aria-controls": name });
    const panel = el("section", { role: "tabpanel", id: name, "aria-labelledby": `tab-${name}`, hidden: true }, node);
    tab.addEventListener("click", () => open(name));
    return { name, tab, panel };
  });

  function open(name) {
    const chosen = made.find((one) => one.name === name) ?? made[0];
    for (const one of made) {
      const mine = one === chosen;
      one.panel.hidden = !mine;
      one.tab.setAttribute("aria-selected", String(mine));
      one.tab.tabIndex = mine ? 0 : -1;
    }
    history.replaceState(null, "", `#${chosen.name}`);
  }

  strip.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const here = made.findIndex((one) => one.tab === document.activeElement);
    if (!way || here < 0) return;
    const next = made[(here + way + made.length) % made.length];
    open(next.name);
    next.tab.focus();
  });
  strip.replaceChildren(...made.map((one) => one.tab));
  place.replaceChildren(...made.map((one) => one.panel));
  open(location.hash.slice(1));
  return open;
}
