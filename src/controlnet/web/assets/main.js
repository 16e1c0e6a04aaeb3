// Where the page begins: the token if one is needed, the catalog, then the views.

import { annotate } from "./annotate.js";
import { catalog as listed, enter, session } from "./api.js";
import { guarded, say } from "./banner.js";
import { compare } from "./compare.js";
import { el, field } from "./dom.js";
import { form } from "./form.js";
import { gallery } from "./gallery.js";
import { generate } from "./generate.js";
import { asDataURL } from "./pictures.js";
import { pose } from "./pose.js";
import { example, possible } from "./presets.js";
import { tabs } from "./tabs.js";

/** Ask for the token until the service lets this page in. */
async function admitted() {
  const { needed, admitted: already } = await session();
  if (!needed || already) return;
  const token = el("input", { type: "password", autocomplete: "current-password", required: true });
  const box = el("form", { class: "card stack gate" }, field("Token of this service", token), el("button", { class: "main", text: "Enter" }));
  document.getElementById("views").replaceChildren(box);
  token.focus();
  await new Promise((resolve) => {
    box.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await guarded(() => enter(token.value))) resolve();
    });
  });
  document.getElementById("banner").replaceChildren();
}

async function begin() {
  await admitted();
  const catalog = await listed();
  let open = () => {};
  let waiting = null; // the control that a pose is drawn for

  const settings = form(catalog, {
    pose: (unit) => {
      waiting = unit;
      open("poses");
    },
  });
  settings.catalog = catalog;

  async function control(image, annotate, wanted) {
    const there = waiting && settings.units.includes(waiting);
    const names = catalog.controlnets.map((net) => net.name);
    const controlnet = names.find((name) => wanted && (name.includes(wanted) || wanted.includes(name)));
    const unit = there ? waiting : settings.add();
    waiting = null;
    await unit.set({ controlnet, image, annotate, mode: "unbalanced" });
    open("generate");
    unit.node.scrollIntoView({ block: "center" });
  }

  const reuse = (body) => guarded(async () => (await settings.set(body), open("generate")));
  const begin = (blob) => guarded(async () => (open("generate"), await settings.begin(await asDataURL(blob))));

  const views = [
    ["generate", "Generate", generate(settings)],
    ["poses", "Pose", pose({ size: settings.size, use: (map) => control(map, null, "openpose") }).node],
    ["annotate", "Annotate", annotate(catalog, { use: (image, spec) => control(image, spec, spec.split("(")[0]) }).node],
    ["compare", "Compare", compare(settings).node],
    ["gallery", "Gallery", gallery({ reuse, begin }).node],
  ];
  if (possible(catalog) && catalog.bases[0].name === "shapes") await settings.set(await example(catalog));
  open = tabs(views, document.getElementById("tabs"), document.getElementById("views"));
  document.body.dataset.ready = "yes";
}

begin().catch(say);
