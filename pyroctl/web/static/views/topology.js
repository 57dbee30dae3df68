// Who needs, talks to, publishes to and hears whom; layers from left to right.

import { h, svg, table } from "../lib/dom.js";
import { stateText } from "../lib/states.js";
import { short } from "../lib/units.js";

const [WIDE, HIGH, GAP_X, GAP_Y] = [150, 34, 90, 18];
const EVERY = 5000;

export function topology(app) {
  const holder = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "drawing" });
  const twin = h("div", {});
  let timer = 0;
  let known = "";

  async function look() {
    try {
      const graph = await app.api.get("topology");
      const now = JSON.stringify(graph);
      if (now !== known && !holder.contains(document.activeElement)) {
        known = now;
        holder.replaceChildren(drawing(graph));
        twin.replaceChildren(table("The same as a table", ["from", "how", "to", "what", "per second"], graph.edges.map((edge) =>
          [edge.from, edge.kind, edge.to, edge.label ?? "", edge.rate == null ? "" : short(edge.rate)])));
      }
    } catch (refusal) {
      app.fault(refusal);
    }
    if (timer !== null) timer = setTimeout(look, EVERY);
  }

  look();
  return {
    node: [h("h1", {}, "Topology"), h("p", { class: "found" },
      "solid: needs · dashed: a connection that was observed · dotted: publishes or subscribes. "
      + "The pointer or the keyboard on a box shows what belongs to it."), holder, twin],
    close: () => {
      clearTimeout(timer);
      timer = null;
    },
  };
}

function drawing({ nodes, edges }) {
  const places = placed(nodes, edges);
  const width = Math.max(...[...places.values()].map(([x]) => x)) + WIDE + 2;
  const height = Math.max(...[...places.values()].map(([, y]) => y)) + HIGH + 2;
  const lines = edges.filter((edge) => places.has(edge.from) && places.has(edge.to)).map((edge) => {
    const [[x1, y1], [x2, y2]] = [places.get(edge.from), places.get(edge.to)];
    const [left, right] = x1 < x2 ? [x1 + WIDE, x2] : [x1, x2 + WIDE];
    const middle = (left + right) / 2;
    const path = svg("path", {
      class: `edge ${edge.kind}`, "stroke-width": 1.2 + Math.min(4, Math.log10(1 + (edge.rate ?? 0))),
      d: `M${left} ${y1 + HIGH / 2}C${middle} ${y1 + HIGH / 2} ${middle} ${y2 + HIGH / 2} ${right} ${y2 + HIGH / 2}`,
    }, svg("title", {}, `${edge.from} ${edge.kind} ${edge.to} ${edge.label ?? ""}`));
    return { edge, path };
  });
  const boxes = nodes.map((node) => {
    const [x, y] = places.get(node.id);
    const service = node.kind === "service";
    const words = service ? stateText(node.state).split(" ")[0] : "◇";
    const box = svg("a", {
      href: service ? `#/service/${encodeURIComponent(node.id)}` : "#/topology", class: `node ${node.kind} ${node.state ?? ""}`,
      "aria-label": `${node.label}, ${node.kind} ${node.state ?? ""}`,
    }, svg("rect", { x: x + 1, y: y + 1, width: WIDE, height: HIGH, rx: 5 }),
    svg("text", { x: x + 10, y: y + 22 }, `${words} ${cut(node.label)}`), svg("title", {}, node.label));
    return { node, box };
  });
  const isolate = (id) => {
    const near = id && closure(id, edges);
    boxes.forEach(({ node, box }) => box.classList.toggle("faint", Boolean(near) && !near.has(node.id)));
    lines.forEach(({ edge, path }) => path.classList.toggle("faint", Boolean(near) && !(near.has(edge.from) && near.has(edge.to))));
  };
  for (const { node, box } of boxes) {
    for (const event of ["pointerenter", "focus"]) box.addEventListener(event, () => isolate(node.id));
    for (const event of ["pointerleave", "blur"]) box.addEventListener(event, () => isolate(null));
  }
  return svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "topology" },
    lines.map(({ path }) => path), boxes.map(({ box }) => box));
}

const cut = (label) => (label.length > 16 ? `${label.slice(0, 15)}…` : label);

/** Return where each node is; in a layer, a node is near the middle of those before it. */
function placed(nodes, edges) {
  const layers = Map.groupBy(nodes, (node) => node.layer ?? 0);
  const places = new Map();
  for (const [column, layer] of [...layers].sort(([a], [b]) => a - b).map(([, each], at) => [at, each])) {
    const weight = (node) => {
      const near = edges.flatMap(({ from, to }) => (from === node.id ? [to] : to === node.id ? [from] : []))
        .map((id) => places.get(id)?.[1]).filter((y) => y !== undefined);
      return near.length ? near.reduce((a, b) => a + b, 0) / near.length : 0;
    };
    layer.map((node) => [weight(node), node]).sort(([a], [b]) => a - b).forEach(([, node], row) =>
      places.set(node.id, [column * (WIDE + GAP_X), row * (HIGH + GAP_Y)]));
  }
  return places;
}

/** Return what a node leads to and what leads to it. */
function closure(id, edges) {
  const found = new Set([id]);
  for (const [start, end] of [["from", "to"], ["to", "from"]]) {
    const open = [id];
    while (open.length) {
      const at = open.pop();
      edges.filter((edge) => edge[start] === at && !found.has(edge[end])).forEach((edge) => {
        found.add(edge[end]);
        open.push(edge[end]);
      });
    }
  }
  return found;
}
