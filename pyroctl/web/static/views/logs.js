// Logs of several services, merged: search on the server, back without end, follow.

import { button, check, download, field, h, pane, say, search, select, tools } from "../lib/dom.js";
import { logLine } from "../lib/lines.js";
import { plain } from "../lib/sgr.js";
import { counted } from "../lib/units.js";

const [MOST, PAGE] = [3000, 300];
const SINCE = [["", "ever"], ["600", "10 min"], ["3600", "1 h"], ["86400", "1 d"]];

export function logs(app, name) {
	const { api, live, store } = app;
	const list = pane("log", "lines tall");
	const found = h("p", { class: "found" });
	const boxes = h("fieldset");
	const hidden = new Set();
	const grep = search(null, { onchange: () => begin(), placeholder: "regular expression" });
	const cased = check("Aa", false, () => begin());
	const follow = check("follow", true, () => begin());
	const wrap = check("wrap", true, () => list.classList.toggle("nowrap"));
	const since = select(SINCE, "", () => begin());
	let [rows, waiting, ends, missed, note, older] = [[], [], [], 0, "", null];
	let reading = new AbortController();
	let names = [];

	const services = () => names.filter((each) => !hidden.has(each));

	function offer() {
		store.names().filter((each) => name && each !== name && !names.includes(each)).forEach((each) => hidden.add(each));
		names = store.names();
		boxes.replaceChildren(h("legend", "services"), ...names.map((each) => check(each, !hidden.has(each), () => {
			if (!hidden.delete(each)) hidden.add(each);
			begin();
		})));
		begin();
	}

	function end() {
		reading.abort();
		ends.splice(0).forEach((each) => each());
	}

	function clear() {
		[rows, waiting, missed] = [[], [], 0];
		list.replaceChildren();
		count();
	}

	const begin = app.doing(async () => {
		end();
		reading = new AbortController();
		older = null;
		clear();
		if (!services().length) return;
		if (follow.control.checked) ends = services().map((each) => live.want(`log:${each}`));
		await back();
		list.scrollTop = list.scrollHeight;
	});

	async function back() {
		say(found, "searching …");
		const query = {
			service: services(), grep: grep.value, case: cased.control.checked ? 1 : "", before: older, limit: PAGE,
			since: since.value && Date.now() / 1000 - since.value,
		};
		const answer = await api.get("logs", query, reading.signal).finally(() => say(found, ""));
		({ older } = answer);
		note = answer.complete ? "" : "; the search took too long, this is what was found so far";
		const height = list.scrollHeight;
		rows.unshift(...answer.lines);
		list.prepend(...answer.lines.map(line));
		list.scrollTop += list.scrollHeight - height;
		count();
	}

	const line = (each) => logLine(each, store.rows.size > 1);

	function count() {
		say(found, counted(rows.length, "line") + note + (missed ? `; ${missed} came too fast to be shown here` : ""));
		more.hidden = older === null;
	}

	function matches() {
		try {
			const pattern = new RegExp(grep.value, cased.control.checked ? "" : "i");
			return (each) => !hidden.has(each.service) && pattern.test(plain(each.text));
		} catch {
			return () => false;
		}
	}

	function flush() {
		const fresh = waiting.splice(0);
		const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
		rows.push(...fresh);
		list.append(...fresh.slice(-MOST).map(line));
		if (atEnd) {
			rows.splice(0, rows.length - MOST);
			while (list.childElementCount > MOST) list.firstChild.remove();
			list.scrollTop = list.scrollHeight;
		}
		count();
	}

	const more = button("Older lines", app.doing(back));
	app.finally(end);
	return {
		node: [h("h1", { class: "unseen" }, "Logs"), tools(
			boxes, field("find", grep), cased, field("since", since), follow, wrap, more,
			button("Download", () => download("log.txt", "text/plain", rows.map((each) =>
				`${each.time} ${each.service} ${plain(each.text)}\n`).join("")))), found, list],
		update: () => String(names) === String(store.names()) || offer(),
		log(news) {
			if (!follow.control.checked) return;
			const fits = matches();
			if (!waiting.length) requestAnimationFrame(flush);
			waiting.push(...news.lines.filter(fits));
			missed += news.missed ?? 0;
		},
		missed: (number) => { missed += number; },
		keys: {
			f: ["follow", () => follow.click()], w: ["wrap", () => wrap.click()], o: ["older lines", () => more.click()],
			m: ["mark", () => list.append(h("hr"))], c: ["clear the view", clear],
			g: ["to the start", () => { list.scrollTop = 0; }], G: ["to the end", () => { list.scrollTop = list.scrollHeight; }],
		},
	};
}
