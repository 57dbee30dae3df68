// Plots as SVG: colours come from the style sheet, and a table has the same numbers for everybody.

import { button, h, pane, svg, table } from "./dom.js";
import { clock, when } from "./units.js";

const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [600, 150, 62, 8, 130];
const MOST_ROWS = 60;

/**
 * Return a figure: a plot with a button that shows it as a table.
 *
 * `lines` have a `name` and a series: `from`, `step`, `mean`, `min`, `max`; null is no sample, and is
 * left open. `marks` are `{time, text}`, `words` makes text of a number.
 */
export function chart(title, lines, { from, to, marks, words }) {
	const top = ceiling(Math.max(...lines.flatMap(({ max }) => max)));
	const x = (time) => LEFT + ((time - from) / (to - from)) * (WIDTH - LEFT);
	const y = (value) => BOTTOM - (value / top) * (BOTTOM - TOP);
	const seen = marks.filter(({ time }) => time >= from && time <= to);
	const label = `${title}: ${lines.map((line) => summary(line, words)).join("; ")}`;
	const numbers = h("div");
	const show = button("table", () => {
		const open = !numbers.hasChildNodes();
		show.setAttribute("aria-expanded", open);
		numbers.replaceChildren(...(open ? [pane(`${title}, numbers`, "scroll", rows(lines, seen, words))] : []));
	}, { "aria-expanded": false, "aria-label": `${title} as a table`, class: "quiet" });
	return h("figure",
		h("figcaption", h("b", title), lines.map((line, at) => h("span", { class: `key line${at}` },
			`${line.name} ${words(line.mean.findLast((value) => value !== null))}`)), show),
		svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot", "aria-label": label },
			[0, top / 2, top].map((value) => [svg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH}` }),
				svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, words(value))]),
			[0, 0.25, 0.5, 0.75].map((part) => svg("text", { x: LEFT + part * (WIDTH - LEFT), y: HEIGHT - 3 },
				axis(from + part * (to - from), to - from))),
			lines.map((line, at) => drawn(line, `line${at}`, (index) => x(line.from + index * line.step), y)),
			seen.map(({ time, text }) => svg("path", { class: "mark", d: `M${x(time)} ${TOP}V${BOTTOM}m-4 0h8l-4-7z` },
				svg("title", `${when(time)}: ${text}`)))),
		numbers);
}

export function spark(values) {
	const top = Math.max(...values, 1e-9);
	const step = 100 / Math.max(values.length - 1, 1);
	return svg("svg", { viewBox: "0 0 100 24", class: "spark", preserveAspectRatio: "none", "aria-hidden": true },
		svg("path", { class: "stroke line0", d: path(values, (at) => at * step, (value) => 23 - (value / top) * 21) }));
}

const path = (values, x, y) => values.map((value, at) =>
	(value === null ? "" : `${at && values[at - 1] !== null ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`)).join("");

function drawn({ mean, min, max }, kind, x, y) {
	const band = mean.map((value, at) => (value === null || min[at] === max[at] ? ""
		: `M${x(at).toFixed(1)} ${y(max[at]).toFixed(1)}V${y(min[at]).toFixed(1)}`)).join("");
	return [svg("path", { class: `band stroke ${kind}`, d: band }), svg("path", { class: `stroke ${kind}`, d: path(mean, x, y) })];
}

function axis(time, period) {
	if (period > 86400) return when(time).slice(5, 16);
	return clock(time).slice(0, period > 1200 ? 5 : 8);
}

function ceiling(value) {
	const size = 10 ** Math.floor(Math.log10(value));
	return value > 0 ? [1, 2, 4, 5, 10].find((each) => each * size >= value) * size : 1;
}

function summary({ name, mean }, words) {
	const known = mean.filter((value) => value !== null);
	return known.length ? `${name} now ${words(known.at(-1))}, at most ${words(Math.max(...known))}` : `${name} was not measured`;
}

function rows(lines, marks, words) {
	const [{ from, step, mean }] = lines;
	const every = Math.ceil(mean.length / MOST_ROWS);
	const times = mean.map((_, at) => at).filter((at) => at % every === 0).reverse();
	return table("", ["time", ...lines.map(({ name }) => name), "what happened"], times.map((at) => {
		const time = from + at * step;
		const marked = marks.filter((mark) => mark.time >= time && mark.time < time + every * step);
		return [when(time), ...lines.map((line) => words(line.mean[at])), marked.map(({ text }) => text).join(", ")];
	}));
}
