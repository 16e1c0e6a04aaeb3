// A second pass: the picture enlarged, and painted over at its new size.

import { el, field, fold, fresh, number, numeric, select, slider } from "./dom.js";

const UPSCALERS = [["lanczos", "lanczos"], ["bicubic", "bicubic"], ["latent", "latent"]];

/** Make the fold; it is off until it is switched on. */
export function second(limits) {
  const on = el("input", { type: "checkbox", id: fresh("second") });
  const scale = slider("Scale", { value: 2, min: 1.25, max: 4, step: 0.25 });
  const strength = slider("Its strength", { value: 0.55, min: 0.05, max: 1, step: 0.05 });
  const steps = number({ value: null, min: 1, max: limits.steps, placeholder: "as the first" });
  const upscaler = select(UPSCALERS, "lanczos");
  const settings = el(
    "div",
    { class: "stack" },
    el("div", { class: "pair" }, scale.node, strength.node),
    el("div", { class: "pair" }, field("Its steps", steps), field("Enlarged by", upscaler)),
  );
  const heading = el("label", { for: on.id, text: "Paint it over at a larger size" });
  const words = "Width and height are those of the first; it does not go with a picture to begin from.";
  const node = fold(
    "Second pass",
    el("div", { class: "field check" }, heading, on, el("p", { class: "hint", text: words })),
    settings,
  );
  on.addEventListener("change", show);

  function show() {
    settings.hidden = !on.checked;
    if (on.checked) node.open = true;
  }

  /** Its part of a job's body. */
  function read() {
    if (!on.checked) return {};
    const [larger, strong] = [scale, strength].map((one) => Number(one.input.value));
    return { second: { scale: larger, strength: strong, steps: numeric(steps), upscaler: upscaler.value } };
  }

  function set({ second: told }) {
    on.checked = node.open = Boolean(told);
    scale.set(told?.scale ?? 2);
    strength.set(told?.strength ?? 0.55);
    steps.value = told?.steps ?? "";
    upscaler.value = told?.upscaler ?? "lanczos";
    show();
  }

  show();
  return { node, read, set };
}
