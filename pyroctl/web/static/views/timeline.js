// What happened, the newest first: states, endings, reloads, and who did what.

import { field, h, has, search, select, tools } from "../lib/dom.js";
import { when } from "../lib/units.js";

const KEPT = 1000;
const KINDS = ["state", "end", "action", "reload", "manager"];

export function timeline(app) {
	const list = h("ol", { class: "timeline" });
	const words = search(() => filter());
	const kinds = select([["", "all"], ...KINDS.map((each) => [each])], "", () => filter());

	const item = ({ kind, time, service, text, who, outcome, lines }) => h("li", { "data-kind": kind },
		h("time", when(time)), h("b", service), h("span", text), who && h("i", who + (outcome ? `: ${outcome}` : "")),
		lines?.length > 0 && h("details", h("summary", "last words"), h("pre", { tabindex: 0 }, lines.join("\n"))));

	function filter() {
		for (const each of list.children) {
			each.hidden = (kinds.value && each.dataset.kind !== kinds.value) || !has(each, words);
		}
	}

	function add(entries) {
		list.prepend(...entries.map(item));
		while (list.childElementCount > KEPT) list.lastChild.remove();
		filter();
	}

	app.finally(app.live.want("timeline"));
	app.doing(async () => add(await app.api.get("timeline")))();
	return {
		node: [h("h1", "Timeline"), tools(field("filter", words), field("kind", kinds)), list],
		timeline: (entry) => add([entry]),
	};
}
