// Hands and faces: 21 points of a hand, up to 71 of a face; read, mirrored, and drawn as in conditions/_pose.py.

/** What a person may have besides a body: its name in OpenPose's JSON, and the joint that it moves along with. */
export const PARTS = {
  face: { key: "face_keypoints_2d", noun: "face", joint: 0, counts: [1, 71] },
  left: { key: "hand_left_keypoints_2d", noun: "hand", joint: 7, counts: [21, 21] },
  right: { key: "hand_right_keypoints_2d", noun: "hand", joint: 4, counts: [21, 21] },
};

// Four bones for each finger, from the wrist outwards.
const BONES = Array.from({ length: 20 }, (_, i) => [i % 4 ? i : 0, i + 1]);

// Runs of a face's points that change places in a mirror, point i with point sum − i; a later run overrules.
const TWINS = [
  ...[[0, 16, 16], [17, 26, 43], [31, 35, 66], [36, 45, 81], [40, 41, 87], [46, 47, 87]], // jaw, brows, nose, eyes
  ...[[48, 54, 102], [55, 59, 114], [60, 64, 124], [65, 67, 132], [68, 69, 137]], // lips, pupils
];

/** The point that a face's point becomes in a mirror; of faces that lack points nobody knows which is which. */
export function twin(index, count) {
  const run = count < 68 ? undefined : TWINS.findLast(([first, last]) => first <= index && index <= last);
  return run ? Math.min(run[2] - index, count - 1) : index;
}

/** Read x, y, score, … of a part; null where nothing was found. Raises for another number of points. */
export function points(numbers, { noun, counts: [least, most] }) {
  if (numbers === undefined || numbers === null || numbers.length === 0) return null;
  const count = Array.isArray(numbers) ? numbers.length / 3 : 0;
  if (!Number.isInteger(count) || count < least || count > most) {
    const wanted = least === most ? most : `${least} to ${most}`;
    throw new Error(`a ${noun} has ${count} points in the JSON; wanted ${wanted}`);
  }
  if (!numbers.every((value) => Number.isFinite(value))) throw new Error(`a ${noun}'s points are not all numbers`);
  const all = Array.from({ length: count }, (_, i) => numbers.slice(3 * i, 3 * i + 3));
  const read = all.map(([x, y, score]) => ({ x, y, on: score > 0 }));
  return read.some((point) => point.on) ? read : null;
}

/** Draw a person's hands and face: bones around the colour wheel, blue and white discs. */
export function drawParts(context, person, width, height, scale) {
  const wide = (pixels) => Math.max(1, Math.round((pixels * Math.min(width, height)) / 512)) * scale;
  // The first row and column are where other programs put what they did not find.
  const seen = (point) => point.on && Math.min(point.x, point.y) >= 1;
  const disc = (point, radius, colour) => {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(point.x * scale, point.y * scale, radius, 0, 2 * Math.PI);
    context.fill();
  };
  for (const hand of [person.left, person.right].filter(Boolean)) {
    context.lineWidth = wide(2);
    BONES.forEach(([from, to], index) => {
      const [a, b] = [hand[from], hand[to]];
      if (!seen(a) || !seen(b)) return;
      context.strokeStyle = `hsl(${(360 * index) / BONES.length} 100% 50%)`;
      context.beginPath();
      context.moveTo(a.x * scale, a.y * scale);
      context.lineTo(b.x * scale, b.y * scale);
      context.stroke();
    });
    for (const point of hand.filter(seen)) disc(point, wide(4), "#00f");
  }
  for (const point of (person.face ?? []).filter(seen)) disc(point, wide(3), "#fff");
}
