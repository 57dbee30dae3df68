// Logs of several services, merged: search on the server, back without end, follow.

import { button, download, field, h, say, select } from "../lib/dom.js";
import { logLine } from "../lib/lines.js";
import { plain } from "../lib/sgr.js";
import { counted, date } from "../lib/units.js";

const MOST = 3000;
const PAGE = 300;
const SINCE = [["", "ever"], ["600", "10 min"], ["3600", "1 h"], ["86400", "1 d"]];

export function logs(app, name) {
  const { api, live, store } = app;
  const list = h("div", { class: "lines tall", tabindex: "0", role: "region", "aria-label": "log" });
  const found = h("p", { class: "found" });
  const boxes = new Map(store.names().map((each) =>
    [each, h("input", { type: "checkbox", checked: !name || each === name, onchange: () => begin() })]));
  const grep = h("input", { type: "search", onchange: () => begin(), placeholder: "regular expression" });
  const flag = (checked, onchange) => h("input", { type: "checkbox", checked, onchange });
  const cased = flag(false, () => begin());
  const follow = flag(true, () => begin());
  const wrap = flag(true, () => list.classList.toggle("nowrap", !wrap.checked));
  let since = "";
  let rows = [];
  let waiting = [];
  let missed = 0;
  let older = null;
  let ends = [];
  let reading = new AbortController();
  let note = "";

  const services = () => [...boxes].filter(([, box]) => box.checked).map(([each]) => each);
  const query = () => ({
    service: services(), grep: grep.value, case: cased.checked ? 1 : null,
    since: since && Date.now() / 1000 - Number(since),
  });

  async function begin() {
    reading.abort();
    reading = new AbortController();
    ends.forEach((end) => end());
    ends = [];
    rows = [];
    waiting = [];
    older = null;
    list.replaceChildren();
    if (services().length) {
      if (follow.checked) ends = services().map((each) => live.want(`log:${each}`));
      await back();
      list.scrollTop = list.scrollHeight;
    }
  }

  async function back() {
    say(found, "searching …");
    try {
      const answer = await api.get("logs", { ...query(), before: older, limit: PAGE }, reading.signal);
      ({ older } = answer);
      note = answer.truncated ? "; the search took too long, this is what was found so far" : "";
      const height = list.scrollHeight;
      rows.unshift(...answer.lines);
      list.prepend(...answer.lines.map((line) => logLine(line, boxes.size > 1)));
      list.scrollTop += list.scrollHeight - height;
      count();
    } catch (refusal) {
      if (refusal.name === "AbortError") return;
      say(found, "");
      app.fault(refusal);
    }
  }

  function count() {
    const lost = missed ? `; ${missed} were too fast for this page, "follow" off and on shows them` : "";
    say(found, counted(rows.length, "line") + note + lost);
    more.hidden = older === null;
  }

  function matches() {
    if (!grep.value) return () => true;
    try {
      const pattern = new RegExp(grep.value, cased.checked ? "" : "i");
      return ({ text }) => pattern.test(plain(text));
    } catch {
      return () => false;
    }
  }

  function flush() {
    const fresh = waiting.splice(0);
    if (!fresh.length) return;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    rows.push(...fresh);
    list.append(...fresh.slice(-MOST).map((line) => logLine(line, boxes.size > 1)));
    if (atEnd) {
      rows.splice(0, rows.length - MOST);
      while (list.childElementCount > MOST) list.firstElementChild.remove();
      list.scrollTop = list.scrollHeight;
    }
    count();
  }

  const more = button("Older lines", () => back());
  begin();
  return {
    node: [
      h("h1", { class: "unseen" }, "Logs"),
      h("div", { class: "tools" }, h("fieldset", {}, h("legend", {}, "services"),
        [...boxes].map(([each, box]) => h("label", {}, box, each))),
      field("find", grep), h("label", {}, cased, "Aa"), field("since", select(SINCE, since, (value) => {
        since = value;
        begin();
      })), h("label", {}, follow, "follow"), h("label", {}, wrap, "wrap"), more,
      button("Download", () => download("log.txt", "text/plain", rows.map((line) =>
        `${date(line.time).toISOString()} ${line.service} ${plain(line.text)}\n`).join("")))),
      found, list,
    ],
    log({ lines, missed: lost = 0 }) {
      if (!follow.checked) return;
      const fits = matches();
      if (!waiting.length) requestAnimationFrame(flush);
      waiting.push(...lines.filter((line) => boxes.get(line.service)?.checked && fits(line)));
      missed += lost;
    },
    missed: (number) => { missed += number ?? 0; },
    close: () => {
      reading.abort();
      ends.forEach((end) => end());
    },
    keys: {
      f: ["follow", () => follow.click()], w: ["wrap", () => wrap.click()], o: ["older lines", () => more.click()],
      m: ["mark", () => list.append(h("hr"))],
      c: ["clear view", () => {
        rows = [];
        list.replaceChildren();
      }],
      G: ["to the end", () => { list.scrollTop = list.scrollHeight; }], g: ["to the start", () => { list.scrollTop = 0; }],
    },
  };
}
