// One control: its ControlNet, its picture (a file, a drawing, a pose), the map it becomes, and how it takes part.

import { annotated } from "./api.js";
import { annotator } from "./annotator.js";
import { guarded } from "./banner.js";
import { button, el, field, fold, fresh, number, numeric, select, slider } from "./dom.js";
import { mask } from "./mask.js";
import { pad } from "./pad.js";
import { asDataURL, load } from "./pictures.js";
import { well } from "./well.js";

/** Make a control over the catalog. `size()` is that of the picture to be made; `removed`, `pose` are wishes. */
export function unit(catalog, { size, removed, pose }) {
  let picture = null;
  let wish = 0;

  const names = catalog.controlnets.map((net) => [net.name, net.name]);
  const net = select(names, names[0]?.[0], () => suggest());
  const enabled = el("input", { type: "checkbox", id: fresh("on"), checked: true });
  const source = well({ label: "Picture of this control", empty: "Choose, drop or paste a picture", changed: given });
  const map = el("img", { alt: "The map that the network sees" });
  const told = el("span", { class: "well-words", text: "Its map appears here" });
  const shown = el("div", { class: "well map" }, map, told);
  const drawn = el("div", { hidden: true });
  const maker = annotator(catalog.conditions, { ready: "the picture is a map", changed: preview });
  const weight = slider("Weight", { value: 1, min: 0, max: 2, step: 0.05 });
  const start = number({ value: 0, min: 0, max: 1, step: 0.05 });
  const end = number({ value: 1, min: 0, max: 1, step: 0.05 });
  const mode = select(Object.entries(catalog.modes), "balanced");
  const fits = [["crop", "crop to it"], ["fill", "fill its border"], ["stretch", "stretch"]];
  const fit = select(fits, "crop");
  const schedule = el("input", { type: "text", placeholder: "0:1|0.6:0.2" });
  const painted = mask({ size, over: () => picture, words: "The control acts where it is white." });
  map.hidden = true;

  function suggest() {
    const fitting = catalog.conditions.filter((one) => one.available && net.value.includes(one.name));
    const own = catalog.conditions.find((one) => one.available && one.name === `shapes_${net.value}`);
    maker.set((fitting.sort((a, b) => b.name.length - a.name.length)[0] ?? own)?.name ?? null);
    preview();
  }

  function given(next) {
    drawn.replaceChildren();
    drawn.hidden = true;
    source.node.hidden = false;
    picture = next;
    preview();
  }

  async function preview() {
    const mine = (wish += 1);
    const spec = maker.spec();
    let seen = spec ? null : picture;
    told.textContent = picture ? "working …" : "Its map appears here";
    // Settings are turned one after another: only the last of a moment is worth a job.
    if (picture && spec) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      if (mine !== wish) return;
      try {
        seen = await asDataURL(await annotated(spec, picture));
      } catch (error) {
        if (mine === wish) told.textContent = error.message;
      }
    }
    if (mine !== wish) return;
    map.hidden = !seen;
    told.hidden = Boolean(seen);
    if (seen) map.src = seen;
  }

  async function draw(begun) {
    const { width, height } = size();
    const under = begun && picture ? await load(picture) : undefined;
    maker.set(null);
    if (!begun) picture = null;
    const changed = (next) => {
      picture = next;
      preview();
    };
    drawn.replaceChildren(pad({ width, height, start: under, size: Math.max(2, Math.round(width / 64)), changed }));
    drawn.hidden = false;
    source.node.hidden = true;
    preview();
  }

  function show(next) {
    given(next);
    source.show(next);
  }

  const buttons = el(
    "div",
    { class: "row tools" },
    button("Draw", () => guarded(() => draw(false)), { "data-act": "draw" }),
    button("Draw on it", () => guarded(() => draw(true))),
    button("Pose", () => pose(api)),
    button("Empty", () => show(null)),
  );
  const heading = el("label", { for: enabled.id, class: "unit-name" });
  const advanced = fold(
    "More",
    el("div", { class: "pair" }, field("Start", start), field("End", end)),
    field("Weight over time", schedule, "share of the steps : weight, instead of the slider"),
    field("Fit to the size", fit),
    el("div", { class: "field" }, el("span", { class: "label", text: "Mask" }), painted.node),
  );
  const node = el(
    "section",
    { class: "card unit", "aria-label": "Control" },
    el("div", { class: "unit-head" }, enabled, heading, button("Remove", () => removed(api), { class: "plain" })),
    el("div", { class: "pair" }, field("ControlNet", net), field("Map made by", maker.choice)),
    el("div", { class: "wells" }, el("div", {}, source.node, drawn), shown),
    buttons,
    weight.node,
    field("Mode", mode),
    maker.settings,
    advanced,
  );

  /** The control as the API takes it; null where it is off. Raises where its picture is missing. */
  function told_() {
    if (!enabled.checked) return null;
    if (!picture) throw new Error(`${heading.textContent} has no picture; give it one, switch it off or remove it`);
    return {
      controlnet: net.value,
      image: picture,
      annotate: maker.spec(),
      weight: schedule.value.trim() || Number(weight.input.value),
      start: numeric(start) ?? 0,
      end: numeric(end) ?? 1,
      mode: mode.value,
      fit: fit.value,
      ...(painted.value ? { mask: painted.value } : {}),
    };
  }

  async function set(control) {
    if (control.controlnet) net.value = control.controlnet;
    if (net.selectedIndex < 0) net.selectedIndex = 0;
    maker.set(control.annotate ?? null);
    show(control.image ?? null);
    const varies = typeof control.weight === "string";
    schedule.value = varies ? control.weight : "";
    weight.set(varies ? 1 : (control.weight ?? 1));
    start.value = control.start ?? 0;
    end.value = control.end ?? 1;
    mode.value = control.mode ?? "balanced";
    fit.value = control.fit ?? "crop";
    await painted.set(control.mask);
  }

  const name = (text) => (heading.textContent = text);
  const api = { node, read: told_, set, suggest, name, draw: () => draw(false), get net() { return net.value; } };
  return api;
}
