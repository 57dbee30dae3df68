// States of services as a shape and a word, never by colour alone.

import { h } from "./dom.js";

const SHAPES = {
  running: "●", starting: "◐", stopping: "◑", backoff: "▲", failed: "✖", exited: "○", stopped: "■",
};

/** All states. */
export const STATES = Object.keys(SHAPES);

/** Return the words for a state. */
export const stateText = (state) => `${SHAPES[state] ?? "?"} ${state}`;

/** Return a state as an element. */
export const stateMark = (state) => h("span", { class: `state ${state}` }, stateText(state));

/** Return why a service is in its state, or how it ended if nobody has stopped it. */
export function why(row) {
  const expected = ["running", "starting", "stopped"].includes(row.state);
  return row.detail || (row.exit === null || expected ? "" : row.exit.text);
}

/** Return whether a service needs somebody to look at it. */
export const isTrouble = (row) => row.state === "failed" || row.state === "backoff";
