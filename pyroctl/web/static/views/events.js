// What flows: a tap by pattern, subjects by rate, who listens, and a way to publish.

import { button, download, field, form, h, pane, say, search, select, table, tools } from "../lib/dom.js";
import { clock, counted, short } from "../lib/units.js";

const [KEPT, SHOWN, EVERY] = [1000, 200, 2000];

export function events(app) {
	const { api, live, store } = app;
	const services = store.names("eventservice");
	if (!services.length) return { node: [h("p", "There is no event service in this deployment.")] };
	const list = pane("events", "lines");
	const found = h("p", { class: "found" });
	const pattern = search(null, { onchange: () => tap(), placeholder: "regular expression" });
	const es = select(services.map((each) => [each]), services[0], () => tap());
	const [subjects, subscribers] = [h("div"), h("div")];
	let [kept, passed, paused, topic] = [[], 0, false, ""];
	let end = () => {};

	function tap() {
		end();
		topic = paused ? "" : `tap:${es.value}:${pattern.value}`;
		end = paused ? () => {} : live.want(topic);
		count();
	}

	const count = () => say(found, counted(kept.length, "event") + (passed ? `; ${passed} passed without being shown` : ""));
	const line = ({ time, subject, text, truncated }) => h("div", { class: "line" },
		h("time", clock(time)), " ", h("b", subject), ` ${text}${truncated ? " …" : ""}`);

	app.repeat(async () => {
		const [flow, heard] = await Promise.all(["subjects", "subscriptions"].map((each) => api.get(`es/${each}`, { service: es.value })));
		subjects.replaceChildren(table("Subjects by rate", ["subject", "per second", "count", "listeners"],
			flow.map((row) => [row.subject, short(row.rate), row.count, row.listeners])));
		subscribers.replaceChildren(table("Subscribers by queue", ["subscriber", "queued", "dropped", "subjects, patterns"],
			heard.toSorted((a, b) => b.queued - a.queued).map((row) =>
				[row.subscriber, row.queued, row.dropped, [...row.subjects, ...row.patterns.map((each) => `/${each}/`)].join(", ")])));
	}, () => EVERY);

	const subject = h("input", { required: true, autocomplete: "off" });
	const message = h("textarea", { rows: 2 });
	const done = h("span");
	const publish = app.doing(async () => {
		await api.post("es/publish", { service: es.value, subject: subject.value, msg: parsed(message.value) });
		say(done, `published ${clock()}`);
	});
	const pause = button("Pause", () => {
		paused = !paused;
		say(pause, paused ? "Go on" : "Pause");
		tap();
	});
	const clear = () => {
		[kept, passed] = [[], 0];
		list.replaceChildren();
		count();
	};
	app.finally(() => end());
	tap();
	return {
		node: [h("h1", { class: "unseen" }, "Events"), tools(
			services.length > 1 && field("service", es), field("pattern", pattern), pause, button("Clear", clear),
			button("Download", () => download("events.json", "application/json", JSON.stringify(kept, null, 1)))), found, list,
		app.may("operate") && form(publish, h("h2", "Publish"), tools(field("subject", subject), field("message, JSON or text", message), h("button", "Publish"), done)),
		h("div", { class: "halves" }, subjects, subscribers)],
		tap(news) {
			if (news.topic !== topic) return;
			passed += news.missed ?? 0;
			kept = [...kept, ...news.events].slice(-KEPT);
			list.prepend(...news.events.toReversed().map(line));
			while (list.childElementCount > SHOWN) list.lastChild.remove();
			count();
		},
		missed: (number) => { passed += number; },
		keys: { p: ["pause", () => pause.click()], c: ["clear the view", clear] },
	};
}

function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}
