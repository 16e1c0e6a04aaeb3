// A picture and the control map that a condition makes of it.

import { annotated } from "./api.js";
import { annotator } from "./annotator.js";
import { clear, guarded } from "./banner.js";
import { button, el, field, fold } from "./dom.js";
import { asDataURL, download } from "./pictures.js";
import { well } from "./well.js";

export function annotate(catalog, { use }) {
  let picture = null;
  let map = null;
  let wish = 0;
  const source = well({ label: "Picture to annotate", empty: "Choose, drop or paste a picture", changed: given });
  const maker = annotator(catalog.conditions, { ready: null, changed: make });
  const shown = el("img", { alt: "Its control map", hidden: true });
  const word = el("span", { class: "well-words", text: "The map appears here" });
  const save = button("Download", () => download(map, `${maker.choice.value}.png`), { disabled: true });
  const send = button("Use it in Generate", () => use(picture, maker.spec()), { class: "main", disabled: true });
  const missing = catalog.conditions.filter((one) => !one.available).map((one) => one.name);

  function given(next) {
    picture = next;
    make();
  }

  async function make() {
    if (!picture) return;
    clear();
    const mine = (wish += 1);
    word.textContent = "working …";
    await guarded(async () => {
      const made = await annotated(maker.spec(), picture);
      if (mine !== wish) return;
      map = await asDataURL(made);
      shown.src = map;
      shown.hidden = save.disabled = send.disabled = false;
      word.hidden = true;
    });
    word.textContent = "The map appears here";
    shown.hidden = !map;
    save.disabled = send.disabled = !map;
  }

  async function example() {
    const answer = await fetch("/assets/example.png");
    await source.take(await answer.blob());
  }

  maker.set("canny");
  const left = el(
    "div",
    { class: "left stack" },
    el("p", { class: "lead", text: "A condition turns a picture into the map that a ControlNet was trained on." }),
    el("div", { class: "card stack" }, field("Condition", maker.choice), maker.about, maker.settings),
    missing.length ? fold("Conditions without their weights here", el("p", { class: "hint", text: `${missing.join(", ")}.` })) : null,
    el("div", { class: "row" }, button("Take the example", () => guarded(example)), save),
    send,
  );
  maker.settings.open = true;
  const right = el("div", { class: "right first" }, el("div", { class: "wells" }, source.node, el("div", { class: "well map" }, shown, word)));
  return { node: el("div", { class: "columns" }, left, right) };
}
