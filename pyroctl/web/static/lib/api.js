// Asks the server. Answers have the envelope of `pyroctl --json`.

/** The server has refused a request, or can't be reached (then `status` is 0). */
export class Refusal extends Error {
	constructor(status, errors, data = null) {
		super(errors.map(sentence).join("\n") || `the server answered ${status}`);
		Object.assign(this, { status, errors, data });
	}
}

const sentence = ({ message, file, line, hint }) =>
	message + (file ? ` (${file}${line ? `:${line}` : ""})` : "") + (hint ? ` – ${hint}` : "");

/** Each method returns the data of an answer, or raises Refusal. */
export class Api {
	/** `onSignedOut` is called when the server doesn't know us. */
	constructor(onSignedOut) {
		this.onSignedOut = onSignedOut;
	}

	/** A list as a parameter is repeated; one without a value is left out. */
	get(path, parameters = {}, signal = undefined) {
		const query = new URLSearchParams(Object.entries(parameters).flatMap(([name, value]) =>
			[value].flat().filter((each) => each != null && each !== "").map((each) => [name, each])));
		return this.#ask(`api/v1/${path}${query.size ? `?${query}` : ""}`, { signal });
	}

	post(path, body = {}) {
		return this.send("POST", `api/v1/${path}`, body);
	}

	send(method, path, body, headers = {}) {
		const all = { "Content-Type": "application/json", ...headers };
		return this.#ask(path, { method, body: JSON.stringify(body), headers: all });
	}

	async #ask(url, options) {
		let answer;
		let envelope;
		try {
			answer = await fetch(url, { cache: "no-store", ...options });
			envelope = await answer.json();
		} catch (error) {
			if (error.name === "AbortError") throw error;
			throw new Refusal(answer?.status ?? 0, [{ message: "the page's server doesn't answer", hint: "pyroctl status" }]);
		}
		if (answer.status === 401) this.onSignedOut();
		if (!answer.ok) throw new Refusal(answer.status, envelope.errors ?? [], envelope.data);
		return envelope.data;
	}
}
