// The page: signs in, follows the stream, shows one screen at a time.

import { Api, Refusal } from "./lib/api.js";
import { button, field, h, say } from "./lib/dom.js";
import { help, listen } from "./lib/keys.js";
import { Live } from "./lib/live.js";
import { isTrouble, why } from "./lib/states.js";
import { Store } from "./lib/store.js";
import { clock, counted } from "./lib/units.js";
import { config } from "./views/config.js";
import { doctor } from "./views/doctor.js";
import { events } from "./views/events.js";
import { logs } from "./views/logs.js";
import { overview } from "./views/overview.js";
import { service } from "./views/service.js";
import { timeline } from "./views/timeline.js";
import { topology } from "./views/topology.js";

const SCREENS = { overview, service, logs, events, topology, timeline, doctor, config };
const ROLES = ["view", "operate", "configure"];
const QUIET_AFTER = 3000;
const place = (id) => document.getElementById(id);

class App {
  constructor() {
    this.api = new Api(() => this.#signedOut());
    this.live = new Live(this.api);
    this.store = new Store();
    this.operations = new Map();
    this.screen = null;
    this.managerFault = "";
    this.down = new Set();
    this.tick = () => this.#tick();
    this.pageKeys = {
      ...Object.fromEntries(Object.keys(SCREENS).map((name, at) =>
        [String(at + 1), [name, () => name !== "service" && this.go(name)]])),
      "/": ["filter", () => document.querySelector("main [type=search]")?.focus()],
      Escape: ["back", () => this.go("overview")],
      "?": ["these keys", () => this.help()],
    };
    this.pageKeys[2] = ["service", () => this.go("service", this.store.names()[0] ?? "")];
  }

  async begin() {
    const code = location.hash.slice(1);
    if (code && !code.startsWith("/")) {
      history.replaceState(null, "", location.pathname);
      await this.api.signIn({ code }).catch((refusal) => this.fault(refusal));
    }
    this.#listen();
    listen(() => [this.screen?.keys ?? {}, this.pageKeys]);
    addEventListener("hashchange", () => this.#route());
    place("help").addEventListener("click", () => this.help());
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      place("main").focus();
    });
    await this.enter();
  }

  async enter() {
    try {
      this.#state(await this.api.get("status"));
    } catch (refusal) {
      if (refusal.status !== 401) {
        this.fault(refusal);
        setTimeout(() => this.enter(), 2000);
      }
      return;
    }
    this.live.start();
    clearInterval(this.ticking);
    this.ticking = setInterval(this.tick, 1000);
    this.tick();
    this.#route();
  }

  /** Return whether this session has a role. */
  may(role) {
    return ROLES.indexOf(this.store.status?.role) >= ROLES.indexOf(role);
  }

  /** Show a screen. */
  go(screen, name = "", query = "") {
    location.hash = `#/${screen}${name ? `/${encodeURIComponent(name)}` : ""}${query ? `?${query}` : ""}`;
  }

  /** Tell people who can't see the page; only what matters. */
  say(text) {
    place("said").textContent = text;
  }

  /** Show why something has failed. */
  fault(refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    if (refusal.status === 401) return;
    const note = h("div", { class: "fault", role: "alert" }, h("pre", {}, refusal.message),
      button("Close", () => note.remove()));
    document.querySelector(".fault")?.remove();
    place("main").before(note);
  }

  help() {
    return help([this.screen?.keys ?? {}, this.pageKeys]);
  }

  #listen() {
    const on = (type, handle) => this.live.addEventListener(type, ({ detail }) => handle(detail));
    on("state", (status) => this.#state(status));
    on("sample", (sample) => {
      this.store.measured(sample);
      this.screen?.update?.("sample");
    });
    on("manager", ({ alive, error }) => {
      this.managerFault = alive ? "" : error || "the manager doesn't answer";
      if (!alive) this.say(this.managerFault);
      this.tick();
    });
    on("operation", (operation) => {
      if (operation.state === "failed" && this.operations.delete(operation.id)) {
        this.fault(new Refusal(0, operation.errors ?? [{ message: operation.message }]));
      }
    });
    on("refused", (refusal) => this.fault(refusal));
    on("gap", ({ missed }) => this.screen?.missed?.(missed));
    on("reset", () => this.screen?.missed?.(null));
    for (const type of ["log", "tap", "timeline"]) on(type, (detail) => this.screen?.[type]?.(detail));
  }

  #state(status) {
    this.store.state(status);
    document.body.dataset.role = status.role;
    const trouble = status.services.filter(isTrouble);
    const down = new Set(trouble.map(({ name }) => name));
    const fresh = trouble.filter(({ name }) => !this.down.has(name));
    if (fresh.length) this.say(fresh.map((row) => `${row.name} is ${row.state}: ${why(row)}`).join("; "));
    this.down = down;
    const title = `${status.deployment} @ ${status.host}`;
    document.title = `${down.size ? `(${down.size} ▲) ` : ""}pyroctl · ${title}`;
    place("place").replaceChildren(h("b", {}, "pyroctl"), ` · ${title}`);
    say(place("role"), status.role);
    this.screen?.update?.("state");
  }

  #tick() {
    const quiet = Date.now() - this.live.news > QUIET_AFTER;
    const { paused } = this.live;
    document.body.classList.toggle("stale", quiet || paused || Boolean(this.managerFault));
    const since = clock(this.live.news / 1000);
    say(place("live"), paused ? "‖ paused" : quiet ? `○ no news since ${since}` : `● live ${clock(Date.now() / 1000)}`);
    const fault = quiet && !paused ? `There is no news since ${since}: the page's server doesn't answer. `
      + "What is shown was true then." : this.managerFault;
    place("trouble").hidden = !fault;
    say(place("trouble"), fault);
  }

  #route() {
    const [path, query = ""] = location.hash.slice(2).split("?");
    const [name, argument = ""] = path.split("/");
    const make = SCREENS[name] ?? overview;
    const shown = SCREENS[name] ? name : "overview";
    this.screen?.close?.();
    document.querySelector(".fault")?.remove();
    this.screen = make(this, decodeURIComponent(argument), new URLSearchParams(query));
    place("main").replaceChildren(...[this.screen.node].flat());
    place("screens").replaceChildren(...Object.keys(SCREENS).filter((each) => each !== "service").map((each) =>
      h("li", {}, h("a", { href: `#/${each}`, "aria-current": each === shown ? "page" : null },
        each[0].toUpperCase() + each.slice(1)))));
    this.screen.update?.("state");
    if (this.routed) place("main").focus();
    this.routed = true;
  }

  #signedOut() {
    this.live.stop();
    clearInterval(this.ticking);
    this.screen?.close?.();
    this.screen = null;
    const token = h("input", { type: "password", autocomplete: "current-password", required: true });
    place("main").replaceChildren(h("h1", {}, "Sign in"),
      h("p", {}, "Run ", h("code", {}, "pyroctl web open"), " on this host, or give the token that ",
        h("code", {}, "pyroctl web token"), " prints."),
      h("form", {
        onsubmit: async (event) => {
          event.preventDefault();
          try {
            await this.api.signIn({ token: token.value.trim() });
            await this.enter();
          } catch (refusal) {
            refusal.message ||= "this token is not known";
            this.fault(Object.assign(refusal, { status: 0 }));
          }
        },
      }, field("token", token), h("button", {}, "Sign in")));
    say(place("live"), `○ signed out`);
  }
}

new App().begin();
