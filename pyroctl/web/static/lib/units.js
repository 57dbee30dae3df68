// Numbers and times as people read them, in the words of `pyroctl status`.

const NONE = "–";

/** Return a number with its noun, such as `2 subscribers`. */
export const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** Return a duration in its largest unit, such as `5 min`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

const known = (words) => (number) =>
  number === null || number === undefined || Number.isNaN(number) ? NONE : words(number);

const digits = (number) => String(Number(number.toPrecision(3)));

/** Return a number of bytes, such as `24 MB`. */
export const bytes = known((number) => {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (number >= size) return `${digits(number / size)} ${unit}`;
  }
  return `${Math.round(number)} B`;
});

/** Return a load in percent of one processor. */
export const percent = known((number) => `${number < 10 ? number.toFixed(1) : Math.round(number)} %`);

/** Return a number in three digits, such as `12.4 k`. */
export const short = known((number) => {
  for (const [unit, size] of [["M", 1e6], ["k", 1e3]]) {
    if (number >= size) return `${digits(number / size)} ${unit}`;
  }
  return digits(number);
});

/** Return a short time, such as `0.5 ms`. */
export const delay = known((seconds) =>
  seconds < 1 ? `${digits(seconds * 1000)} ms` : `${digits(seconds)} s`);

/** Return a time as a date; it comes as seconds since the epoch or in ISO 8601. */
export const date = (time) => new Date(typeof time === "number" ? time * 1000 : time);

/** Return the time of day, here. */
export const clock = (time) => {
  const at = date(time);
  return Number.isNaN(at.valueOf()) ? NONE : at.toTimeString().slice(0, 8);
};

/** Return the time of day, with the date if that isn't today. */
export function when(time) {
  const at = date(time);
  if (Number.isNaN(at.valueOf())) return NONE;
  const day = new Intl.DateTimeFormat("sv-SE").format(at);
  return day === new Intl.DateTimeFormat("sv-SE").format(new Date()) ? clock(time) : `${day} ${clock(time)}`;
}
