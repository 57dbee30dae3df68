// One service: its plots, how its runs ended, who needs it, its configuration, its last words.

import { actionButtons, actionKeys } from "../lib/actions.js";
import { Refusal } from "../lib/api.js";
import { chart } from "../lib/chart.js";
import { field, h, select, table } from "../lib/dom.js";
import { logLine } from "../lib/lines.js";
import { stateMark, why } from "../lib/states.js";
import { bytes, delay, duration, percent, short, when } from "../lib/units.js";

const PERIODS = [["600", "10 min"], ["3600", "1 h"], ["10800", "3 h"], ["604800", "7 d"]];
const PLOTS = {
  "": [["processor", ["cpu_percent"], percent], ["memory", ["rss_bytes"], bytes], ["log, bytes/s", ["log_bytes"], bytes]],
  eventservice: [["events/s", ["published", "delivered", "dropped"], short], ["queued", ["queued"], short],
    ["delivery", ["p50", "p99"], delay]],
  nameserver: [["names", ["names"], short]],
};

export function service(app, name) {
  const { api, store } = app;
  const plots = h("div", { class: "plots" });
  const facts = h("div", {});
  const head = h("p", {});
  const log = h("div", { class: "lines", tabindex: "0", role: "region", "aria-label": "last lines" });
  let period = "600";
  let timer = 0;
  let known = "";
  let history = [];

  async function draw() {
    clearTimeout(timer);
    const kind = store.rows.get(name)?.kind;
    const to = Date.now() / 1000;
    const from = to - Number(period);
    const marks = history.map((entry) => ({ time: Date.parse(entry.time) / 1000, text: entry.exit.text }));
    try {
      plots.replaceChildren(...await Promise.all([...PLOTS[""], ...(PLOTS[kind] ?? [])].map(
        async ([title, names, words]) => chart(title, await Promise.all(names.map(async (each) => ({
          ...await api.get("series", { service: name, name: each, from, to, points: 300 }), name: each.replace("_", " "),
        }))), { from, to, marks, words }))));
    } catch (refusal) {
      if (!plots.childElementCount) app.fault(refusal);
    }
    if (timer !== null) timer = setTimeout(pause, Math.min(60_000, Math.max(2000, Number(period) * 4)));
  }
  // A table that somebody reads stays as it is.
  const pause = () => (plots.querySelector("[aria-expanded=true]") ? (timer = setTimeout(pause, 2000)) : draw());

  const link = (each) => h("li", {}, h("a", { href: `#/service/${encodeURIComponent(each)}` }, each));
  const names = (title, list = []) => h("div", {}, h("h2", {}, title),
    list.length ? h("ul", { class: "row" }, list.map(link)) : h("p", {}, "none"));

  async function read() {
    try {
      const data = await api.get(`services/${encodeURIComponent(name)}`);
      history = data.history ?? [];
      const endings = history.toReversed().map((each) =>
        [when(each.time), each.pid ?? "–", duration(each.uptime_s), each.then ?? "", each.reason]);
      facts.replaceChildren(
        h("h2", {}, "How its runs ended"),
        endings.length ? table("", ["when", "process", "uptime", "then", "why"], endings) : h("p", {}, "It has not ended yet."),
        names("Needs", data.needs), names("Needed by", data.needed_by),
        h("h2", {}, "Configuration"),
        table("", ["key", "value", "origin"], (data.config ?? []).map(({ key, value, origin }) => [key, text(value), origin])),
      );
      const { lines } = await api.get("logs", { service: name, limit: 20 });
      log.replaceChildren(...lines.map((each) => logLine(each, false)));
    } catch (refusal) {
      if (refusal instanceof Refusal && refusal.status !== 404) app.fault(refusal);
      else facts.replaceChildren(h("p", {}, `There is no service ${name}.`));
    }
  }

  function update(what) {
    const row = store.rows.get(name);
    if (!row || what !== "state") return;
    head.replaceChildren(stateMark(row.state), ` ${[row.pid && `process ${row.pid}`, row.uptime_s !== null
      && `for ${duration(row.uptime_s)}`, row.uri, why(row)].filter(Boolean).join(" · ")}`);
    const now = JSON.stringify([row.state, row.pid, row.restarts]);
    if (now !== known) {
      known = now;
      read().then(draw);
    }
  }

  return {
    node: [
      h("h1", {}, name), head, h("div", { class: "tools" },
        field("period", select(PERIODS, period, (value) => {
          period = value;
          draw();
        })),
        h("a", { class: "button", href: `#/logs/${encodeURIComponent(name)}` }, "Log"), h("span", { class: "push" }),
        actionButtons(app, () => [name])),
      plots, h("h2", {}, "Last words"), log, facts,
    ],
    update,
    close: () => {
      clearTimeout(timer);
      timer = null;
    },
    keys: { ...actionKeys(app, () => [name]), l: ["log", () => app.go("logs", name)] },
  };
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
