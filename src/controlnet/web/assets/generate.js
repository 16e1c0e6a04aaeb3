// The first view: the form at one side, what it makes at the other.

import { blob, run } from "./api.js";
import { clear, guarded } from "./banner.js";
import { button, el } from "./dom.js";
import { asDataURL, download } from "./pictures.js";
import { presets } from "./presets.js";
import { progress } from "./progress.js";
import { keep } from "./store.js";

export function generate(form) {
  const line = progress();
  const go = button("Generate", start, { class: "main", id: "go", title: "Ctrl+Enter" });
  const stage = el("div", { class: "stage", id: "stage" }, el("p", { class: "hint", text: "Pictures appear here." }));
  const maps = el("div", { class: "maps" });

  async function start() {
    if (line.busy) return;
    clear();
    await guarded(async () => {
      const body = form.read();
      go.disabled = true;
      stage.setAttribute("aria-busy", "true");
      // On a narrow screen the stage is below the form: what happens there shall be seen.
      if (matchMedia("(max-width: 859px)").matches) right.scrollIntoView({ behavior: "smooth", block: "start" });
      const seen = el("img", { class: "preview", alt: "The picture in work", hidden: true });
      try {
        const followed = { ...line.begin(), preview: (image) => preview(seen, image) };
        await finish(await run({ ...body, preview: true }, followed), body);
      } finally {
        seen.remove();
        line.end();
        go.disabled = false;
        stage.removeAttribute("aria-busy");
      }
    });
  }

  function preview(seen, image) {
    seen.hidden = false;
    seen.src = image;
    if (!seen.isConnected) stage.prepend(seen);
  }

  async function finish(view, body) {
    if (view.state === "cancelled") return;
    const made = await Promise.all(view.pictures.map(async (one) => ({ ...one, data: await blob(one.url) })));
    const seen = await Promise.all(view.maps.map(blob));
    stage.classList.toggle("many", made.length > 1);
    stage.replaceChildren(...made.map((one) => picture(one, body)));
    const shown = seen.map((data, index) => el("img", { src: URL.createObjectURL(data), alt: `Map of control ${index + 1}` }));
    maps.replaceChildren(...(shown.length ? [el("p", { class: "label", text: "Maps that steered it" }), ...shown] : []));
    for (const one of made) await keep(one.data, body, one.seed);
  }

  function picture(one, body) {
    const again = button("Keep seed", () => form.set({ ...body, seed: one.seed }));
    const begin = button("Start from it", () => guarded(async () => form.begin(await asDataURL(one.data))));
    const save = button("Download", () => download(one.data, `${one.seed}.png`));
    return el(
      "figure",
      {},
      el("img", { src: URL.createObjectURL(one.data), alt: body.prompt || "A picture without words" }),
      el("figcaption", { class: "tools" }, el("span", { text: `seed ${one.seed}` }), again, begin, save),
    );
  }

  addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || node.offsetParent === null) return;
    event.preventDefault();
    start();
  });

  const left = el("div", { class: "left" }, presets(form), form.node, el("div", { class: "bar" }, go));
  const right = el("div", { class: "right" }, line.node, stage, maps);
  const node = el("div", { class: "columns" }, left, right);
  return node;
}
