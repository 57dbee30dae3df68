// What `pyroctl doctor` finds.

import { button, h } from "../lib/dom.js";

const SHAPES = { problem: "✖", warning: "▲", note: "◇", ok: "●" };
const ORDER = Object.keys(SHAPES);

export function doctor(app) {
  const list = h("ul", { class: "timeline" });
  async function look() {
    list.replaceChildren(h("li", {}, "looking …"));
    try {
      const { checks } = await app.api.get("doctor");
      const sorted = checks.toSorted((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
      list.replaceChildren(...sorted.map((each) => h("li", {},
        h("span", { class: `state ${each.level}` }, `${SHAPES[each.level]} ${each.level}`),
        h("span", {}, each.text), each.place ? h("code", {}, each.place) : null, each.remedy ? h("i", {}, each.remedy) : null)));
    } catch (refusal) {
      list.replaceChildren();
      app.fault(refusal);
    }
  }
  look();
  return { node: [h("h1", {}, "Doctor"), h("div", { class: "tools" }, button("Look again", look)), list] };
}
