// All services at a glance: what needs attention, how much flows, a row for each.

import { act, actionButtons, actionKeys } from "../lib/actions.js";
import { spark } from "../lib/chart.js";
import { address, button, field, h, has, link, say, search, select, tools } from "../lib/dom.js";
import { movement } from "../lib/keys.js";
import { isTrouble, STATES, stateMark, stateText, why } from "../lib/states.js";
import { bytes, counted, delay, duration, percent, short } from "../lib/units.js";

const HEADS = ["service", "state", "since", "restarts", "cpu", "memory", "rate, queue", "last line"];
const TILES = [["events/s", "published", short], ["queued", "queued", short], ["p99", "p99", delay, Math.max], ["memory", "rss_bytes", bytes]];

export function overview(app) {
	const { store } = app;
	const rows = new Map();
	const tiles = TILES.map(() => h("li"));
	const attention = h("ul", { class: "attention" });
	const body = h("tbody");
	const number = h("span", { class: "push" });
	const words = search(() => draw());
	const state = select([["", "all"], ...STATES.map((each) => [each])], "", () => draw());

	const selected = () => [...rows].filter(([, { box }]) => box.checked).map(([name]) => name);
	const current = () => [document.activeElement.closest("tr")?.dataset.name].filter(Boolean);
	const chosen = () => (selected().length ? selected() : current());
	const count = () => say(number, `${selected().length} selected`);

	function row(name) {
		const box = h("input", { type: "checkbox", "aria-label": `select ${name}`, onchange: count });
		const cells = HEADS.slice(1).map((head) => h("td", { "data-head": head }));
		const head = h("th", { scope: "row" }, link(name, address("service", name)));
		return { box, cells, node: h("tr", { "data-name": name }, h("td", { class: "box" }, box), head, cells) };
	}

	function flow({ names, published, queued }) {
		if (names != null) return counted(names, "name");
		return published === undefined ? "" : `${short(published)}/s, ${short(queued)}`;
	}

	function draw() {
		for (const data of store.rows.values()) {
			if (!rows.has(data.name)) rows.set(data.name, row(data.name));
			const { node, cells } = rows.get(data.name);
			const of = store.of(data.name);
			const disabled = store.status.enabled.includes(data.name) ? "" : "disabled";
			if (cells[0].textContent !== stateText(data.state)) cells[0].replaceChildren(stateMark(data.state));
			[duration(store.uptime(data)), data.restarts ? `${data.restarts} ↻` : "0", percent(of.cpu_percent ?? data.cpu_percent),
				bytes(of.rss_bytes ?? data.rss_bytes), flow(of), why(data) || data.last_line || disabled,
			].forEach((text, at) => say(cells[at + 1], text));
			node.hidden = (state.value && state.value !== data.state) || !has(node, words);
		}
		const nodes = [...store.rows.keys()].map((name) => rows.get(name).node);
		if (nodes.length !== body.childElementCount || nodes.some((node, at) => body.children[at] !== node)) body.replaceChildren(...nodes);
		count();
	}

	function trouble() {
		attention.replaceChildren(...[...store.rows.values()].filter(isTrouble).map((data) => h("li",
			`${stateText(data.state)}: ${data.name}, ${counted(data.restarts, "restart")}: ${why(data)} `,
			link("log", address("logs", data.name), { class: "button" }), " ",
			app.may("operate") && button("start", app.doing(() => act(app, "start", [data.name]))))));
	}

	function measure() {
		TILES.forEach(([name, key, text, join], at) => {
			const values = store.sums(key, join).slice(-120);
			tiles[at].replaceChildren(h("span", name), h("b", text(values.at(-1))), spark(values));
		});
		draw();
	}

	const toggle = (boxes) => {
		boxes.forEach((box) => box.click());
		count();
	};
	measure();
	return {
		node: [h("h1", { class: "unseen" }, "Overview"), attention, h("ul", { class: "tiles" }, tiles),
			tools(field("filter", words), field("state", state), number, actionButtons(app, chosen)),
			h("table", { class: "cards services" }, h("caption", { class: "unseen" }, "Services"),
				h("thead", h("tr", h("td"), HEADS.map((head) => h("th", { scope: "col" }, head)))), body)],
		update(what) {
			if (what === "sample") return measure();
			trouble();
			return draw();
		},
		keys: {
			...movement(() => [...body.querySelectorAll("tr:not([hidden]) a")]), ...actionKeys(app, chosen),
			Enter: ["open", () => current().forEach((name) => app.go("service", name))],
			" ": ["select", () => toggle(current().map((name) => rows.get(name).box))],
			a: ["select all", () => toggle([...rows.values()].map(({ box }) => box))],
		},
	};
}
