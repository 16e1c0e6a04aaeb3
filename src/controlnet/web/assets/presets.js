// Settings under a name: one that comes with the page, and those that this browser keeps.

import { guarded } from "./banner.js";
import { button, el, fill, fold, field } from "./dom.js";
import { load, canvas } from "./pictures.js";
import { all, put, remove } from "./store.js";

const EXAMPLE = "Example";

/** The example: a scene of the embedded world, whose edges are kept while words change its colours. */
export async function example(catalog) {
  const body = {
    base: "shapes",
    prompt: "a blue cylinder and a green cone on a sand floor under a clear sky",
    steps: 20,
    guidance_scale: 3,
    seed: 7,
    controls: [],
  };
  const picture = await load("/assets/example.png");
  const made = canvas(picture.width, picture.height);
  made.getContext("2d").drawImage(picture, 0, 0);
  const control = { controlnet: "canny", annotate: "canny", mode: "unbalanced", image: made.toDataURL("image/png") };
  return { ...body, width: picture.width, height: picture.height, controls: [control] };
}

/** Whether the service has what the example asks for. */
export const possible = (catalog) =>
  catalog.bases.some((base) => base.name === "shapes") && catalog.controlnets.some((net) => net.name === "canny");

/** The line of presets over a form that knows its catalog. */
export function presets(form) {
  const choice = el("select", { id: "presets" });
  const name = el("input", { type: "text", maxLength: 60, placeholder: "a name" });
  let kept = [];

  async function list(chosen) {
    kept = await all("presets").catch(() => []);
    const names = kept.map((one) => [one.name, one.name]);
    const first = possible(form.catalog) ? [[EXAMPLE, "Example of the embedded world"]] : [];
    fill(choice, [["", "choose …"], ...first, ...names], chosen ?? "");
  }

  choice.addEventListener("change", () =>
    guarded(async () => {
      const found = kept.find((one) => one.name === choice.value);
      if (found) await form.set(found.body);
      else if (choice.value === EXAMPLE) await form.set(await example(form.catalog));
    }),
  );

  const save = button("Save these settings", () =>
    guarded(async () => {
      const called = name.value.trim();
      if (!called || called === EXAMPLE) throw new Error("the preset has no name of its own; give it one first");
      await put("presets", { name: called, body: form.read() });
      name.value = "";
      await list(called);
    }),
  );
  const drop = button("Delete the chosen one", () =>
    guarded(async () => {
      if (!kept.some((one) => one.name === choice.value)) throw new Error("none of your presets is chosen above");
      await remove("presets", choice.value);
      await list();
    }),
  );

  list();
  return fold("Presets", field("Use", choice), field("Save as", name), el("div", { class: "row" }, save, drop));
}
