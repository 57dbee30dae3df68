// One service: its plots, its last words, how its runs ended, who needs it, its configuration.

import { actionButtons, actionKeys } from "../lib/actions.js";
import { chart } from "../lib/chart.js";
import { address, field, h, link, pane, select, table, tools } from "../lib/dom.js";
import { logLine } from "../lib/lines.js";
import { stateMark, why } from "../lib/states.js";
import { bytes, date, delay, duration, percent, short, when } from "../lib/units.js";

const PERIODS = [["600", "10 min"], ["3600", "1 h"], ["10800", "3 h"], ["604800", "7 d"]];
const PLOTS = [["processor", { cpu_percent: "cpu" }, percent], ["memory", { rss_bytes: "memory" }, bytes], ["log, bytes/s", { log_bytes: "log" }, bytes]];
const MORE = {
	eventservice: [["events/s", { published: "published", delivered: "delivered", dropped: "dropped" }, short],
		["queued", { queued: "queued" }, short], ["delivery", { p50: "half in", p99: "99 % in" }, delay]],
	nameserver: [["names", { names: "names" }, short]],
};
const POINTS = 300;

export function service(app, name) {
	const { api, store } = app;
	if (!store.rows.has(name)) return { node: [h("p", `There is no service ${name}.`)] };
	const [plots, facts, head] = [h("div", { class: "plots" }), h("div"), h("p")];
	const log = pane("last lines", "lines");
	let known = "";
	let marks = [];
	const period = select(PERIODS, "600", () => draw());

	async function series(from, to, key, words) {
		return { ...await api.get("series", { service: name, name: key, from, to, points: POINTS }), name: words };
	}

	const draw = app.repeat(async () => {
		if (plots.querySelector("[aria-expanded=true]")) return; // somebody reads a table
		const to = Date.now() / 1000;
		const from = to - period.value;
		plots.replaceChildren(...await Promise.all([...PLOTS, ...MORE[store.rows.get(name)?.kind] ?? []].map(
			async ([title, keys, words]) => chart(title, await Promise.all(Object.entries(keys).map(([key, each]) =>
				series(from, to, key, each))), { from, to, marks, words }))));
	}, () => Math.min(60_000, Math.max(2000, period.value * 4)));

	const others = (title, names) => [h("h2", title), names.length
		? h("ul", { class: "row" }, names.map((each) => h("li", link(each, address("service", each))))) : h("p", "none")];

	const read = app.doing(async () => {
		const data = await api.get(`services/${encodeURIComponent(name)}`);
		const history = data.history.toReversed();
		marks = history.map(({ time, reason }) => ({ time: date(time) / 1000, text: reason }));
		facts.replaceChildren(
			h("h2", "How its runs ended"),
			history.length ? table("", ["when", "process", "uptime", "then", "why"], history.map((each) =>
				[when(each.time), each.pid ?? "–", duration(each.uptime_s), each.then ?? "", each.reason])) : h("p", "It has not ended yet."),
			...others("Needs", data.needs), ...others("Needed by", data.needed_by), h("h2", "Configuration"),
			table("", ["key", "value", "origin"], data.config.map(({ key, value, origin }) => [key, value, origin])));
		const { lines } = await api.get("logs", { service: name, limit: 20 });
		log.replaceChildren(...lines.map((line) => logLine(line, false)));
		log.scrollTop = log.scrollHeight;
		draw();
	});

	return {
		node: [h("h1", name), head, tools(field("period", period),
			link("Log", address("logs", name), { class: "button" }), h("span", { class: "push" }), actionButtons(app, () => [name])),
		plots, h("h2", "Last words"), log, facts],
		update() {
			const row = store.rows.get(name);
			if (!row) return;
			const words = [row.pid && `process ${row.pid}`, row.uptime_s != null && `for ${duration(store.uptime(row))}`, row.uri, why(row)];
			head.replaceChildren(stateMark(row.state), ` ${words.filter(Boolean).join(" · ")}`);
			const now = JSON.stringify([row.state, row.pid, row.restarts]);
			if (now !== known) read();
			known = now;
		},
		keys: { ...actionKeys(app, () => [name]), l: ["log", () => app.go("logs", name)] },
	};
}
