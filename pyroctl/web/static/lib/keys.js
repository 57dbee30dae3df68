// Keys: those of the screen that is shown, then those of the page.

import { ask } from "./dialog.js";
import { h } from "./dom.js";

const typing = (target) => target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

/** Listen; `tables` returns keys → `[words, function]`, the ones that win first. */
export function listen(tables) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && typing(event.target)) {
      event.target.blur();
      return;
    }
    if (typing(event.target)) return;
    const key = event.ctrlKey ? `^${event.key}` : event.key;
    const found = tables().find((table) => table[key]);
    if (!found || (key === "Enter" && event.target.closest("a, button, summary, input"))) return;
    event.preventDefault();
    found[key][1](event);
  });
}

/** Show the keys. */
export function help(tables) {
  const seen = new Map(tables.toReversed().flatMap((table) => Object.entries(table)));
  const rows = [...seen].filter(([, [words]]) => words).map(([key, [words]]) =>
    h("div", {}, h("dt", {}, h("kbd", {}, key === " " ? "Space" : key.replace("^", "Ctrl-"))), h("dd", {}, words)));
  return ask("Keys", h("dl", { class: "keys" }, rows), [["close", "Close", ""]]);
}

/** Return the keys that move the focus among links; `links` returns those. */
export function movement(links) {
  const go = (to) => () => {
    const all = links();
    const at = all.indexOf(document.activeElement.closest("tr, li")?.querySelector("a"));
    all[Math.max(0, Math.min(all.length - 1, to(at, all.length)))]?.focus();
  };
  const [down, up] = [go((at) => at + 1), go((at) => at - 1)];
  return {
    j: ["down", down], ArrowDown: ["", down], k: ["up", up], ArrowUp: ["", up],
    g: ["to the first", go(() => 0)], G: ["to the last", go((_, length) => length - 1)],
    "^d": ["half a page down", go((at) => at + 10)], "^u": ["half a page up", go((at) => at - 10)],
  };
}
