// Asks a question, above the page.

import { button, h } from "./dom.js";

/**
 * Return what was chosen; null if the dialog was left.
 *
 * `choices` are `[value, words, class]`; the one that does the least comes last and has the focus.
 */
export function ask(title, content, choices) {
	return new Promise((resolve) => {
		const before = document.activeElement;
		const close = (value) => {
			resolve(value);
			dialog.remove();
			before?.focus();
		};
		const buttons = choices.map(([value, words, kind]) => button(words, () => close(value), { class: kind }));
		const dialog = h("dialog", { "aria-labelledby": "asked", oncancel: () => close(null) },
			h("h2", { id: "asked" }, title), content, h("p", { class: "buttons" }, buttons));
		document.body.append(dialog);
		dialog.showModal();
		buttons.at(-1).focus();
	});
}
