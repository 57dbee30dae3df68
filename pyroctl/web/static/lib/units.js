// Numbers and times as people read them, in the words of `pyroctl status`.

const known = (words) => (number) => (number == null || Number.isNaN(number) ? "–" : words(number));
const digits = (number) => String(Number(number.toPrecision(3)));
const scaled = (units, rest) => known((number) => {
	const found = units.find(([, size]) => number >= size);
	return found ? `${digits(number / found[1])} ${found[0]}` : rest(number);
});

export const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
export const bytes = scaled([["GB", 1e9], ["MB", 1e6], ["kB", 1e3]], (number) => `${Math.round(number)} B`);
export const short = scaled([["M", 1e6], ["k", 1e3]], digits);
export const delay = scaled([["s", 1]], (seconds) => `${digits(seconds * 1000)} ms`);
export const percent = known((number) => `${number < 10 ? number.toFixed(1) : Math.round(number)} %`);

export const duration = known((seconds) => {
	const [unit, size] = [["d", 86400], ["h", 3600], ["min", 60]].find(([, least]) => seconds >= least) ?? ["s", 1];
	return `${Math.round(seconds / size)} ${unit}`;
});

export const date = (time) => new Date(typeof time === "number" ? time * 1000 : time);

export const clock = (time = Date.now() / 1000) => date(time).toTimeString().slice(0, 8);

export function when(time) {
	const day = (each) => each.toLocaleDateString("sv");
	return day(date(time)) === day(new Date()) ? clock(time) : `${day(date(time))} ${clock(time)}`;
}
