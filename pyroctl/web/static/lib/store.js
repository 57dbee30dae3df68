// What the page knows of the services: the last status, and the measurements since it was opened.

const KEPT = 600;

export class Store {
	status = null;
	rows = new Map();
	samples = [];
	#since = 0;

	state(status) {
		this.#since = performance.now();
		this.status = status;
		this.rows = new Map(status.services.map((row) => [row.name, row]));
	}

	measured(sample) {
		this.samples.push(sample);
		if (this.samples.length > KEPT) this.samples.shift();
	}

	names(kind = null) {
		return [...this.rows.values()].filter((row) => !kind || row.kind === kind).map(({ name }) => name);
	}

	uptime({ uptime_s: then }) {
		return then == null ? null : then + (performance.now() - this.#since) / 1000;
	}

	of(name) {
		return this.samples.at(-1)?.services[name] ?? {};
	}

	/** Return sums of a measured value over all services, the oldest first; null if unknown. */
	sums(key, join = (a, b) => a + b) {
		return this.samples.map(({ services }) => {
			const known = Object.values(services).map((row) => row[key]).filter((value) => value != null);
			return known.length ? known.reduce((a, b) => join(a, b)) : null;
		});
	}
}
