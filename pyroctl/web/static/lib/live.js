// News from the server, by one connection for all tabs of the browser: a browser opens only six to
// one server. The tab that holds the lock has the connection and passes on what arrives. A tab that
// is hidden for a minute takes no part.

const TYPES = ["state", "sample", "operation", "log", "tap", "timeline", "gap", "reset", "manager"];
const HIDDEN_FOR = 60_000;
const RETRY_AFTER = 2_000;

/** What arrives is dispatched as events of these types, with the data as `detail`. */
export class Live extends EventTarget {
	news = Date.now();
	paused = true;
	#api;
	#tab = `${Date.now()}-${Math.random()}`;
	#name = `pyroctl ${new URL(".", location.href).pathname}`;
	#channel = new BroadcastChannel(this.#name);
	#mine = [];
	#wants = new Map(); // of the tab that leads: tab → topics
	#source = null;
	#id = null;
	#asked = "";
	#busy = false;
	#leave = null;
	#timer = 0;
	#hidden = false;

	constructor(api) {
		super();
		this.#api = api;
		this.#channel.onmessage = ({ data }) => this.#hear(data);
		document.addEventListener("visibilitychange", () => this.#seen());
		addEventListener("pagehide", () => this.stop());
		addEventListener("pageshow", (event) => event.persisted && this.start());
	}

	start() {
		if (!this.paused) return;
		this.paused = this.#hidden = false;
		this.news = Date.now();
		this.#ask();
		const gone = new AbortController();
		this.#leave = () => gone.abort();
		const lead = (release = () => {}) => {
			this.#leave = release;
			this.#wants.clear();
			this.#tell({ who: true });
			this.#connect();
		};
		if (!navigator.locks) lead();
		else navigator.locks.request(this.#name, { signal: gone.signal }, () => new Promise(lead)).catch(() => {});
	}

	stop() {
		if (this.paused) return;
		this.#source?.close();
		this.#source = this.#id = null;
		this.#tell({ tab: this.#tab, topics: [] });
		this.#leave();
		this.paused = true;
	}

	/** Ask for what isn't sent to everybody; return a function that ends it. */
	want(topic) {
		this.#mine.push(topic);
		this.#ask();
		return () => {
			this.#mine.splice(this.#mine.indexOf(topic), 1);
			this.#ask();
		};
	}

	#connect() {
		const source = new EventSource("api/v1/stream");
		this.#source = source;
		source.addEventListener("hello", ({ data }) => {
			this.#id = JSON.parse(data).id;
			this.#asked = "[]";
			this.#update();
		});
		for (const type of TYPES) {
			source.addEventListener(type, ({ data }) => this.#tell({ type, data: JSON.parse(data) }));
		}
		source.onerror = async () => {
			if (source.readyState !== EventSource.CLOSED || source !== this.#source) return;
			await this.#api.get("status").catch(() => {}); // which notices that we are signed out
			setTimeout(() => source === this.#source && this.#connect(), RETRY_AFTER);
		};
	}

	#ask() {
		if (!this.paused) this.#tell({ tab: this.#tab, topics: this.#mine });
	}

	#tell(message) {
		this.#channel.postMessage(message);
		this.#hear(message);
	}

	#hear({ who, tab, topics, type, data }) {
		if (this.paused) return;
		if (who) this.#ask();
		else if (tab) {
			this.#wants.set(tab, topics);
			this.#update();
		} else {
			this.news = Date.now();
			this.dispatchEvent(new CustomEvent(type, { detail: data }));
		}
	}

	/** Ask the server for what all tabs want; one request at a time, as the last one counts. */
	async #update() {
		if (this.#busy) return;
		this.#busy = true;
		for (;;) {
			const topics = [...new Set([...this.#wants.values()].flat())].sort();
			const asked = JSON.stringify(topics);
			if (!this.#id || asked === this.#asked) break;
			this.#asked = asked;
			await this.#api.post(`stream/${this.#id}`, { topics }).catch((refusal) =>
				this.dispatchEvent(new CustomEvent("refused", { detail: refusal })));
		}
		this.#busy = false;
	}

	#seen() {
		clearTimeout(this.#timer);
		if (document.hidden && !this.paused) {
			this.#timer = setTimeout(() => {
				this.stop();
				this.#hidden = true;
			}, HIDDEN_FOR);
		} else if (this.#hidden) this.start();
	}
}
