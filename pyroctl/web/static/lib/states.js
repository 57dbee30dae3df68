// States of services as a shape and a word, never by colour alone.

import { h } from "./dom.js";
import { plain } from "./sgr.js";

const SHAPES = {
	running: "●", starting: "◐", stopping: "◑", backoff: "▲", failed: "✖", exited: "○", stopped: "■",
	ok: "●", note: "◇", warning: "▲", problem: "✖",
};

export const STATES = Object.keys(SHAPES).slice(0, 7);
export const shape = (state) => SHAPES[state] ?? "◇";
export const stateText = (state) => `${shape(state)} ${state}`;
export const stateMark = (state) => h("span", { class: `state ${state}` }, stateText(state));
export const isTrouble = ({ state }) => state === "failed" || state === "backoff";

/** Return why a service is in its state, or how it ended if nobody has stopped it. */
export function why({ state, detail, exit }) {
	const expected = ["running", "starting", "stopped"].includes(state);
	return plain(detail || (exit && !expected ? exit.text : ""));
}
