// Lines of logs as elements.

import { h } from "./dom.js";
import { pieces } from "./sgr.js";
import { clock, when } from "./units.js";

export function logLine({ time, service, stream, text }, named = true) {
	const hue = 1 + [...service].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % 6;
	return h("div", { class: stream === "stderr" ? "line err" : "line" },
		h("time", { title: when(time) }, clock(time)), " ", named && h("span", { class: `f${hue}` }, `${service} `),
		pieces(text).map(([part, classes]) => (classes ? h("span", { class: classes }, part) : part)));
}
