// All services at a glance: what needs attention, how much flows, a row for each.

import { actionButtons, actionKeys, act } from "../lib/actions.js";
import { spark } from "../lib/chart.js";
import { button, field, h, say, select } from "../lib/dom.js";
import { movement } from "../lib/keys.js";
import { isTrouble, STATES, stateMark, why } from "../lib/states.js";
import { bytes, counted, delay, duration, percent, short } from "../lib/units.js";

const HEADS = ["service", "state", "since", "restarts", "cpu", "memory", "rate, queue", "last line"];
const TILES = [
  ["events/s", "published", short], ["queued", "queued", short],
  ["p99", "p99", delay, Math.max], ["memory", "rss_bytes", bytes],
];

export function overview(app) {
  const { store } = app;
  const rows = new Map();
  const tiles = TILES.map(([name]) => h("li", {}, h("span", {}, name)));
  const attention = h("ul", { class: "attention" });
  const body = h("tbody", {});
  const search = h("input", { type: "search", oninput: () => draw() });
  const number = h("span", {});
  let state = "";

  const selected = () => [...rows].filter(([, { box }]) => box.checked).map(([name]) => name);
  const current = () => document.activeElement.closest("tr")?.dataset.name;
  const chosen = () => (selected().length ? selected() : [current()].filter(Boolean));
  const count = () => say(number, `${selected().length} selected`);

  function row(name) {
    const box = h("input", { type: "checkbox", "aria-label": `select ${name}`, onchange: count });
    const cells = HEADS.map((head, at) => h(at ? "td" : "th", { "data-head": head, scope: at ? null : "row" }));
    cells[0].append(h("a", { href: `#/service/${encodeURIComponent(name)}` }, name));
    return { box, cells, node: h("tr", { "data-name": name }, h("td", { class: "box" }, box), cells) };
  }

  function flow(name, of) {
    if (of.names != null) return counted(of.names, "name");
    return of.published === undefined ? "" : `${short(of.published)}/s, ${short(of.queued)}`;
  }

  function draw() {
    const words = search.value.toLowerCase();
    for (const data of store.status.services) {
      const { name } = data;
      if (!rows.has(name)) rows.set(name, row(name));
      const { node, cells } = rows.get(name);
      const of = store.of(name);
      if (cells[1].textContent !== stateMark(data.state).textContent) cells[1].replaceChildren(stateMark(data.state));
      const enabled = store.status.enabled.includes(name);
      [duration(data.uptime_s), data.restarts ? `${data.restarts} ↻` : "0", percent(of.cpu_percent ?? data.cpu_percent),
        bytes(of.rss_bytes ?? data.rss_bytes), flow(name, of),
        why(data) || data.last_line || (enabled ? "" : "disabled")].forEach((text, at) => say(cells[at + 2], text));
      node.hidden = (state && state !== data.state) || !node.textContent.toLowerCase().includes(words);
    }
    for (const name of [...rows.keys()].filter((each) => !store.rows.has(each))) rows.delete(name);
    const nodes = [...rows.values()].map(({ node }) => node);
    if (nodes.some((node, at) => body.children[at] !== node) || body.childElementCount !== nodes.length) {
      body.replaceChildren(...nodes);
    }
    count();
    trouble(store.status.services.filter(isTrouble));
  }

  function trouble(found) {
    const key = JSON.stringify(found.map((data) => [data.name, data.state, data.restarts, why(data)]));
    if (attention.dataset.key === key) return;
    attention.dataset.key = key;
    attention.replaceChildren(...found.map((data) => h("li", {},
      `${stateMark(data.state).textContent}: ${data.name}, ${counted(data.restarts, "restart")}: ${why(data)} `,
      h("a", { href: `#/logs/${encodeURIComponent(data.name)}`, class: "button" }, "log"),
      app.may("operate") ? button("start", () => act(app, "start", [data.name])) : null)));
  }

  function measure() {
    TILES.forEach(([name, key, words, join], at) => {
      const values = store.sums(key, join);
      tiles[at].replaceChildren(h("span", {}, name), h("b", {}, words(values.at(-1))), spark(values.slice(-120), name));
    });
    draw();
  }

  const node = [
    h("h1", { class: "unseen" }, "Overview"), attention, h("ul", { class: "tiles" }, tiles),
    h("div", { class: "tools" }, field("filter", search),
      field("state", select([["", "all"], ...STATES.map((each) => [each, each])], "", (value) => {
        state = value;
        draw();
      })), h("span", { class: "push" }, number), actionButtons(app, chosen)),
    h("table", { class: "cards services" }, h("caption", { class: "unseen" }, "Services"),
      h("thead", {}, h("tr", {}, h("td", {}), HEADS.map((head) => h("th", { scope: "col" }, head)))), body),
  ];
  const toggle = (pick) => () => {
    pick().forEach(({ box }) => { box.checked = !box.checked; });
    count();
  };
  measure();
  return {
    node,
    update: (what) => (what === "sample" ? measure() : draw()),
    keys: {
      ...movement(() => [...body.querySelectorAll("tr:not([hidden]) a")]), ...actionKeys(app, chosen),
      Enter: ["open", () => current() && app.go("service", current())],
      " ": ["select", toggle(() => [rows.get(current())].filter(Boolean))],
      a: ["select all", toggle(() => [...rows.values()])],
    },
  };
}
