// The configuration: what is in effect and where from; edit, check, compare, save, undo.

import { ask } from "../lib/dialog.js";
import { button, field, h, say, select, table, tools } from "../lib/dom.js";

export function config(app) {
	const { api } = app;
	const editor = h("textarea", { class: "editor", rows: 24, spellcheck: "false", autocomplete: "off" });
	const [faults, values, choice, done] = [h("ul", { class: "attention" }), h("div"), h("span"), h("span", { role: "status" })];
	const diff = h("pre", { tabindex: 0, hidden: true });
	let [files, file] = [[], null];
	const path = () => `config/files/${encodeURIComponent(file.id)}`;

	function open(id) {
		file = files.find((each) => each.id === id) ?? files[0];
		editor.value = file?.text ?? "";
		editor.readOnly = !file?.writable || !app.may("configure");
		faults.replaceChildren();
		diff.hidden = true;
	}

	async function read() {
		const data = await api.get("config");
		({ files } = data);
		choice.replaceChildren(field("file", select(files.map((each) => [each.id, each.path]), file?.id, open)));
		open(file?.id);
		values.replaceChildren(table("In effect", ["service", "key", "value", "origin"], data.values.map((row) =>
			[row.service ?? "", row.key, row.value, row.origin])));
	}

	/** Return whether the text is valid; show where it isn't, and what would change. */
	async function check() {
		const found = await api.post("config/check", { files: { [file.id]: editor.value } });
		show(found.faults);
		const valid = !found.faults.length;
		say(diff, found.diff || "no difference");
		diff.hidden = !valid;
		say(done, valid ? ["valid", ...found.plan].join("; ") : "");
		return valid;
	}

	const show = (errors) => faults.replaceChildren(...errors.map(({ line, column, message, hint }) => h("li",
		line && button(`line ${line}${column ? `, column ${column}` : ""}`, () => goTo(line, column ?? 1)), ` ${message}${hint ? ` – ${hint}` : ""}`)));

	/** Show the places of faults that an answer has. */
	function locate(refusal) {
		if (!refusal.errors?.some(({ line }) => line)) throw refusal;
		show(refusal.errors);
	}

	function goTo(line, column) {
		const lines = editor.value.split("\n");
		const start = lines.slice(0, line - 1).join("\n").length + (line > 1) + column - 1;
		editor.focus();
		editor.setSelectionRange(start, start + 1);
		editor.scrollTop = (line - 5) * (editor.scrollHeight / lines.length);
	}

	async function save() {
		await api.send("PUT", `api/v1/${path()}`, { text: editor.value }, { "If-Match": file.etag });
		await read();
		say(done, "saved; a reload puts it into effect");
	}

	async function undo() {
		const [last] = await api.get(path(), { versions: 1 });
		if (!last) return say(done, "there is no earlier version");
		editor.value = (await api.get(path(), { version: last.version })).text;
		return check();
	}

	async function reload() {
		const { plan, manager } = await api.post("reload", { dry_run: true });
		const lines = [...plan.map(({ service, action, changes }) => `${service}: ${[action, ...changes.map(({ key }) => key)].join(", ")}`),
			...manager.map(({ key }) => `manager.${key}`)];
		const words = h("pre", { class: "cost", tabindex: 0 }, lines.join("\n") || "nothing would change");
		if (await ask("Put the saved configuration into effect?", words, [["do", "Reload", "good"], [null, "Cancel"]])) {
			app.operations.add((await api.post("reload")).operation);
		}
	}

	const actions = { Check: check, Save: save, Undo: undo, "Reload …": reload };
	app.doing(read)();
	return {
		node: [h("h1", "Configuration"), tools(choice, app.may("configure")
			&& [Object.entries(actions).map(([words, work]) => button(words, app.doing(() => work().catch(locate)))), done]), faults, diff, field("text", editor), values],
	};
}
