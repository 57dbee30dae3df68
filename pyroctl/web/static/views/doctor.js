// What `pyroctl doctor` finds.

import { button, h, tools } from "../lib/dom.js";
import { stateMark } from "../lib/states.js";

const ORDER = ["problem", "warning", "note"];

export function doctor(app) {
	const list = h("ul", { class: "timeline" });
	const look = app.doing(async () => {
		list.replaceChildren(h("li", "looking …"));
		const { findings, checks } = await app.api.get("doctor").finally(() => list.replaceChildren());
		const fine = checks.filter(({ level }) => level === "ok").map(({ level, title }) => ({ level, text: title }));
		findings.sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
		list.append(...[...findings, ...fine].map(({ level, text, place, remedy }) =>
			h("li", stateMark(level), h("span", text), place && h("code", place), remedy && h("i", remedy))));
	});
	look();
	return { node: [h("h1", "Doctor"), tools(button("Look again", look)), list] };
}
