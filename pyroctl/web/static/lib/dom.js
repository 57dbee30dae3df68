// Builds elements. Text is always a text node: nothing that is shown can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Return an element; a function as an attribute, such as `onclick`, becomes a listener. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Return a button of words. */
export function button(words, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, words);
}

/** Return a labelled control. */
export function field(label, control) {
  return h("label", { class: "field" }, h("span", {}, label), control);
}

/** Return a selection of `[value, words]`. */
export function select(options, chosen, onchange) {
  return h("select", { onchange: (event) => onchange(event.target.value) },
    options.map(([value, words]) => h("option", { value, selected: value === chosen }, words)));
}

/** Set the text of an element, and touch nothing if it is the same. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a table that becomes cards on a phone; a cell is text or an element. */
export function table(caption, heads, rows) {
  return h("table", { class: "cards" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, at) =>
      h("td", { "data-head": heads[at] }, cell))))));
}

/** Offer a text as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
