// The picture to begin from: how far it is left, and what of it is painted anew.

import { button, el, field, fold, slider } from "./dom.js";
import { mask } from "./mask.js";
import { well } from "./well.js";

/** Make the fold; `shaped(picture)` is the wish for a size of its shape. */
export function start({ shaped }) {
  let picture = null;
  const source = well({ label: "Picture to begin from", empty: "Choose, drop or paste a picture", changed: show });
  const strength = slider("Strength", { value: 0.6, min: 0.05, max: 1, step: 0.05 });
  const painted = mask({ over: () => picture, words: "What is white is painted anew, all else stays as it is." });
  const shape = button("Take its shape", () => shaped(picture));
  const drop = button("Empty", () => show(null));
  const region = el("div", { class: "field" }, el("span", { class: "label", text: "Mask" }), painted.node);
  const side = el(
    "div",
    { class: "stack tight" },
    strength.node,
    el("p", { class: "hint", text: "1 leaves it wholly, 0.3 stays near. What sticks out of the size is cut off." }),
    el("div", { class: "row tools" }, shape, drop),
  );
  const node = fold("Begin from a picture", el("div", { class: "wells" }, source.node, side), region);

  /** Take a picture, a data URI, or none; a mask of another picture goes. */
  function show(next) {
    picture = next;
    source.show(next);
    painted.clear();
    region.hidden = shape.disabled = drop.disabled = !next;
    if (next) node.open = true;
  }

  /** Its part of a job's body. */
  function read() {
    if (!picture) return {};
    const anew = painted.value ? { mask: painted.value } : {};
    return { image: picture, strength: Number(strength.input.value), fit: "crop", ...anew };
  }

  async function set(body) {
    show(body.image ?? null);
    node.open = Boolean(picture);
    strength.set(body.image ? (body.strength ?? 1) : 0.6);
    if (picture) await painted.set(body.mask);
  }

  show(null);
  return { node, show, read, set };
}
