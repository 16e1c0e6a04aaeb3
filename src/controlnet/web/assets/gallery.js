// What was made in this browser, with the settings and the seed that make it again.

import { guarded } from "./banner.js";
import { button, el } from "./dom.js";
import { download } from "./pictures.js";
import { all, empty, remove } from "./store.js";

/** Make the gallery; `reuse(body)` takes the settings of a picture, `begin(blob)` the picture itself. */
export function gallery({ reuse, begin }) {
  const grid = el("ul", { class: "grid" });
  const none = el("p", { class: "hint", text: "Nothing yet: every picture that is generated is kept here, in this browser alone." });
  const box = el("dialog", { class: "box" });
  const wipe = button("Delete all", sure, { class: "plain" });
  let addresses = [];

  async function list() {
    const kept = (await all("pictures").catch(() => [])).reverse();
    addresses.forEach((address) => URL.revokeObjectURL(address));
    addresses = kept.map((one) => URL.createObjectURL(one.blob));
    none.hidden = kept.length > 0;
    wipe.hidden = kept.length === 0;
    grid.replaceChildren(...kept.map((one, index) => item(one, addresses[index])));
  }

  function item(one, address) {
    const image = el("img", { src: address, alt: one.body.prompt });
    const thumb = el("img", { src: address, alt: "", loading: "lazy" });
    const label = `${one.body.prompt}, seed ${one.seed}`;
    return el("li", {}, el("button", { type: "button", class: "thumb", "aria-label": label, onclick: open }, thumb));

    function open() {
      const again = button("Use these settings", () => (box.close(), reuse(one.body)), { class: "main" });
      const start = button("Start from it", () => (box.close(), begin(one.blob)));
      const save = button("Download", () => download(one.blob, `${one.seed}.png`));
      const drop = button("Delete", () => guarded(async () => (await remove("pictures", one.id), box.close(), list())));
      const close = button("×", () => box.close(), { class: "plain close", "aria-label": "Close" });
      box.replaceChildren(close, image, el("p", { class: "lead", text: one.body.prompt }), facts(one), el("div", { class: "row tools" }, again, start, save, drop));
      box.showModal();
    }
  }

  function sure() {
    const yes = button("Delete all", () => guarded(async () => (await empty("pictures"), box.close(), list())));
    box.replaceChildren(el("p", { text: "Delete every picture that this browser keeps?" }), el("div", { class: "row" }, yes, button("Keep them", () => box.close())));
    box.showModal();
  }

  addEventListener("kept", list);
  box.addEventListener("click", (event) => event.target === box && box.close());
  list();
  return { node: el("div", { class: "stack" }, none, grid, el("div", { class: "row end" }, wipe), box) };
}

function facts({ body, seed, time }) {
  const controls = body.controls.map((one) => {
    const parts = [one.controlnet, one.annotate && `map by ${one.annotate}`, `weight ${one.weight}`, one.mode];
    return parts.filter(Boolean).join(", ");
  });
  const rows = [
    ["Seed", seed],
    ["Size", body.width ? `${body.width} × ${body.height}` : null],
    ["Steps", `${body.steps}, ${body.sampler}`],
    ["Guidance", body.guidance_scale],
    ["Without", body.negative_prompt || null],
    ["Begun from", body.image ? `a picture, strength ${body.strength}${body.mask ? ", a part of it" : ""}` : null],
    ["Second pass", body.second ? `× ${body.second.scale}, strength ${body.second.strength}, ${body.second.upscaler}` : null],
    ["Controls", controls.join("; ") || "none"],
    ["Base", body.base],
    ["Made", new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })],
  ];
  const told = rows.filter(([, value]) => value !== null && value !== undefined);
  return el("dl", {}, ...told.flatMap(([key, value]) => [el("dt", { text: key }), el("dd", { text: value })]));
}
