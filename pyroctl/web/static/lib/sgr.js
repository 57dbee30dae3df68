// Colours of terminals in text. Of the escape sequences only colours and faces have an effect here;
// the others are removed.

// Sequences of a terminal, the colours (…m) among them, and other control characters but tab.
const SEQUENCE =
	/\x1b\[([0-?]*)[ -/]*([@-~])?|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|\x9b[0-?]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const FACES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse" };

export const plain = (text) => text.replace(SEQUENCE, "");

export function pieces(line) {
	const found = [];
	const style = { fore: "", faces: new Set() };
	let from = 0;
	const add = (to) => {
		const classes = [...style.faces, style.fore].filter(Boolean).join(" ");
		if (to > from) found.push([line.slice(from, to), classes]);
	};
	for (const match of line.matchAll(SEQUENCE)) {
		add(match.index);
		from = match.index + match[0].length;
		if (match[2] === "m") apply(style, match[1].split(/[;:]/).map(Number));
	}
	add(line.length);
	return found;
}

function apply(style, codes) {
	while (codes.length) {
		const code = codes.shift();
		const [tens, ones] = [Math.floor(code / 10), code % 10];
		if (code === 0) {
			style.fore = "";
			style.faces.clear();
		} else if (FACES[code]) style.faces.add(FACES[code]);
		else if (code === 22) ["bold", "dim"].forEach((face) => style.faces.delete(face));
		else if (tens === 2) style.faces.delete(FACES[ones]);
		else if (tens === 3 || tens === 9) style.fore = ones === 9 ? "" : `f${colour(ones, tens === 9, codes)}`;
		else if (tens === 4 || tens === 10) {
			colour(ones, tens === 10, codes); // a background is only said to be there: it has to be readable
			style.faces[ones === 9 && tens === 4 ? "delete" : "add"]("inverse");
		}
	}
}

/** Return the nearest of the 8 colours, which each theme has in a shade that can be read. */
function colour(number, bright, codes) {
	if (number !== 8 || bright) return number;
	if (codes.shift() === 2) return nearest(codes.splice(0, 3).map((value) => value / 255));
	const index = codes.shift() ?? 0;
	const cube = index - 16;
	if (index < 16) return index % 8;
	return index >= 232 ? 7 : nearest([cube / 36, (cube / 6) % 6, cube % 6].map((value) => Math.floor(value) / 5));
}

const nearest = (rgb) => rgb.reduce((sum, value, at) => sum + (value > 0.5 ? 1 << at : 0), 0);
