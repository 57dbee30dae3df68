// Plots as SVG: colours come from the style sheet, and a table has the same numbers for everybody.

import { button, h, svg, table } from "./dom.js";
import { clock, when } from "./units.js";

const WIDTH = 600;
const HEIGHT = 150;
const LEFT = 58;
const BOTTOM = 18;
const MOST_ROWS = 60;

/**
 * Return a figure: a plot with a button that shows it as a table.
 *
 * `lines` have a `name` and the columns of a series: `from`, `step`, `mean`, `min`, `max`; null is
 * no sample, and is left open. `marks` are `{time, text}`, `words` makes text of a number.
 */
export function chart(title, lines, { from, to, marks = [], words }) {
  const top = ceiling(Math.max(0, ...lines.flatMap((line) => (line.max ?? line.mean).map((v) => v ?? 0))));
  const x = (time) => LEFT + ((time - from) / (to - from)) * (WIDTH - LEFT);
  const y = (value) => 6 + (1 - value / top) * (HEIGHT - BOTTOM - 6);
  const seen = marks.filter(({ time }) => time >= from && time <= to);
  const picture = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot", preserveAspectRatio: "none",
    "aria-label": `${title}: ${lines.map((line) => summary(line, words)).join("; ")}`,
  }, axes(from, to, top, x, y, words), lines.map((line, at) => drawn(line, at, x, y)),
  seen.map(({ time, text }) => svg("g", { class: "mark" },
    svg("title", {}, `${when(time)}: ${text}`),
    svg("path", { d: `M${x(time)} 4V${HEIGHT - BOTTOM}m-4 0h8l-4-7z` }))));
  const holder = h("div", {});
  const show = button("table", () => {
    const open = holder.childElementCount === 0;
    show.setAttribute("aria-expanded", String(open));
    holder.replaceChildren(...(open ? [numbers(title, lines, seen, words)] : []));
  }, { "aria-expanded": "false", "aria-label": `${title} as a table`, class: "quiet" });
  const legend = lines.map((line, at) => h("span", { class: `key line${at}` },
    `${line.name} ${words(last(line.mean))}`));
  return h("figure", {}, h("figcaption", {}, h("b", {}, title), legend, show), picture, holder);
}

/** Return a small line of the last values, for a tile. */
export function spark(values, name) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(...known, 1e-9);
  const step = 100 / Math.max(values.length - 1, 1);
  return svg("svg", {
    viewBox: "0 0 100 24", class: "spark", preserveAspectRatio: "none", "aria-hidden": "true",
  }, svg("path", { class: "stroke line0", d: path(values, (at) => at * step, (value) => 23 - (value / top) * 21) },
    svg("title", {}, name)));
}

function path(values, x, y) {
  let drawing = false;
  return values.map((value, at) => {
    const known = value !== null && value !== undefined;
    const command = !known ? "" : `${drawing ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    drawing = known;
    return command;
  }).join("");
}

function drawn({ mean, min, max, from, step }, at, x, y) {
  const place = (index) => x(from + index * step);
  const band = min && max ? runs(min).map(([start, end]) => {
    const there = path(max.slice(start, end), (index) => place(index + start), y);
    const back = path(min.slice(start, end).reverse(), (index) => place(end - 1 - index), y);
    return svg("path", { class: `band line${at}`, d: `${there}${back.replace("M", "L")}Z` });
  }) : [];
  return [...band, svg("path", { class: `stroke line${at}`, d: path(mean, place, y) })];
}

/** Return the ranges of indices without null. */
function runs(values) {
  const found = [];
  values.forEach((value, at) => {
    if (value === null) return;
    if (at && values[at - 1] !== null) found.at(-1)[1] = at + 1;
    else found.push([at, at + 1]);
  });
  return found;
}

function axes(from, to, top, x, y, words) {
  const levels = [0, top / 2, top].map((value) => [
    svg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH}` }),
    svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, words(value)),
  ]);
  const times = [0, 0.25, 0.5, 0.75].map((part) => {
    const time = from + part * (to - from);
    const text = to - from > 86400 ? when(time).slice(5, 16) : clock(time).slice(0, to - from > 1200 ? 5 : 8);
    return svg("text", { x: x(time), y: HEIGHT - 3 }, text);
  });
  return svg("g", { "aria-hidden": "true" }, levels, times);
}

function ceiling(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].find((each) => each * size >= value) * size;
}

const last = (values) => values.findLast((value) => value !== null);

function summary({ name, mean }, words) {
  const known = mean.filter((value) => value !== null);
  if (!known.length) return `${name}: nothing was measured`;
  return `${name} now ${words(known.at(-1))}, at most ${words(Math.max(...known))}`;
}

function numbers(title, lines, marks, words) {
  const longest = Math.max(...lines.map(({ mean }) => mean.length));
  const every = Math.max(1, Math.ceil(longest / MOST_ROWS));
  const rows = [];
  for (let at = longest - 1; at >= 0; at -= every) {
    const time = lines[0].from + at * lines[0].step;
    const marked = marks.filter((mark) => mark.time > time - every * lines[0].step && mark.time <= time);
    rows.push([when(time), ...lines.map(({ mean }) => words(mean[at])), marked.map(({ text }) => text).join(", ")]);
  }
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, numbers` },
    table(title, ["time", ...lines.map(({ name }) => name), "what happened"], rows));
}
