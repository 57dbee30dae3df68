// Starts, stops and restarts services; what that would cost others is said before.

import { ask } from "./dialog.js";
import { button, h } from "./dom.js";
import { counted } from "./units.js";

const DONE = { start: "Start", stop: "Stop", restart: "Restart" };

/** Do it, after a question if it costs something or ends something. */
export async function act(app, verb, services, how = "") {
  if (!services.length) return;
  try {
    if (verb === "start") await carryOut(app, verb, services, { how: "" });
    else {
      const found = await app.api.post("foresee", { do: verb, services, how });
      const chosen = await ask(`${DONE[verb]} ${services.join(", ")}?`, cost(found, services),
        choices(verb, how, found));
      if (chosen === null || chosen === "cancel") return;
      if (chosen === "handover" && how !== chosen) await act(app, "restart", services, "handover");
      else await carryOut(app, verb, services, { how, seen: found.seen });
    }
  } catch (refusal) {
    app.fault(refusal);
  }
}

function choices(verb, how, { costs, handover }) {
  const words = how === "handover" ? "Restart by hand-over" : DONE[verb];
  return [
    ["do", costs.length ? `${words} nevertheless` : words, "danger"],
    handover && how !== "handover" ? ["handover", "Hand-over instead", "good"] : null,
    ["cancel", "Cancel", ""],
  ].filter(Boolean);
}

function cost({ costs, dependents = [] }, services) {
  const lines = costs.flatMap((entry) => entry.lines);
  return h("div", {},
    lines.length
      ? h("pre", { class: "cost", tabindex: "0" }, lines.join("\n"))
      : h("p", {}, "No client would lose anything."),
    dependents.length
      ? h("p", {}, `${counted(dependents.length, "service")} that need${dependents.length === 1 ? "s" : ""} `
          + `${services.length === 1 ? "it" : "them"}: ${dependents.join(", ")}.`)
      : null);
}

async function carryOut(app, verb, services, body) {
  for (const service of services) {
    const { operation } = await app.api.post(`services/${encodeURIComponent(service)}/${verb}`, body);
    app.operations.set(operation, `${verb} ${service}`);
  }
  app.say(`${verb} ${services.join(", ")}: begun`);
}

/** Return the buttons of actions, in the order of the harm they can do; none for who only looks. */
export function actionButtons(app, chosen) {
  if (!app.may("operate")) return [];
  return [
    button("Start", () => act(app, "start", chosen())),
    button("Restart", () => act(app, "restart", chosen())),
    button("Stop", () => act(app, "stop", chosen()), { class: "danger" }),
  ];
}

/** Return the keys of actions. */
export function actionKeys(app, chosen) {
  if (!app.may("operate")) return {};
  return {
    s: ["start", () => act(app, "start", chosen())],
    r: ["restart", () => act(app, "restart", chosen())],
    x: ["stop", () => act(app, "stop", chosen())],
    h: ["restart by hand-over", () => act(app, "restart", chosen(), "handover")],
  };
}
