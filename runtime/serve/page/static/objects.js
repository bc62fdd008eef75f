// Objects of an answer: read from its text while it comes, and told apart by colour and dashes.

const object = /((?:<loc\d{4}>){4})((?:<seg\d{3}>){16})?\s*([^<;]*)/g;

// read returns the objects of a text about a picture of width × height pixels, each with its place in the text: from, to.
export function read(text, width, height) {
  const list = [];
  for (const m of text.matchAll(object)) {
    const loc = m[1].match(/\d{4}/g).map(Number); // y0, x0, y1, x1
    const [y0, x0, y1, x1] = loc;
    const box = [(x0 / 1024) * width, (y0 / 1024) * height, (x1 / 1024) * width, (y1 / 1024) * height];
    const whole = m[0].trimEnd();
    list.push({label: m[3].trim(), score: null, loc, box, from: m.index, to: m.index + whole.length});
  }
  return list;
}

// place gives objects of the server their places in the text. Of equal ones the first that is free is taken.
export function place(objects, text) {
  const free = read(text, 1, 1);
  return objects.map(o => {
    const i = free.findIndex(f => f.label === o.label && f.loc.every((v, k) => v === o.loc[k]));
    const [found] = i < 0 ? [{}] : free.splice(i, 1);
    return {...o, from: found.from, to: found.to};
  });
}

// pieces cuts a text at its objects: [text, index of the object or -1].
export function pieces(text, objects) {
  const list = [];
  const marks = objects
    .map((o, i) => ({...o, i}))
    .filter(o => o.from !== undefined)
    .sort((a, b) => a.from - b.from);
  let at = 0;
  for (const {from, to, i} of marks) {
    if (from > at) list.push([text.slice(at, from), -1]);
    list.push([text.slice(from, to), i]);
    at = to;
  }
  if (at < text.length) list.push([text.slice(at), -1]);
  return list;
}

// Colours have a contrast of 4.5 and more to white, so that white text can stand on them. Dashes tell apart what colours do not, in units
// of the line's width.
const colors = ["#0a5fd0", "#b93a06", "#08703f", "#8a2bc4", "#b81457", "#75500a", "#0b6a7f", "#4b5563"];
const dashes = [[], [5, 2.5], [1, 2], [6, 2, 1, 2]];
const known = new Map();

// look returns the colour and the dashes of a label: the same in all pictures, until the page is loaded anew.
export function look(label) {
  if (!known.has(label)) known.set(label, known.size);
  const n = known.get(label);
  return {color: colors[n % colors.length], dash: dashes[n % dashes.length]};
}

// dashed returns dashes for a width of lines.
export const dashed = (dash, width) => dash.map(d => d * width);

export const percent = score => `${Math.round(score * 100)} %`;

// shown says whether an object is seen with a least score. One without a score always is.
export const shown = (o, least) => o.score === null || o.score === undefined || o.score >= least;
