// Builds elements. Text is always a text node: nothing that is shown can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element; attributes may be left out, and a function as one is a listener. */
export const h = (tag, ...rest) => fill(document.createElement(tag), rest);

export const svg = (tag, ...rest) => fill(document.createElementNS(SVG, tag), rest);

function fill(element, rest) {
	const attributes = rest[0]?.constructor === Object ? rest.shift() : {};
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element.addEventListener(name.slice(2), value);
		else if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...rest.flat(Infinity).filter((child) => child != null && child !== false));
	return element;
}

export const button = (words, onclick, attributes) => h("button", { type: "button", onclick, ...attributes }, words);

export const address = (screen, name = "") => `#/${screen}/${encodeURIComponent(name)}`;

export const link = (words, href, attributes) => h("a", { href, ...attributes }, words);

export const field = (label, control) => h("label", { class: "field" }, h("span", label), control);

export const check = (label, checked, onchange) => h("label", h("input", { type: "checkbox", checked, onchange }), label);

export const select = (options, chosen, onchange) => h("select", { onchange: (event) => onchange(event.target.value) },
	options.map(([value, words = value]) => h("option", { value, selected: value === chosen }, words)));

/** Return a part of the page that scrolls, also by keys. */
export const pane = (label, kind, ...children) =>
	h("div", { class: kind, tabindex: 0, role: "region", "aria-label": label }, children);

export const tools = (...children) => h("div", { class: "tools" }, children);

export const search = (oninput, attributes) => h("input", { type: "search", oninput, ...attributes });

/** Return a form that does something by itself. */
export const form = (work, ...children) => h("form", { onsubmit: (event) => (event.preventDefault(), work()) }, children);

/** Return whether a part of the page has the words that are searched. */
export const has = (element, { value }) => element.textContent.toLowerCase().includes(value.toLowerCase());

/** Set the text of an element, and touch nothing if it is the same. */
export function say(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

/** Return a table that becomes cards on a phone; a cell is text or an element. */
export const table = (caption, heads, rows) => h("table", { class: "cards" }, h("caption", caption),
	h("thead", h("tr", heads.map((head) => h("th", { scope: "col" }, head)))),
	h("tbody", rows.map((cells) => h("tr", cells.map((cell, at) => h("td", { "data-head": heads[at] }, cell))))));

export function download(name, type, text) {
	const url = URL.createObjectURL(new Blob([text], { type }));
	h("a", { href: url, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(url), 1000);
}
