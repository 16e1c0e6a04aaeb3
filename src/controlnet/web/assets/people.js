// People as OpenPose knows them: 18 joints, their limbs and colours, hands and faces, its JSON in and out.

import { PARTS, drawParts, points, twin } from "./hands.js";

export const JOINTS = [
  "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
  "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
  "right eye", "left eye", "right ear", "left ear",
];

// The order in which limbs are coloured, and the wheel of colours, as in conditions/_pose.py.
export const LIMBS = [
  [1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10],
  [1, 11], [11, 12], [12, 13], [1, 0], [0, 14], [14, 16], [0, 15], [15, 17],
];
export const WHEEL = [
  [255, 0, 0], [255, 85, 0], [255, 170, 0], [255, 255, 0], [170, 255, 0], [85, 255, 0],
  [0, 255, 0], [0, 255, 85], [0, 255, 170], [0, 255, 255], [0, 170, 255], [0, 85, 255],
  [0, 0, 255], [85, 0, 255], [170, 0, 255], [255, 0, 255], [255, 0, 170], [255, 0, 85],
];

// Somebody who stands and faces the viewer, in a square of side 1.
const STANDING = [
  [0.5, 0.15], [0.5, 0.25], [0.42, 0.255], [0.375, 0.385], [0.345, 0.5], [0.58, 0.255], [0.625, 0.385], [0.655, 0.5],
  [0.45, 0.5], [0.44, 0.7], [0.43, 0.89], [0.55, 0.5], [0.56, 0.7], [0.57, 0.89],
  [0.48, 0.13], [0.52, 0.13], [0.455, 0.145], [0.545, 0.145],
];

/** Somebody new in a picture, `across` (0 to 1) of its width: {body}, a list of joints {x, y, on}; with a face, a
 *  left or a right hand where they came from a file. */
export function standing(width, height, across = 0.5) {
  const side = Math.min(width, height);
  const left = width * across - side / 2;
  const top = (height - side) / 2;
  return { body: STANDING.map(([x, y]) => ({ x: left + x * side, y: top + y * side, on: true })) };
}

/** All points of a person, or those that move along with a joint. */
export function moving(person, joint = null) {
  const parts = Object.entries(PARTS).filter(([name, part]) => person[name] && (joint ?? part.joint) === part.joint);
  return [...(joint === null ? person.body : [person.body[joint]]), ...parts.flatMap(([name]) => person[name])];
}

/** A person as in a mirror: left and right change places too, so that who faced the viewer still does. */
export function mirrored(person) {
  const across = moving(person).filter((point) => point.on).map((point) => point.x);
  const sum = across.length ? Math.min(...across) + Math.max(...across) : 0;
  const flip = (point) => ({ ...point, x: sum - point.x });
  const swap = (name) => name.replace(/left|right/, (side) => (side === "left" ? "right" : "left"));
  const made = { body: JOINTS.map((name) => flip(person.body[JOINTS.indexOf(swap(name))])) };
  if (person.left) made.right = person.left.map(flip);
  if (person.right) made.left = person.right.map(flip);
  if (person.face) made.face = person.face.map((_, index, all) => flip(all[twin(index, all.length)]));
  return made;
}

export function toJSON(people, width, height) {
  const flat = (joint) => (joint.on ? [round(joint.x), round(joint.y), 1] : [0, 0, 0]);
  return {
    version: 1.3,
    people: people.map((person) => {
      const parts = Object.entries(PARTS).filter(([name]) => person[name]);
      const told = parts.map(([name, { key }]) => [key, person[name].flatMap(flat)]);
      return { pose_keypoints_2d: person.body.flatMap(flat), ...Object.fromEntries(told) };
    }),
    canvas_height: height,
    canvas_width: width,
  };
}

const round = (value) => Math.round(value * 100) / 100;

/** Read OpenPose's JSON; bodies of 25 joints lose their feet. Raises for anything else. */
export function fromJSON(text) {
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    throw new Error("the file is no JSON; wanted keypoints as OpenPose writes them");
  }
  if (Array.isArray(told)) told = told[0];
  if (!Array.isArray(told?.people)) throw new Error('the JSON has no list "people"; wanted OpenPose\'s keypoints');
  const people = told.people.map(whole);
  const found = people.flatMap((person) => moving(person)).filter((point) => point.on);
  const width = told.canvas_width ?? Math.ceil(Math.max(1, ...found.map((joint) => joint.x)) / 8) * 8;
  const height = told.canvas_height ?? Math.ceil(Math.max(1, ...found.map((joint) => joint.y)) / 8) * 8;
  const fractions = found.every((joint) => Math.max(joint.x, joint.y) <= 2);
  for (const point of fractions ? people.flatMap((person) => moving(person)) : []) {
    point.x *= width;
    point.y *= height;
  }
  return { people, width, height };
}

function whole(told) {
  const person = { body: joints(told?.pose_keypoints_2d) };
  for (const [name, part] of Object.entries(PARTS)) {
    const found = points(told[part.key], part);
    if (found) person[name] = found;
  }
  return person;
}

function joints(numbers) {
  const count = Array.isArray(numbers) ? numbers.length / 3 : 0;
  if (count !== 18 && count !== 25) throw new Error(`a body has ${count} joints in the JSON; wanted 18 or 25`);
  if (!numbers.every((value) => Number.isFinite(value))) throw new Error("a body's joints are not all numbers");
  const all = Array.from({ length: count }, (_, i) => numbers.slice(3 * i, 3 * i + 3));
  const kept = count === 25 ? [...all.slice(0, 8), ...all.slice(9, 19)] : all;
  return kept.map(([x, y, score]) => ({ x, y, on: score > 0 }));
}

/** Draw people as the openpose condition does: limbs of 60 % brightness, joints as discs, `scale` times as large. */
export function draw(context, people, width, height, scale = 1) {
  const thick = Math.max(1, Math.round((4 * Math.min(width, height)) / 512)) * scale;
  for (const person of people) {
    const { body } = person;
    LIMBS.forEach(([from, to], index) => {
      const [a, b] = [body[from], body[to]];
      if (!a.on || !b.on) return;
      context.fillStyle = `rgb(${WHEEL[index].map((part) => Math.floor(0.6 * part)).join(" ")})`;
      context.beginPath();
      const along = Math.hypot(a.x - b.x, a.y - b.y) / 2;
      const [x, y] = [((a.x + b.x) / 2) * scale, ((a.y + b.y) / 2) * scale];
      context.ellipse(x, y, along * scale, thick, Math.atan2(a.y - b.y, a.x - b.x), 0, 2 * Math.PI);
      context.fill();
    });
    body.forEach((joint, index) => {
      if (!joint.on) return;
      context.fillStyle = `rgb(${WHEEL[index].join(" ")})`;
      context.beginPath();
      context.arc(joint.x * scale, joint.y * scale, thick, 0, 2 * Math.PI);
      context.fill();
    });
    drawParts(context, person, width, height, scale);
  }
}

/** The nearest joint that is shown within `reach` pixels, as {person, joint}; else the nearest limb's person. */
export function nearest(people, x, y, reach) {
  let best = null;
  let least = reach;
  people.forEach(({ body }, person) =>
    body.forEach((point, joint) => {
      const far = Math.hypot(point.x - x, point.y - y);
      if (point.on && far <= least) [best, least] = [{ person, joint }, far];
    }),
  );
  if (best) return best;
  const over = people.findIndex(({ body }) =>
    LIMBS.some(([a, b]) => body[a].on && body[b].on && beside(body[a], body[b], x, y) <= reach / 2),
  );
  return over < 0 ? null : { person: over, joint: null };
}

function beside(a, b, x, y) {
  const square = (b.x - a.x) ** 2 + (b.y - a.y) ** 2 || 1;
  const t = Math.max(0, Math.min(1, ((x - a.x) * (b.x - a.x) + (y - a.y) * (b.y - a.y)) / square));
  return Math.hypot(a.x + t * (b.x - a.x) - x, a.y + t * (b.y - a.y) - y);
}
