// Elements, and what the browser does for all parts of the page: the status for screen readers, the clipboard, downloads.

export const $ = id => document.getElementById(id);

// h makes an element: properties by name, attributes where the name has a dash or is role, children as texts or nodes.
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

// svg makes an element of a drawing; all properties but onclick and the like are attributes.
export function svg(tag, attributes = {}, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") e[name] = value;
    else if (value !== null && value !== undefined) e.setAttribute(name, value);
  }
  e.append(...children.filter(c => c !== null));
  return e;
}

function fill(e, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "role" || name === "for" || name.includes("-")) e.setAttribute(name, value);
    else e[name] = value;
  }
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}

// say tells people who listen to the page what has happened.
export function say(sentence) {
  $("status").textContent = sentence;
}

export const plural = (n, one, many = one + "s") => `${n} ${n === 1 ? one : many}`;

// copyText puts a text on the clipboard; pages that are neither https nor localhost may do so only through a selection.
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const before = document.activeElement;
  const area = h("textarea", {value: text, className: "unseen", "aria-hidden": "true"});
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  if (!done) throw new Error("This browser does not let the page copy. Download instead.");
}

export async function copyPicture(blob) {
  if (!window.isSecureContext || !window.ClipboardItem) {
    throw new Error("Browsers copy pictures only from pages of https or localhost. Download it instead.");
  }
  return navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
}

export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], {type}));
  h("a", {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// flash shows on a button for a moment that it has worked.
export function flash(button, text) {
  const before = button.dataset.text ?? button.textContent;
  button.dataset.text = before;
  button.textContent = text;
  say(text);
  clearTimeout(button.timer);
  button.timer = setTimeout(() => (button.textContent = before), 1600);
}
