// What `pyroctl doctor` finds.

import { button, h } from "../lib/dom.js";
import { stateMark } from "../lib/states.js";

const ORDER = ["problem", "warning", "note", "ok"];

export function doctor(app) {
  const list = h("ul", { class: "timeline" });
  const look = app.doing(async () => {
    list.replaceChildren(h("li", "looking …"));
    const checks = await app.api.get("doctor").finally(() => list.replaceChildren());
    list.append(...checks.toSorted((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level)).map(({ level, text, place, remedy }) =>
      h("li", stateMark(level), h("span", text), place && h("code", place), remedy && h("i", remedy))));
  });
  look();
  return { node: [h("h1", "Doctor"), h("div", { class: "tools" }, button("Look again", look)), list] };
}
