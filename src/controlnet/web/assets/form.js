// The settings of pictures: a form that reads into the body of a job, and is filled from one.

import { guarded } from "./banner.js";
import { button, el, field, fill, fold, number, numeric, select, slider } from "./dom.js";
import { load } from "./pictures.js";
import { second } from "./second.js";
import { start } from "./start.js";
import { unit } from "./unit.js";

/** Make the form over the catalog; `pose(unit)` is the wish to draw a pose for a control. */
export function form(catalog, { pose }) {
  const units = [];
  const first = catalog.bases[0];
  const side = first?.size ?? (first?.name === "shapes" ? 128 : 512); // a size is known once a base was loaded

  const prompt = el("textarea", { rows: 3, placeholder: "What shall be seen" });
  const negative = el("textarea", { rows: 2, placeholder: "What shall not" });
  const base = select(catalog.bases.map((one) => [one.name, one.name]));
  const sampler = select([]);
  fill(sampler, samplers(catalog.samplers), "dpm++2m");
  const steps = slider("Steps", { value: 20, min: 1, max: Math.min(60, catalog.limits.steps), step: 1 });
  const guidance = slider("Guidance", { value: 3, min: 0, max: 15, step: 0.5 });
  const seed = number({ value: null, min: 0, placeholder: "drawn anew" });
  const count = number({ value: 1, min: 1, max: catalog.limits.pictures });
  const width = number({ value: side, min: 8, step: 8 });
  const height = number({ value: side, min: 8, step: 8 });
  const size = () => ({ width: numeric(width) ?? side, height: numeric(height) ?? side });

  const begun = start({ shaped: (source) => guarded(() => shaped(source)) });
  const again = second(catalog.limits);

  const list = el("div", { class: "stack" });
  const more = button("Add a control", () => add().suggest(), { class: "wide", id: "add-control" });

  function add() {
    const made = unit(catalog, { size, removed: drop, pose });
    units.push(made);
    list.append(made.node);
    renumber();
    return made;
  }

  function drop(made) {
    units.splice(units.indexOf(made), 1);
    made.node.remove();
    renumber();
    more.focus();
  }

  function renumber() {
    units.forEach((one, index) => one.name(`Control ${index + 1}`));
    more.disabled = units.length >= catalog.limits.controls || catalog.controlnets.length === 0;
  }

  // A size of the picture's shape and of the area that is set, which the base can make.
  async function shaped(source) {
    const image = await load(source);
    const grid = catalog.bases.find((one) => one.name === base.value)?.stride ?? 64;
    const factor = Math.sqrt((size().width * size().height) / (image.width * image.height));
    const near = (side) => [Math.floor, Math.ceil].map((way) => Math.max(grid, way((side * factor) / grid) * grid));
    const sizes = near(image.width).flatMap((wide) => near(image.height).map((tall) => [wide, tall]));
    const unlike = ([wide, tall]) => Math.abs(Math.log((wide * image.height) / (tall * image.width)));
    [width.value, height.value] = sizes.sort((one, other) => unlike(one) - unlike(other))[0];
  }

  /** Begin from a picture that was made here, at its own size. */
  async function begin(source) {
    const image = await load(source);
    [width.value, height.value] = [image.width, image.height];
    again.set({});
    begun.show(source);
    begun.node.scrollIntoView({ block: "center" });
  }

  /** The body of a job. Raises where something is missing. */
  function read() {
    return {
      prompt: prompt.value,
      negative_prompt: negative.value,
      base: base.value,
      steps: Number(steps.input.value),
      guidance_scale: Number(guidance.input.value),
      sampler: sampler.value,
      seed: numeric(seed),
      count: numeric(count) ?? 1,
      width: numeric(width),
      height: numeric(height),
      controls: units.map((one) => one.read()).filter((one) => one !== null),
      ...begun.read(),
      ...again.read(),
    };
  }

  async function set(body) {
    prompt.value = body.prompt ?? "";
    negative.value = body.negative_prompt ?? "";
    if (catalog.bases.some((one) => one.name === body.base)) base.value = body.base;
    steps.set(body.steps ?? 20);
    guidance.set(body.guidance_scale ?? 7.5);
    sampler.value = body.sampler ?? "dpm++2m";
    seed.value = body.seed ?? "";
    count.value = body.count ?? 1;
    width.value = body.width ?? "";
    height.value = body.height ?? "";
    while (units.length) drop(units[0]);
    for (const control of body.controls ?? []) await add().set(control);
    await begun.set(body);
    again.set(body);
  }

  const node = el(
    "div",
    { class: "stack" },
    field("Prompt", prompt),
    list,
    more,
    el(
      "div",
      { class: "card stack" },
      el("div", { class: "pair" }, steps.node, guidance.node),
      el("div", { class: "pair" }, field("Seed", seed), field("Pictures", count)),
      el("div", { class: "pair" }, field("Width", width), field("Height", height)),
      begun.node,
      again.node,
      fold("More", field("Negative prompt", negative), el("div", { class: "pair" }, field("Base", base), field("Sampler", sampler))),
    ),
  );
  return { node, read, set, begin, add, size, units };
}

function samplers(all) {
  const plain = (one) => !all.some((other) => other !== one && one.name.startsWith(`${other.name} `));
  const pairs = (some) => some.map((one) => [one.name, one.label]);
  return [
    { group: "Samplers", options: pairs(all.filter(plain)) },
    { group: "With another schedule", options: pairs(all.filter((one) => !plain(one))) },
  ];
}
