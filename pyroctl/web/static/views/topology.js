// Who needs, talks to, publishes to and hears whom; layers from left to right.

import { address, h, pane, svg, table } from "../lib/dom.js";
import { shape } from "../lib/states.js";
import { short } from "../lib/units.js";

const [WIDE, HIGH, GAP_X, GAP_Y] = [150, 34, 90, 18];
const [LONGEST, EVERY] = [16, 5000];

export function topology(app) {
	const drawing = pane("drawing", "scroll");
	const twin = h("div");
	let known = "";
	app.repeat(async () => {
		const graph = await app.api.get("topology");
		if (known === JSON.stringify(graph) || drawing.matches(":focus-within, :hover")) return;
		known = JSON.stringify(graph);
		const name = (id) => graph.nodes.find((node) => node.id === id)?.label;
		drawing.replaceChildren(draw(graph));
		twin.replaceChildren(table("The same as a table", ["from", "how", "to", "what", "per second"], graph.edges.map((edge) =>
			[name(edge.from), edge.kind, name(edge.to), edge.label ?? "", edge.rate == null ? "" : short(edge.rate)])));
	}, () => EVERY);
	return {
		node: [h("h1", "Topology"), h("p", { class: "found" }, "solid: needs · dashed: a connection that was observed · dotted: "
			+ "publishes or subscribes. The pointer or the keyboard on a box shows what belongs to it."), drawing, twin],
	};
}

function draw({ nodes, edges }) {
	const places = placed(nodes, edges);
	const far = (at) => Math.max(...[...places.values()].map((each) => each[at])) + [WIDE, HIGH][at] + 2;
	const lines = edges.map((edge) => {
		const [[x1, y1], [x2, y2]] = [places.get(edge.from), places.get(edge.to)].map(([x, y]) => [x, y + HIGH / 2]);
		const [start, end] = x1 < x2 ? [x1 + WIDE, x2] : [x1, x2 + (x1 > x2 ? WIDE : 0)];
		const bend = x1 === x2 ? -40 : (end - start) / 2;
		return [svg("path", {
			class: `edge ${edge.kind}`, "stroke-width": 1.2 + Math.min(4, Math.log10(1 + (edge.rate ?? 0))),
			d: `M${start} ${y1}C${start + bend} ${y1} ${x1 === x2 ? end + bend : end - bend} ${y2} ${end} ${y2}`,
		}, svg("title", `${edge.from} ${edge.kind} ${edge.to} ${edge.label ?? ""}`)), [edge.from, edge.to]];
	});
	const boxes = nodes.map(({ id, label, kind, state = "" }) => {
		const [x, y] = places.get(id);
		const short_ = label.length > LONGEST ? `${label.slice(0, LONGEST - 1)}…` : label;
		return [svg("a", {
			href: kind === "service" ? address("service", id) : address("topology"), class: `node ${kind} ${state}`,
			"aria-label": `${label}, ${kind} ${state}`, onpointerenter: () => isolate(id), onfocus: () => isolate(id),
			onpointerleave: () => isolate(null), onblur: () => isolate(null),
		}, svg("rect", { x: x + 1, y: y + 1, width: WIDE, height: HIGH, rx: 5 }),
		svg("text", { x: x + 10, y: y + 22 }, `${shape(state)} ${short_}`), svg("title", label)), [id]];
	});
	function isolate(id) {
		const near = id && closure(id, edges);
		[...lines, ...boxes].forEach(([element, ids]) => element.classList.toggle("faint", near && !ids.every((each) => near.has(each))));
	}
	return svg("svg", { class: "graph", viewBox: `-45 0 ${far(0) + 45} ${far(1)}`, width: far(0) + 45, height: far(1), role: "group", "aria-label": "topology" },
		[...lines, ...boxes].map(([element]) => element));
}

/** Return where each node is: in its layer, near the middle of those before that it belongs to. */
function placed(nodes, edges) {
	const places = new Map();
	const layers = Map.groupBy(nodes, ({ layer }) => layer ?? 0);
	[...layers.keys()].sort((a, b) => a - b).forEach((layer, column) => {
		const weight = ({ id }) => {
			const near = edges.filter(({ from, to }) => from === id || to === id)
				.map(({ from, to }) => places.get(from === id ? to : from)?.[1]).filter((y) => y !== undefined);
			return near.reduce((a, b) => a + b, 0) / (near.length || 1);
		};
		const sorted = layers.get(layer).map((node) => [weight(node), node.id]).sort(([a], [b]) => a - b);
		sorted.forEach(([, id], row) => places.set(id, [column * (WIDE + GAP_X), (row + (column % 2) / 2) * (HIGH + GAP_Y)]));
	});
	return places;
}

function closure(id, edges) {
	const found = new Set([id]);
	for (const [start, end] of [["from", "to"], ["to", "from"]]) {
		const reached = new Set([id]);
		for (const at of reached) edges.filter((edge) => edge[start] === at).forEach((edge) => reached.add(edge[end]));
		reached.forEach((each) => found.add(each));
	}
	return found;
}
