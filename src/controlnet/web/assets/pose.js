// The pose editor: joints are dragged, people come and go, and OpenPose's JSON is read and written.

import { renderPose } from "./api.js";
import { guarded } from "./banner.js";
import { button, el, field, number, numeric } from "./dom.js";
import { JOINTS, draw, fromJSON, mirrored, moving, nearest, standing, toJSON } from "./people.js";
import { chosen, download, load, read } from "./pictures.js";

const SHOWN = 1024; // pixels of the longer side of what is shown
const FINGER = 24; // CSS pixels around a joint

/** Make the editor; `use(map)` takes the finished map, a data URI. */
export function pose({ size, use }) {
  let width = size().width;
  let height = size().height;
  let people = [standing(width, height)];
  let picked = { person: 0, joint: null };
  let under = null;
  let held = null;
  const past = [];

  const shown = el("canvas", { class: "pad pose", tabIndex: 0, role: "application", id: "pose" });
  shown.setAttribute("aria-label", "Pose: drag joints, or a limb for the whole person; arrow keys move what is chosen");
  const word = el("p", { class: "hint", role: "status" });
  const wide = number({ value: width, min: 64, step: 8, onchange: resized });
  const tall = number({ value: height, min: 64, step: 8, onchange: resized });
  const joint = el("select", { onchange: () => choose(picked.person, numeric(joint)) });
  joint.append(el("option", { value: "", text: "the whole person" }));
  joint.append(...JOINTS.map((name, index) => el("option", { value: index, text: name })));
  const hide = button("Hide joint", () => change(() => toggle()));
  const undo = button("Undo", () => restore());

  const scale = () => SHOWN / Math.max(width, height);

  function show() {
    const s = scale();
    shown.width = Math.round(width * s);
    shown.height = Math.round(height * s);
    const context = shown.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, shown.width, shown.height);
    if (under) {
      context.globalAlpha = 0.45;
      context.drawImage(under, 0, 0, shown.width, shown.height);
      context.globalAlpha = 1;
    }
    draw(context, people, width, height, s);
    rings(context, s);
    const body = people[picked.person]?.body;
    hide.disabled = !body || picked.joint === null;
    hide.textContent = body && picked.joint !== null && !body[picked.joint].on ? "Show joint" : "Hide joint";
    joint.value = picked.joint ?? "";
    undo.disabled = past.length === 0;
    const part = picked.joint === null ? "" : `, ${JOINTS[picked.joint]}`;
    const who = `Person ${picked.person + 1} of ${people.length}`;
    word.textContent = body ? `${who}${part}${extras()}` : "Nobody is there";
  }

  function extras() {
    const { left, right, face } = people[picked.person];
    const hands = left && right ? "hands" : left ? "a left hand" : right ? "a right hand" : null;
    const told = [hands, face ? "a face" : null].filter(Boolean);
    return told.length ? `, with ${told.join(" and ")}` : "";
  }

  // Rings mark what can be taken hold of; they are no part of the map.
  function rings(context, s) {
    people.forEach(({ body }, person) =>
      body.forEach((point, index) => {
        if (!point.on) return;
        const mine = person === picked.person && (picked.joint === null || picked.joint === index);
        context.strokeStyle = mine ? "#fff" : "rgb(255 255 255 / 0.35)";
        context.lineWidth = mine ? 3 : 2;
        context.beginPath();
        context.arc(point.x * s, point.y * s, 11, 0, 2 * Math.PI);
        context.stroke();
      }),
    );
  }

  function change(work) {
    past.push(structuredClone(people));
    if (past.length > 100) past.shift();
    work();
    show();
  }

  function restore() {
    if (past.length === 0) return;
    people = past.pop();
    picked = { person: Math.min(picked.person, people.length - 1), joint: null };
    show();
  }

  function choose(person, which) {
    picked = { person, joint: which };
    show();
  }

  function toggle() {
    const body = people[picked.person]?.body;
    if (body && picked.joint !== null) body[picked.joint].on = !body[picked.joint].on;
  }

  // A hand goes with its wrist, the face with the nose.
  function move(dx, dy) {
    const person = people[picked.person];
    if (!person) return;
    for (const point of moving(person, picked.joint)) {
      point.x += dx;
      point.y += dy;
    }
  }

  function grow(factor) {
    const person = people[picked.person];
    if (!person) return;
    const on = person.body.filter((point) => point.on);
    const [x, y] = ["x", "y"].map((axis) => on.reduce((sum, point) => sum + point[axis], 0) / (on.length || 1));
    for (const point of moving(person)) {
      point.x = x + (point.x - x) * factor;
      point.y = y + (point.y - y) * factor;
    }
  }

  function mirror() {
    if (people[picked.person]) people[picked.person] = mirrored(people[picked.person]);
  }

  function resized() {
    width = Math.max(64, numeric(wide) ?? width);
    height = Math.max(64, numeric(tall) ?? height);
    show();
  }

  const place = (event) => {
    const box = shown.getBoundingClientRect();
    return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  };
  shown.addEventListener("pointerdown", (event) => {
    if (held || event.button > 0) return;
    const [x, y] = place(event);
    const found = nearest(people, x, y, (FINGER * width) / shown.getBoundingClientRect().width);
    if (!found) return;
    event.preventDefault();
    shown.focus({ preventScroll: true });
    shown.setPointerCapture(event.pointerId);
    held = { id: event.pointerId, x, y };
    change(() => (picked = found));
  });
  shown.addEventListener("pointermove", (event) => {
    if (event.pointerId !== held?.id) return;
    const [x, y] = place(event);
    move(x - held.x, y - held.y);
    held = { ...held, x, y };
    show();
  });
  for (const kind of ["pointerup", "pointercancel"]) shown.addEventListener(kind, () => (held = null));
  shown.addEventListener("keydown", (event) => {
    const step = (event.shiftKey ? 0.05 : 0.01) * Math.min(width, height);
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (ways[event.key]) change(() => move(...ways[event.key]));
    else if (event.key === "Delete") change(toggle);
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) restore();
    else return;
    event.preventDefault();
  });

  async function importFile() {
    const file = await chosen(".json,application/json");
    if (!file) return;
    const read = fromJSON(await file.text());
    change(() => (people = read.people));
    [width, height, wide.value, tall.value] = [read.width, read.height, read.width, read.height];
    choose(0, null);
  }

  async function trace() {
    const file = under ? null : await chosen("image/*");
    under = file ? await load(await read(file)) : null;
    show();
  }

  const told = () => toJSON(people, width, height);
  // The map itself is the service's drawing, that of the openpose condition to the pixel.
  const map = async () => `data:image/png;base64,${(await renderPose(told())).images[0]}`;
  const saved = () => new Blob([JSON.stringify(told(), null, 1)], { type: "application/json" });

  const acts = [
    ["Add a person", () => change(() => { people.push(standing(width, height, [0.3, 0.7, 0.5][people.length % 3])); picked = { person: people.length - 1, joint: null }; })],
    ["Remove person", () => change(() => { people.splice(picked.person, 1); picked = { person: Math.max(0, people.length - 1), joint: null }; })],
    ["Larger", () => change(() => grow(1.1))],
    ["Smaller", () => change(() => grow(1 / 1.1))],
    ["Mirror", () => change(mirror)],
  ];
  const files = [
    ["Import JSON", importFile],
    ["Export JSON", () => download(saved(), "pose.json")],
    ["Save the map", async () => download(await map(), "pose.png")],
    ["Trace a picture", trace],
  ];
  const row = (some) => some.map(([text, work]) => button(text, () => guarded(work)));

  const side = el(
    "div",
    { class: "left stack" },
    el("p", { class: "lead", text: "Drag joints; drag a limb to move the whole person." }),
    el("div", { class: "card stack" }, el("div", { class: "row" }, row(acts), undo), field("Joint", joint), el("div", { class: "row" }, hide)),
    el("div", { class: "card stack" }, el("div", { class: "pair" }, field("Width", wide), field("Height", tall)), el("div", { class: "row" }, row(files))),
    button("Use it in Generate", () => guarded(async () => use(await map())), { class: "main" }),
  );
  const node = el("div", { class: "columns" }, side, el("div", { class: "right first" }, shown, word));
  show();
  return { node, people: () => told() };
}
