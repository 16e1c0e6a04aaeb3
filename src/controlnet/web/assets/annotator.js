// The choice of a condition with its settings, which come from the catalog's JSON schema.

import { el, fill, fold, fresh } from "./dom.js";

/** Make a choice among the conditions whose weights are there; `ready` labels the choice of none. */
export function annotator(conditions, { ready, changed }) {
  const known = new Map(conditions.filter((one) => one.available && one.name !== "none").map((one) => [one.name, one]));
  const inputs = new Map();
  const choice = el("select", { id: fresh("annotator"), onchange: () => (build(), changed()) });
  const about = el("p", { class: "hint" });
  const settings = fold("Annotator settings");
  const place = settings.querySelector(".stack");

  const families = Map.groupBy ? Map.groupBy(known.values(), (one) => one.family) : grouped(known.values());
  const groups = [...families].map(([group, some]) => ({ group, options: some.map((one) => [one.name, one.name]) }));
  fill(choice, ready ? [["", ready], ...groups] : groups);

  function build() {
    const condition = known.get(choice.value);
    inputs.clear();
    const rows = Object.entries(condition?.settings ?? {}).map(([name, schema]) => setting(name, schema));
    place.replaceChildren(...rows);
    settings.hidden = rows.length === 0;
    about.textContent = condition?.title ?? "";
    about.hidden = !condition;
  }

  function setting(name, schema) {
    const kind = schema.anyOf?.find((one) => one.type !== "null") ?? schema;
    const id = fresh(`setting-${name}`);
    let input;
    if (kind.enum) {
      input = el("select", { id }, ...kind.enum.map((value) => el("option", { value, text: value })));
      input.value = schema.default;
    } else if (kind.type === "boolean") {
      input = el("input", { id, type: "checkbox", checked: schema.default === true });
    } else if (kind.type === "integer" || kind.type === "number") {
      const step = kind.type === "integer" ? 1 : "any";
      const limits = { min: kind.minimum, max: kind.maximum, step };
      input = el("input", { id, type: "number", ...limits, value: schema.default ?? "", placeholder: "as it is" });
    } else {
      input = el("input", { id, type: "text", value: schema.default ?? "" });
    }
    input.addEventListener("change", changed);
    inputs.set(name, { input, schema });
    const label = el("label", { for: id, text: name.replaceAll("_", " ") });
    const hint = el("p", { class: "hint", text: schema.description ?? "" });
    return el("div", { class: kind.type === "boolean" ? "field check" : "field" }, label, input, hint);
  }

  /** The condition as text, with the settings that are not its defaults; null for none. */
  function spec() {
    if (!choice.value) return null;
    const told = [];
    for (const [name, { input, schema }] of inputs) {
      const value = input.type === "checkbox" ? input.checked : input.value.trim();
      if (value === "" || String(value) === String(schema.default)) continue;
      told.push(`${name}=${value === true ? "True" : value === false ? "False" : value}`);
    }
    return told.length ? `${choice.value}(${told.join(", ")})` : choice.value;
  }

  function set(text) {
    const [, name, told] = /^\s*([\w.:]+)\s*(?:\((.*)\))?\s*$/.exec(text ?? "") ?? [null, "", ""];
    choice.value = known.has(name) ? name : (ready ? "" : choice.options[0]?.value ?? "");
    build();
    for (const part of (told ?? "").split(",").filter((one) => one.includes("="))) {
      const [key, value] = part.split("=").map((one) => one.trim().replace(/^["']|["']$/g, ""));
      const input = inputs.get(key)?.input;
      if (input?.type === "checkbox") input.checked = value === "True";
      else if (input) input.value = value;
    }
  }

  build();
  return { choice, about, settings, spec, set, has: (name) => known.has(name) };
}

function grouped(conditions) {
  const families = new Map();
  for (const one of conditions) families.set(one.family, [...(families.get(one.family) ?? []), one]);
  return families;
}
