// The page: signs in, follows the stream, shows one screen at a time.

import { Api, Refusal } from "./lib/api.js";
import { address, button, field, form, h, link, say, tools } from "./lib/dom.js";
import { help, listen } from "./lib/keys.js";
import { Live } from "./lib/live.js";
import { isTrouble, why } from "./lib/states.js";
import { Store } from "./lib/store.js";
import { clock } from "./lib/units.js";
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
const [QUIET_AFTER, RETRY_AFTER] = [3000, 2000];
const place = (id) => document.getElementById(id);

class App {
	api = new Api(() => this.#signedOut());
	live = new Live(this.api);
	store = new Store();
	operations = new Set();
	#screen = {};
	#ends = [];
	#down = [];
	#fault = "";
	#keys = {
		...Object.fromEntries(Object.keys(SCREENS).map((name, at) =>
			[at + 1, [name, () => this.go(name, name === "service" ? this.store.names()[0] : "")]])),
		"/": ["filter", () => document.querySelector("main [type=search]")?.focus()],
		Escape: ["back", () => this.go("overview")],
		"?": ["these keys", () => this.#help()],
	};

	async begin() {
		listen(() => [this.#screen.keys ?? {}, this.#keys]);
		this.#follow();
		setInterval(() => this.#tick(), 1000);
		addEventListener("hashchange", () => this.#route());
		place("help").addEventListener("click", () => this.#help());
		document.querySelector(".skip").addEventListener("click", (event) => {
			event.preventDefault();
			place("main").focus();
		});
		const code = location.hash.slice(1);
		if (code && !code.startsWith("/")) {
			history.replaceState(null, "", location.pathname);
			await this.doing(() => this.api.send("POST", "session", { code }))();
		}
		await this.#enter();
	}

	may(role) {
		return ROLES.indexOf(this.store.status.role) >= ROLES.indexOf(role);
	}

	go(screen, name = "") {
		location.hash = address(screen, name);
	}

	finally(end) {
		this.#ends.push(end);
	}

	/** Return a function that does the work, and shows why it has failed. */
	doing(work) {
		return async (...given) => {
			try {
				return await work(...given);
			} catch (error) {
				if (error.name !== "AbortError") this.fault(error);
				return null;
			}
		};
	}

	/** Do the work now, and then always after a pause, while this screen is shown. */
	repeat(work, pause) {
		let shown = true;
		let timer = 0;
		const again = async () => {
			clearTimeout(timer);
			await this.doing(work)();
			if (shown) timer = setTimeout(again, pause());
		};
		this.finally(() => {
			shown = false;
			clearTimeout(timer);
		});
		again();
		return again;
	}

	fault(error) {
		if (!(error instanceof Refusal)) throw error;
		document.querySelector(".fault")?.remove();
		const note = h("div", { class: "fault", role: "alert" }, h("pre", error.message), button("Close", () => note.remove()));
		place("main").before(note);
	}

	async #enter() {
		try {
			this.#state(await this.api.get("status"));
		} catch (refusal) {
			if (refusal.status === 401) return;
			this.fault(refusal);
			setTimeout(() => this.#enter(), RETRY_AFTER);
			return;
		}
		this.live.start();
		this.#route();
		this.#tick();
	}

	#follow() {
		const on = (type, handle) => this.live.addEventListener(type, ({ detail }) => handle(detail));
		on("state", (status) => this.#state(status));
		on("sample", (sample) => {
			this.store.measured(sample);
			this.#screen.update?.("sample");
		});
		on("operation", ({ id, state, errors }) => {
			if (state !== "running" && this.operations.delete(id) && errors.length) this.fault(new Refusal(0, errors));
		});
		on("manager", ({ alive, error }) => {
			this.#fault = alive ? "" : error;
			this.#tick();
		});
		on("refused", (refusal) => this.fault(refusal));
		on("gap", ({ missed }) => this.#screen.missed?.(missed));
		for (const type of ["log", "tap", "timeline"]) on(type, (detail) => this.#screen[type]?.(detail));
	}

	#state(status) {
		this.store.state(status);
		this.#fault = status.alive === false ? status.error : "";
		const down = status.services.filter(isTrouble);
		const fresh = down.filter(({ name }) => !this.#down.includes(name));
		if (fresh.length) this.#tell(fresh.map((row) => `${row.name} is ${row.state}: ${why(row)}`).join("; "));
		this.#down = down.map(({ name }) => name);
		const title = `pyroctl · ${status.deployment} @ ${status.host}`;
		document.title = `${down.length ? `(${down.length} ▲) ` : ""}${title}`;
		say(place("place"), title);
		say(place("role"), status.role);
		this.#screen.update?.("state");
	}

	#tell(text) {
		say(place("said"), text);
	}

	#tick() {
		if (!this.store.status) return;
		const { paused, news } = this.live;
		const quiet = !paused && Date.now() - news > QUIET_AFTER;
		const since = `no news since ${clock(news / 1000)}`;
		const fault = this.#fault || (quiet ? `There is ${since}. What is shown was true then.` : "");
		document.body.classList.toggle("stale", Boolean(paused || fault));
		say(place("live"), paused ? "‖ paused" : quiet ? `○ ${since}` : `● live ${clock()}`);
		if (fault && place("trouble").hidden) this.#tell(fault);
		place("trouble").hidden = !fault;
		say(place("trouble"), fault);
	}

	#route() {
		const [, name, argument = ""] = location.hash.split("/");
		const shown = Object.hasOwn(SCREENS, name) ? name : "overview";
		const again = document.querySelector("[aria-current]");
		this.#close();
		document.querySelector(".fault")?.remove();
		this.#screen = SCREENS[shown](this, decodeURIComponent(argument));
		place("main").replaceChildren(...this.#screen.node.filter(Boolean));
		place("screens").replaceChildren(...Object.keys(SCREENS).filter((each) => each !== "service").map((each) =>
			h("li", link(each[0].toUpperCase() + each.slice(1), address(each), { "aria-current": each === shown ? "page" : null }))));
		this.#screen.update?.("state");
		if (again) place("main").focus();
	}

	#close() {
		this.#ends.splice(0).forEach((end) => end());
		this.#screen = {};
	}

	#help() {
		return help([this.#screen.keys ?? {}, this.#keys]);
	}

	#signedOut() {
		this.live.stop();
		this.store.status = null;
		this.#close();
		const token = h("input", { type: "password", autocomplete: "current-password", required: true });
		const signIn = this.doing(async () => {
			await this.api.send("POST", "session", { token: token.value.trim() });
			document.querySelector(".fault")?.remove();
			await this.#enter();
		});
		place("main").replaceChildren(h("h1", "Sign in"),
			h("p", "Run ", h("code", "pyroctl web open"), " on this host, or give the token that ", h("code", "pyroctl web token"), " prints."),
			form(signIn, tools(field("token", token), h("button", "Sign in"))));
		say(place("live"), "○ signed out");
	}
}

new App().begin();
