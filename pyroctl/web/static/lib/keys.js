// Keys: those of the screen that is shown, then those of the page.

import { ask } from "./dialog.js";
import { h } from "./dom.js";

/** Listen; `tables` returns keys → `[words, function]`, the ones that win first. */
export function listen(tables) {
	document.addEventListener("keydown", (event) => {
		const { target, key } = event;
		if (event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
		if (target.closest("input:not([type=checkbox]), textarea, select")) {
			if (key === "Escape") target.blur();
			return;
		}
		const name = event.ctrlKey ? `^${key}` : key;
		const found = tables().find((each) => each[name]);
		if (!found || ([" ", "Enter"].includes(key) && target.closest("button, summary, input") )
			|| (key === "Enter" && target.closest("a"))) return;
		event.preventDefault();
		found[name][1]();
	});
}

export function help(tables) {
	const all = Object.assign({}, ...tables.toReversed());
	const rows = Object.entries(all).filter(([, [words]]) => words).map(([key, [words]]) =>
		h("div", h("dt", h("kbd", key === " " ? "Space" : key.replace("^", "Ctrl-"))), h("dd", words)));
	return ask("Keys", h("dl", { class: "keys" }, rows), [["close", "Close"]]);
}

export function movement(links) {
	const go = (to) => () => {
		const all = links();
		const at = all.indexOf(document.activeElement.closest("tr")?.querySelector("a"));
		all[Math.max(0, Math.min(all.length - 1, to(at, all.length)))]?.focus();
	};
	const [down, up] = [go((at) => at + 1), go((at) => at - 1)];
	return {
		j: ["down", down], ArrowDown: ["", down], k: ["up", up], ArrowUp: ["", up],
		g: ["to the first", go(() => 0)], G: ["to the last", go((_, length) => length - 1)],
		"^d": ["ten down", go((at) => at + 10)], "^u": ["ten up", go((at) => at - 10)],
	};
}
