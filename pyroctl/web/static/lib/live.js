// News from the server, by one connection for all tabs of the browser: a browser opens only six to
// one server. The tab that holds the lock has the connection and passes on what arrives. A tab that
// is hidden for a minute takes no part.

const TYPES = ["state", "sample", "operation", "log", "tap", "timeline", "gap", "reset", "manager"];
const HIDDEN_FOR = 60_000;
const RETRY_AFTER = 2_000;

/** What arrives is dispatched as events of these types, with the data as `detail`. */
export class Live extends EventTarget {
  #api;
  #tab = `${Date.now()}-${Math.random()}`;
  #name = `pyroctl ${new URL(".", location.href).pathname}`;
  #channel = new BroadcastChannel(this.#name);
  #mine = new Map(); // topic → how many parts of this tab want it
  #wants = new Map(); // tab → topics; kept by the tab that leads
  #source = null;
  #id = null;
  #asked = "";
  #leave = null;
  #hidden = 0;

  constructor(api) {
    super();
    this.#api = api;
    this.news = Date.now();
    this.paused = false;
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    document.addEventListener("visibilitychange", () => this.#seen());
    addEventListener("pagehide", () => this.#tell({ tab: this.#tab, topics: [] }));
    addEventListener("pageshow", (event) => event.persisted && this.#ask());
  }

  /** Take part: listen to the tab that leads, or lead. */
  start() {
    if (this.#leave) return;
    this.paused = false;
    this.news = Date.now();
    this.#tell({ tab: this.#tab, topics: [...this.#mine.keys()] });
    const gone = new AbortController();
    this.#leave = () => gone.abort();
    if (!navigator.locks) {
      this.#lead();
      return;
    }
    navigator.locks.request(this.#name, { signal: gone.signal }, () => new Promise((release) => {
      this.#leave = release;
      this.#lead();
    })).catch(() => {});
  }

  /** Take no part, until `start`. */
  stop() {
    this.#source?.close();
    this.#source = this.#id = null;
    this.#tell({ tab: this.#tab, topics: [] });
    this.#leave?.();
    this.#leave = null;
    this.paused = true;
  }

  /** Ask for what isn't sent to everybody; return a function that ends it. */
  want(topic) {
    this.#mine.set(topic, (this.#mine.get(topic) ?? 0) + 1);
    this.#ask();
    return () => {
      const left = this.#mine.get(topic) - 1;
      if (left) this.#mine.set(topic, left);
      else this.#mine.delete(topic);
      this.#ask();
    };
  }

  #lead() {
    this.#wants.clear();
    this.#tell({ who: true });
    this.#ask();
    this.#connect();
  }

  #connect() {
    const source = new EventSource("api/v1/stream");
    this.#source = source;
    source.addEventListener("hello", ({ data }) => {
      this.#id = JSON.parse(data).id;
      this.#asked = "";
      this.#update();
    });
    for (const type of TYPES) {
      source.addEventListener(type, ({ data }) => {
        const message = { type, data: JSON.parse(data || "null") };
        this.#channel.postMessage(message);
        this.#hear(message);
      });
    }
    source.onerror = async () => {
      this.#id = null;
      if (source.readyState !== EventSource.CLOSED || source !== this.#source) return;
      await this.#api.get("status").catch(() => {}); // notices when we are signed out
      setTimeout(() => source === this.#source && this.#connect(), RETRY_AFTER);
    };
  }

  #tell(message) {
    this.#channel.postMessage(message);
    this.#hear(message);
  }

  #ask() {
    this.#tell({ tab: this.#tab, topics: [...this.#mine.keys()] });
  }

  #hear(message) {
    if (message.who) {
      if (!this.paused) this.#channel.postMessage({ tab: this.#tab, topics: [...this.#mine.keys()] });
    } else if (message.tab) {
      this.#wants.set(message.tab, message.topics);
      this.#update();
    } else if (!this.paused) {
      this.news = Date.now();
      this.dispatchEvent(new CustomEvent(message.type, { detail: message.data }));
    }
  }

  #update() {
    if (!this.#source || !this.#id) return;
    const topics = [...new Set([...this.#wants.values()].flat())].sort();
    const asked = JSON.stringify(topics);
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.#api.post(`stream/${this.#id}`, { topics }).catch((refusal) => {
      this.#asked = "";
      this.dispatchEvent(new CustomEvent("refused", { detail: refusal }));
    });
  }

  #seen() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.stop(), HIDDEN_FOR);
    else if (this.paused) this.start();
  }
}
