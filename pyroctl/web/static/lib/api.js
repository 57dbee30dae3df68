// Asks the server. Answers have the envelope of `pyroctl --json`.

const BASE = "api/v1/";

/** The server has refused a request, or can't be reached (then `status` is 0). */
export class Refusal extends Error {
  constructor(status, errors, data, etag) {
    super(errors.map(sentence).join("\n") || `the server answered ${status}`);
    Object.assign(this, { status, errors, data, etag });
  }
}

/** Return an error of an envelope in words: what, where, what to do. */
export function sentence(error) {
  const place = error.file ? ` (${error.file}${error.line ? `:${error.line}` : ""})` : "";
  return `${error.message}${place}${error.hint ? ` – ${error.hint}` : ""}`;
}

/** Asks the server; `onSignedOut` is called when it doesn't know us. */
export class Api {
  constructor(onSignedOut) {
    this.onSignedOut = onSignedOut;
  }

  /** Return the data of an answer; a list as a parameter is repeated. Raises Refusal. */
  async get(path, parameters = {}, signal = undefined) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
      if (value === null || value === undefined || value === "") continue;
      for (const each of [value].flat()) query.append(name, String(each));
    }
    const text = query.size ? `${path}?${query}` : path;
    return this.#ask(BASE + text, { signal });
  }

  /** Ask for a change, and return the data of the answer. Raises Refusal. */
  async send(method, path, body = {}, headers = {}) {
    return this.#ask(BASE + path, {
      method,
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", ...headers },
    });
  }

  /** Return the data of the answer to a POST. Raises Refusal. */
  async post(path, body = {}) {
    return this.send("POST", path, body);
  }

  /** Swap a code or a token for a session. Raises Refusal. */
  async signIn(secret) {
    return this.send("POST", "../../session", secret);
  }

  async #ask(url, options) {
    let answer;
    let envelope;
    try {
      answer = await fetch(url, { credentials: "same-origin", cache: "no-store", ...options });
      envelope = answer.status === 204 ? { data: null } : await answer.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      const message = "the page's server doesn't answer";
      throw new Refusal(answer?.status ?? 0, [{ message, hint: "pyroctl status" }]);
    }
    if (answer.status === 401) this.onSignedOut();
    if (!answer.ok) throw new Refusal(answer.status, envelope.errors ?? [], envelope.data);
    return envelope.data;
  }
}
