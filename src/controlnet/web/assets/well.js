// A place for a picture: click, drop or paste fills it.

import { guarded } from "./banner.js";
import { el } from "./dom.js";
import { chosen, read } from "./pictures.js";

const wells = [];

/** Make a well; `changed(dataURL or null)` tells of a picture that the person gave. */
export function well({ label, empty, changed }) {
  const image = el("img", { alt: "", hidden: true });
  const words = el("span", { class: "well-words", text: empty });
  const node = el("button", { type: "button", class: "well", "aria-label": `${label}: ${empty}` }, image, words);
  const made = { node, show, take, get filled() { return !image.hidden; } };

  function show(source) {
    image.hidden = !source;
    words.hidden = Boolean(source);
    if (source) image.src = source;
    else image.removeAttribute("src");
    image.alt = source ? label : "";
    node.classList.toggle("filled", Boolean(source));
  }

  async function take(file) {
    await guarded(async () => {
      const source = await read(file);
      show(source);
      changed(source);
    });
  }

  node.addEventListener("click", async () => {
    const file = await chosen("image/*");
    if (file) take(file);
  });
  for (const kind of ["dragenter", "dragover"]) {
    node.addEventListener(kind, (event) => {
      event.preventDefault();
      node.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) node.addEventListener(kind, () => node.classList.remove("over"));
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    if (file) take(file);
  });
  wells.push(made);
  return made;
}

// What is pasted goes to the well that has the focus, else to the first empty one in sight, else to the first.
addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((item) => item.type.startsWith("image/"));
  const seen = wells.filter((item) => item.node.checkVisibility());
  if (!file || seen.length === 0) return;
  event.preventDefault();
  const focused = seen.find((item) => item.node === document.activeElement);
  (focused ?? seen.find((item) => !item.filled) ?? seen[0]).take(file);
});
