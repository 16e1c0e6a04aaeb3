// A grid: the settings of Generate, with one or two of them changed along rows and columns.

import { blob, run } from "./api.js";
import { clear, guarded } from "./banner.js";
import { button, el, field, select } from "./dom.js";
import { canvas, download, load } from "./pictures.js";
import { progress } from "./progress.js";

const AXES = {
  seed: { label: "seeds", example: "1, 2, 3", set: (body, value) => ({ ...body, seed: value }) },
  weight: { label: "weights of the controls", example: "0, 0.5, 1", set: (body, value) => weighed(body, value) },
  controls: { label: "controls", example: "none, 1, all", words: true, set: (body, value) => chosen(body, value) },
  guidance: { label: "guidance", example: "1, 3, 7.5", set: (body, value) => ({ ...body, guidance_scale: value }) },
  steps: { label: "steps", example: "5, 10, 20", set: (body, value) => ({ ...body, steps: value }) },
};
const weighed = (body, weight) => ({ ...body, controls: body.controls.map((one) => ({ ...one, weight })) });

function chosen(body, value) {
  if (value === "none") return { ...body, controls: [] };
  if (value === "all") return body;
  const one = body.controls[Number(value) - 1];
  if (!one) throw new Error(`there is no control ${value}; wanted "none", "all" or 1 to ${body.controls.length}`);
  return { ...body, controls: [one] };
}

export function compare(form) {
  const rows = axis("controls");
  const columns = axis("seed");
  const line = progress();
  const go = button("Compare", start, { class: "main" });
  const save = button("Download the grid", () => guarded(whole), { hidden: true });
  const place = el("div", { class: "sheet", tabIndex: 0, role: "region", "aria-label": "The grid" });
  place.append(el("p", { class: "hint", text: "The grid appears here, of the prompt and the controls in Generate." }));
  let last = null;

  function axis(kind) {
    const values = el("input", { type: "text", value: AXES[kind].example });
    const options = [["", "nothing"], ...Object.entries(AXES).map(([key, one]) => [key, one.label])];
    const choice = select(options, kind, () => (values.value = AXES[choice.value]?.example ?? ""));
    return { choice, values };
  }

  function read({ choice, values }) {
    const kind = AXES[choice.value];
    if (!kind) return [{ name: "", set: (body) => body }];
    const told = values.value.split(",").map((one) => one.trim()).filter(Boolean);
    if (told.length === 0) throw new Error(`no values are given for ${kind.label}; wanted such as ${kind.example}`);
    return told.map((text) => {
      const value = kind.words ? text : Number(text);
      if (!kind.words && !Number.isFinite(value)) throw new Error(`"${text}" is no number, of ${kind.label}`);
      return { name: `${choice.value} ${text}`, set: (body) => kind.set(body, value) };
    });
  }

  async function start() {
    if (line.busy) return;
    clear();
    await guarded(async () => {
      const [down, across] = [read(rows), read(columns)];
      // One seed for all cells where none is compared, or the seed would be what differs.
      const form_ = form.read();
      const body = { ...form_, count: 1, seed: form_.seed ?? Math.floor(Math.random() * 2 ** 32) };
      const wanted = down.map((row) => across.map((column) => column.set(row.set(body))));
      const cells = wanted.map((row) => row.map(() => el("td", {}, el("div", { class: "cell" }))));
      table(down, across, cells);
      last = { down, across, pictures: [] };
      go.disabled = true;
      const followed = line.begin();
      try {
        await filled(wanted, cells, followed);
      } finally {
        line.end();
        go.disabled = false;
        save.hidden = last.pictures.length === 0;
      }
    });
  }

  async function filled(wanted, cells, { told, signal }) {
    const total = wanted.flat().length;
    let done = 0;
    for (const [y, row] of wanted.entries()) {
      for (const [x, body] of row.entries()) {
        const heard = (view) => told({ ...view, progress: (done + view.progress) / total }, `picture ${done + 1} of ${total}, `);
        const view = await run(body, { told: heard, signal });
        if (view.state === "cancelled" || signal.aborted) return;
        const source = URL.createObjectURL(await blob(view.pictures[0].url));
        cells[y][x].firstChild.append(el("img", { src: source, alt: cells[y][x].dataset.name }));
        last.pictures.push({ x, y, source });
        done += 1;
      }
    }
  }

  function table(down, across, cells) {
    const head = el("tr", {}, el("td"), ...across.map((one) => el("th", { scope: "col", text: one.name })));
    const body = down.map((row, y) => {
      across.forEach((column, x) => (cells[y][x].dataset.name = `${row.name} ${column.name}`.trim()));
      return el("tr", {}, el("th", { scope: "row", text: row.name }), ...cells[y]);
    });
    place.replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
  }

  /** The grid as one picture with its headings. */
  async function whole() {
    const images = await Promise.all(last.pictures.map(async (one) => ({ ...one, image: await load(one.source) })));
    const [wide, tall] = ["width", "height"].map((side) => Math.max(...images.map((one) => one.image[side])));
    const [left, top] = [110, 26];
    const made = canvas(left + last.across.length * (wide + 4), top + last.down.length * (tall + 4), "#fff");
    const context = made.getContext("2d");
    context.fillStyle = "#222";
    context.font = "13px system-ui, sans-serif";
    last.across.forEach((one, x) => context.fillText(one.name, left + x * (wide + 4), 17, wide));
    last.down.forEach((one, y) => context.fillText(one.name, 4, top + y * (tall + 4) + tall / 2, left - 8));
    for (const { x, y, image } of images) context.drawImage(image, left + x * (wide + 4), top + y * (tall + 4));
    download(made.toDataURL("image/png"), "grid.png");
  }

  const side = (name, { choice, values }) => el("div", { class: "card stack" }, field(name, choice), field("Values", values));
  const left = el(
    "div",
    { class: "left stack" },
    el("p", { class: "lead", text: "What is set in Generate, again and again, with one thing changed along each side." }),
    side("Rows", rows),
    side("Columns", columns),
    el("div", { class: "bar" }, go),
  );
  return { node: el("div", { class: "columns" }, left, el("div", { class: "right" }, line.node, place, save)) };
}
