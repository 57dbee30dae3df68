// Starts, stops and restarts services; what that would cost others is said before.

import { ask } from "./dialog.js";
import { button, h } from "./dom.js";

const WORDS = { start: "Start", restart: "Restart", stop: "Stop" };

export async function act(app, verb, services, how = null) {
	if (!services.length) return;
	let seen = null;
	if (verb !== "start") {
		const found = await app.api.post("foresee", { do: verb, services, how });
		({ seen } = found);
		const lines = found.costs.flatMap((cost) => cost.lines);
		const words = WORDS[verb] + (how ? " by handover" : "") + (found.costs.some(({ lost }) => lost?.length !== 0) ? " nevertheless" : "");
		const chosen = await ask(`${WORDS[verb]} ${services.join(", ")}?`, costs(lines, dependents(app, services)), [
			["do", words, "danger"],
			...(found.handover && !how ? [["handover", "Handover instead", "good"]] : []),
			[null, "Cancel"],
		]);
		if (chosen === "handover") return act(app, "restart", services, "handover");
		if (!chosen) return;
	}
	for (const service of services) {
		const body = verb === "start" ? {} : { how, seen };
		const { operation } = await app.api.post(`services/${encodeURIComponent(service)}/${verb}`, body);
		app.operations.add(operation);
	}
}

function dependents(app, services) {
	const found = new Set(services);
	const rows = app.store.status.services;
	let size;
	do {
		({ size } = found);
		rows.filter(({ needs }) => needs.some((need) => found.has(need))).forEach(({ name }) => found.add(name));
	} while (found.size > size);
	return [...found].slice(services.length);
}

const costs = (lines, others) => h("div",
	lines.length ? h("pre", { class: "cost", tabindex: 0 }, lines.join("\n")) : h("p", "No client would lose anything."),
	others.length > 0 && h("p", `Needed by: ${others.join(", ")}.`));

export const actionButtons = (app, chosen) => app.may("operate") && Object.entries(WORDS).map(([verb, words]) =>
	button(words, app.doing(() => act(app, verb, chosen())), { class: verb === "stop" ? "danger" : null }));

export const actionKeys = (app, chosen) => (app.may("operate") ? Object.fromEntries([
	["s", "start"], ["r", "restart"], ["x", "stop"], ["h", "restart", "handover"],
].map(([key, verb, how]) => [key, [how ? "restart by handover" : verb, app.doing(() => act(app, verb, chosen(), how))]])) : {});
