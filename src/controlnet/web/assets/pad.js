// A canvas for drawing: brush, eraser, undo, clear; by mouse, pen or finger. White strokes on black come out.

import { button, el, slider } from "./dom.js";
import { canvas } from "./pictures.js";

/** Make a pad of a size in pixels. `under`: a picture to draw over; `start`: a drawing to go on with; `size`: of
 *  the brush; `changed(dataURL)` after each stroke. */
export function pad({ width, height, under, start, size, changed }) {
  const shown = el("canvas", { class: "pad", width, height, tabIndex: 0, role: "img" });
  shown.setAttribute("aria-label", "Drawing canvas: drag to draw, Ctrl+Z takes a stroke back");
  const strokes = [];
  const taken = [];
  let erasing = false;
  let current = null;
  let pointer = null;

  const brush = slider("Size", { value: size, min: 1, max: Math.max(24, Math.round(width / 6)), step: 1 });
  const pen = button("Brush", () => pick(false), { class: "toggle", "aria-pressed": "true" });
  const rubber = button("Eraser", () => pick(true), { class: "toggle", "aria-pressed": "false" });
  const undo = button("Undo", () => back());
  const redo = button("Redo", () => forth());
  const wipe = button("Clear", () => add({ wipe: true }));

  function pick(erase) {
    erasing = erase;
    pen.setAttribute("aria-pressed", String(!erase));
    rubber.setAttribute("aria-pressed", String(erase));
  }

  function layer() {
    const made = canvas(width, height);
    const context = made.getContext("2d");
    context.lineCap = context.lineJoin = "round";
    if (start) context.drawImage(lightened(start, width, height), 0, 0);
    for (const stroke of current ? [...strokes, current] : strokes) trace(context, stroke, width, height);
    return made;
  }

  function show() {
    const context = shown.getContext("2d");
    context.globalAlpha = 1;
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (under) {
      context.globalAlpha = 0.6;
      context.drawImage(under, 0, 0, width, height);
      context.globalAlpha = 0.85;
    }
    context.drawImage(layer(), 0, 0);
    undo.disabled = strokes.length === 0;
    redo.disabled = taken.length === 0;
  }

  function out() {
    const made = canvas(width, height, "#000");
    made.getContext("2d").drawImage(layer(), 0, 0);
    return made.toDataURL("image/png");
  }

  function add(stroke) {
    strokes.push(stroke);
    taken.length = 0;
    done();
  }

  function done() {
    show();
    changed(out());
  }

  function back() {
    if (strokes.length === 0) return;
    taken.push(strokes.pop());
    done();
  }

  function forth() {
    if (taken.length === 0) return;
    strokes.push(taken.pop());
    done();
  }

  const place = (event) => {
    const box = shown.getBoundingClientRect();
    return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  };

  shown.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button > 0) return;
    event.preventDefault();
    shown.focus({ preventScroll: true });
    shown.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    current = { erase: erasing, size: Number(brush.input.value), points: [place(event)] };
    show();
  });
  shown.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    current.points.push(...(passed.length ? passed : [event]).map(place));
    show();
  });
  const lift = (event) => {
    if (event.pointerId !== pointer) return;
    const stroke = current;
    pointer = current = null;
    add(stroke);
  };
  shown.addEventListener("pointerup", lift);
  shown.addEventListener("pointercancel", lift);

  const tools = el("div", { class: "row tools" }, el("div", { class: "joined" }, pen, rubber), undo, redo, wipe);
  const node = el("div", { class: "stack tight" }, shown, tools, brush.node);
  node.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    if (event.shiftKey) forth();
    else back();
  });
  show();
  return node;
}

function trace(context, stroke, width, height) {
  if (stroke.wipe) {
    context.clearRect(0, 0, width, height);
    return;
  }
  context.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
  context.strokeStyle = context.fillStyle = "#fff";
  context.lineWidth = stroke.size;
  context.beginPath();
  const [first, ...rest] = stroke.points;
  context.moveTo(...first);
  if (rest.length === 0) context.lineTo(first[0] + 0.01, first[1]);
  for (const point of rest) context.lineTo(...point);
  context.stroke();
  context.globalCompositeOperation = "source-over";
}

/** Take a drawing's brightness as its ink, so that the eraser finds nothing but strokes. */
function lightened(image, width, height) {
  const made = canvas(width, height);
  const context = made.getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  const data = context.getImageData(0, 0, width, height);
  for (let i = 0; i < data.data.length; i += 4) {
    const light = Math.max(data.data[i], data.data[i + 1], data.data[i + 2]);
    data.data.set([255, 255, 255, light], i);
  }
  context.putImageData(data, 0, 0);
  return made;
}
