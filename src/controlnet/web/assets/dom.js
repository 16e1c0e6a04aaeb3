// Elements made in one call, and the fields that forms are made of.

/** Make an element: `class`, `text`, `on…` handlers, attributes with a dash or `role`; the rest are properties. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === "class") node.className = value;
    else if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.includes("-") || ["role", "for", "list"].includes(key)) node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

let count = 0;
export const fresh = (name) => `${name}-${(count += 1)}`;

/** A control below its label; `hint` explains it in a sentence. */
export function field(label, control, hint) {
  control.id ||= fresh("field");
  const parts = [el("label", { for: control.id, text: label }), control];
  if (hint) {
    const id = `${control.id}-hint`;
    control.setAttribute("aria-describedby", id);
    parts.push(el("p", { class: "hint", id, text: hint }));
  }
  return el("div", { class: "field" }, ...parts);
}

export function number({ value, min, max, step = 1, placeholder, onchange }) {
  const empty = value === null || value === undefined;
  const props = { type: "number", value: empty ? "" : value, min, max, step, placeholder, onchange };
  return el("input", { ...props, inputMode: step === 1 ? "numeric" : "decimal" });
}

export function select(options, value, onchange) {
  const node = el("select", { onchange });
  fill(node, options, value);
  return node;
}

/** Give a select its options: [value, label] pairs, or {group, options}. */
export function fill(node, options, value) {
  const one = ([key, label]) => el("option", { value: key, text: label });
  node.replaceChildren(
    ...options.map((item) =>
      Array.isArray(item) ? one(item) : el("optgroup", { label: item.group }, ...item.options.map(one)),
    ),
  );
  if (value !== undefined) node.value = value;
}

/** A slider that shows its number beside its label; `input` is the element that holds the value. */
export function slider(label, { value, min, max, step, onchange }) {
  const shown = el("output", { text: value });
  const input = el("input", { type: "range", min, max, step, id: fresh("slider") });
  input.value = value;
  const show = () => (shown.textContent = input.value);
  input.addEventListener("input", show);
  if (onchange) input.addEventListener("change", onchange);
  const set = (next) => {
    input.value = next;
    show();
  };
  const head = el("div", { class: "slider-head" }, el("label", { for: input.id, text: label }), shown);
  return { node: el("div", { class: "field" }, head, input), input, set };
}

export function button(text, onclick, props = {}) {
  return el("button", { type: "button", text, onclick, ...props });
}

/** What is folded away until it is asked for. */
export function fold(title, ...children) {
  return el("details", { class: "fold" }, el("summary", { text: title }), el("div", { class: "stack" }, ...children));
}

/** The number in an input, or null where there is none. */
export function numeric(input) {
  return input.value.trim() === "" ? null : Number(input.value);
}
