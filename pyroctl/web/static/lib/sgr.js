// Colours of terminals in text. Of the escape sequences only colours and faces have an effect here;
// the others are removed.

// Sequences of a terminal, the colours (…m) among them, and other control characters but tab.
const SEQUENCE =
  /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|\x9b[0-?]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

const FACES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck" };

/** Return pieces `[text, classes]` of a line. */
export function pieces(line) {
  const found = [];
  let style = { faces: new Set(), fore: null, back: null };
  let from = 0;
  const add = (text) => text && found.push([text, classes(style)]);
  for (const match of line.matchAll(SEQUENCE)) {
    add(line.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") style = changed(style, match[1]);
  }
  add(line.slice(from));
  return found;
}

/** Return a line without escape sequences. */
export const plain = (line) => line.replace(SEQUENCE, "");

function classes({ faces, fore, back }) {
  const found = [...faces];
  if (fore !== null) found.push(`f${fore}`);
  if (back !== null) found.push(`b${back}`);
  return found.join(" ");
}

function changed(before, parameters) {
  const style = { ...before, faces: new Set(before.faces) };
  const codes = parameters.split(/[;:]/).map((code) => Number(code) || 0);
  while (codes.length) {
    const code = codes.shift();
    if (code === 0) Object.assign(style, { fore: null, back: null }).faces.clear();
    else if (FACES[code]) style.faces.add(FACES[code]);
    else if (code === 22) ["bold", "dim"].forEach((face) => style.faces.delete(face));
    else if (FACES[code - 20]) style.faces.delete(FACES[code - 20]);
    else if (code === 38) style.fore = extended(codes);
    else if (code === 48) style.back = extended(codes);
    else if (code === 39) style.fore = null;
    else if (code === 49) style.back = null;
    else if (code >= 30 && code < 38) style.fore = code - 30;
    else if (code >= 40 && code < 48) style.back = code - 40;
    else if (code >= 90 && code < 98) style.fore = code - 82;
    else if (code >= 100 && code < 108) style.back = code - 92;
  }
  return style;
}

/** Return the nearest of the 16 colours, which each theme has in a shade that can be read. */
function extended(codes) {
  const kind = codes.shift();
  if (kind === 2) return nearest(codes.splice(0, 3).map((value) => value / 255));
  const number = codes.shift() ?? 0;
  if (number < 16) return number;
  if (number >= 232) return number < 240 ? 8 : 7;
  const cube = number - 16;
  return nearest([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((value) => value / 5));
}

function nearest(rgb) {
  const bits = rgb.reduce((sum, value, at) => sum + (value > 0.5 ? 1 << at : 0), 0);
  return bits + (Math.max(...rgb) > 0.8 ? 8 : 0);
}
