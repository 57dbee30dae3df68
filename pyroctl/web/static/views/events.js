// What flows: a tap by pattern, subjects by rate, who listens, and a way to publish.

import { button, download, field, h, say, select, table } from "../lib/dom.js";
import { clock, counted, short } from "../lib/units.js";

const KEPT = 1000;
const SHOWN = 200;
const EVERY = 2000;

export function events(app) {
  const { api, live, store } = app;
  const services = store.names("eventservice");
  let [es] = services;
  if (!es) return { node: h("p", {}, "There is no event service in this deployment.") };
  const list = h("div", { class: "lines", tabindex: "0", role: "region", "aria-label": "events" });
  const found = h("p", { class: "found" });
  const pattern = h("input", { type: "search", placeholder: "regular expression; empty: all", onchange: () => tap() });
  const [subjects, subscribers] = [h("div", {}), h("div", {})];
  let end = () => {};
  let kept = [];
  let passed = 0;
  let paused = false;
  let timer = 0;
  let topic = "";

  function tap() {
    end();
    topic = `tap:${es}:${pattern.value}`;
    end = live.want(topic);
    count();
  }

  const count = () => say(found, `${counted(kept.length, "event")}${passed ? `; ${passed} passed without being shown` : ""}`);
  const line = (event) => h("div", { class: "line" }, h("time", {}, clock(event.time)), " ",
    h("b", {}, event.subject), " ", event.text, event.truncated ? " …" : "");

  async function look() {
    try {
      const [flow, heard] = await Promise.all([
        api.get("es/subjects", { service: es, sort: "rate" }), api.get("es/subscriptions", { service: es })]);
      subjects.replaceChildren(table("Subjects by rate", ["subject", "per second", "count", "listeners"],
        flow.subjects.map((row) => [row.subject, short(row.rate), row.count, row.listeners])));
      subscribers.replaceChildren(table("Subscribers by queue", ["subscriber", "queued", "dropped", "subjects, patterns"],
        heard.subscriptions.toSorted((a, b) => b.queued - a.queued).map((row) => [row.subscriber, row.queued, row.dropped,
          [...row.subjects, ...row.patterns.map((each) => `/${each}/`)].join(", ")])));
    } catch (refusal) {
      app.fault(refusal);
    }
    if (timer !== null) timer = setTimeout(look, EVERY);
  }

  async function publish(event) {
    event.preventDefault();
    let msg = message.value;
    try {
      msg = JSON.parse(msg);
    } catch { /* then it is text */ }
    try {
      await api.post("es/publish", { service: es, subject: subject.value, msg });
      say(done, `published ${clock(Date.now() / 1000)}`);
    } catch (refusal) {
      app.fault(refusal);
    }
  }

  const subject = h("input", { required: true, autocomplete: "off" });
  const message = h("textarea", { rows: 2 });
  const done = h("span", { role: "status" });
  const pause = button("Pause", () => {
    paused = !paused;
    say(pause, paused ? "Go on" : "Pause");
    if (paused) end();
    else tap();
  });
  const clear = () => {
    kept = [];
    passed = 0;
    list.replaceChildren();
    count();
  };
  tap();
  look();
  return {
    node: [
      h("h1", { class: "unseen" }, "Events"),
      h("div", { class: "tools" }, services.length > 1 ? field("service", select(services.map((each) => [each, each]), es, (value) => {
        es = value;
        tap();
      })) : null, field("pattern", pattern), pause, button("Clear", clear), button("Download", () =>
        download("events.json", "application/json", JSON.stringify(kept, null, 1)))),
      found, list,
      app.may("operate") ? h("form", { onsubmit: publish }, h("h2", {}, "Publish"),
        h("div", { class: "tools" }, field("subject", subject), field("message, JSON or text", message), h("button", {}, "Publish"), done)) : null,
      h("div", { class: "halves" }, subjects, subscribers),
    ],
    tap(news) {
      if (paused || news.topic !== topic) return;
      passed += news.missed ?? 0;
      kept = [...kept, ...news.events].slice(-KEPT);
      list.prepend(...news.events.toReversed().map(line));
      while (list.childElementCount > SHOWN) list.lastElementChild.remove();
      count();
    },
    close: () => {
      end();
      clearTimeout(timer);
      timer = null;
    },
    keys: { p: ["pause", () => pause.click()], c: ["clear", clear] },
  };
}
