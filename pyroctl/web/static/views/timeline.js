// What happened, the newest first: states, endings, reloads, and who did what.

import { field, h, select } from "../lib/dom.js";
import { when } from "../lib/units.js";

const KEPT = 1000;

export function timeline(app) {
  const list = h("ol", { class: "timeline" });
  const search = h("input", { type: "search", oninput: () => filter() });
  const end = app.live.want("timeline");
  let kind = "";
  let kinds = select([["", "all"]], "", () => {});

  const item = (entry) => h("li", { "data-kind": entry.kind },
    h("time", {}, when(entry.time)), h("b", {}, entry.service ?? ""), h("span", {}, entry.text),
    entry.who ? h("i", {}, `${entry.who}${entry.outcome ? `: ${entry.outcome}` : ""}`) : null,
    entry.lines?.length ? h("details", {}, h("summary", {}, "last words"), h("pre", { tabindex: "0" }, entry.lines.join("\n"))) : null);

  function filter() {
    const words = search.value.toLowerCase();
    for (const each of list.children) {
      each.hidden = (kind && each.dataset.kind !== kind) || !each.textContent.toLowerCase().includes(words);
    }
  }

  function add(entries, where) {
    list[where](...entries.map(item));
    while (list.childElementCount > KEPT) list.lastElementChild.remove();
    const known = [...new Set([...list.children].map((each) => each.dataset.kind))];
    const fresh = select([["", "all"], ...known.map((each) => [each, each])], kind, (value) => {
      kind = value;
      filter();
    });
    kinds.replaceWith(fresh);
    kinds = fresh;
    filter();
  }

  app.api.get("timeline").then(({ entries }) => add(entries, "append"), (refusal) => app.fault(refusal));
  return {
    node: [h("h1", {}, "Timeline"), h("div", { class: "tools" }, field("filter", search), field("kind", kinds)), list],
    timeline: (entry) => add([entry], "prepend"),
    close: end,
  };
}
