// The configuration: what is in effect and where from; edit, check, compare, save, undo.

import { ask } from "../lib/dialog.js";
import { button, field, h, say, select, table } from "../lib/dom.js";

export function config(app) {
  const { api } = app;
  const editor = h("textarea", { class: "editor", rows: 24, spellcheck: "false", autocomplete: "off" });
  const [faults, values, diff, done] = [h("ul", { class: "attention" }), h("div", {}), h("pre", { tabindex: "0", hidden: true }), h("span", { role: "status" })];
  const choice = h("span", {});
  let files = [];
  let file = null;

  const edited = () => ({ [file.id]: editor.value });

  function open(id) {
    file = files.find((each) => each.id === id);
    editor.value = file.text;
    editor.readOnly = !file.writable || !app.may("configure");
    faults.replaceChildren();
    diff.hidden = true;
  }

  async function read() {
    const data = await api.get("config");
    ({ files } = data);
    const old = file?.id;
    choice.replaceChildren(field("file", select(files.map((each) => [each.id, each.path]), old, open)));
    if (files.length) open(files.some(({ id }) => id === old) ? old : files[0].id);
    values.replaceChildren(table("In effect", ["service", "key", "value", "origin"], data.values.map((row) =>
      [row.service ?? "", row.key, typeof row.value === "string" ? row.value : JSON.stringify(row.value), row.origin])));
  }

  /** Return whether the text is valid; show where it isn't, and what would change. */
  async function check() {
    const found = await api.post("config/check", { files: edited() });
    show(found.faults);
    say(diff, found.diff || "no difference");
    diff.hidden = found.faults.length > 0;
    say(done, found.faults.length ? "" : ["valid", ...(found.plan ?? [])].join("; "));
    return found.faults.length === 0;
  }

  function show(errors) {
    faults.replaceChildren(...errors.map((each) => h("li", {},
      each.line ? button(`line ${each.line}${each.column ? `, column ${each.column}` : ""}`, () => goTo(each.line, each.column)) : null,
      ` ${each.message}${each.hint ? ` – ${each.hint}` : ""}`)));
  }

  function goTo(line, column) {
    const start = editor.value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + (column || 1) - 1;
    editor.focus();
    editor.setSelectionRange(start, start + 1);
    editor.scrollTop = (line - 5) * (editor.scrollHeight / editor.value.split("\n").length);
  }

  async function save(text) {
    await api.send("PUT", `config/files/${encodeURIComponent(file.id)}`, { text }, { "If-Match": file.etag });
    await read();
    say(done, "saved; a reload puts it into effect");
  }

  async function undo() {
    const { versions } = await api.get(`config/files/${encodeURIComponent(file.id)}`, { versions: 1 });
    if (!versions.length) return say(done, "there is no earlier version");
    const { text } = await api.get(`config/files/${encodeURIComponent(file.id)}`, { version: versions[0].version });
    editor.value = text;
    return check();
  }

  async function reload() {
    const plan = await api.post("reload", { dry_run: true });
    const words = h("pre", { class: "cost", tabindex: "0" }, (plan.lines ?? []).join("\n") || "nothing would change");
    if (await ask("Put the saved configuration into effect?", words, [["do", "Reload", "good"], [null, "Cancel", ""]])) {
      await api.post("reload", {});
      say(done, "reloading");
    }
  }

  const doing = (work) => async () => {
    try {
      await work();
    } catch (refusal) {
      if (refusal.errors?.some(({ line }) => line)) show(refusal.errors);
      else app.fault(refusal);
    }
  };
  doing(read)();
  return {
    node: [
      h("h1", {}, "Configuration"), h("div", { class: "tools" }, choice, app.may("configure") ? [
        button("Check", doing(check)), button("Save", doing(async () => await check() && save(editor.value))),
        button("Undo", doing(undo)), button("Reload …", doing(reload)), done] : null),
      faults, diff, field("text", editor), values,
    ],
  };
}
