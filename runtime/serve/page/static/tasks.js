// The prompts that PaliGemma was trained on, in both directions: from what is chosen to the text, and back.

// Languages of PaliGemma's captions and questions (Crossmodal-3600), by code.
const codes =
  "ar bn cs da de el en es fa fi fil fr he hi hr hu id it ja ko mi nl no pl pt quz ro ru sv sw te th tr uk vi zh".split(
    " ",
  );

// languages are [code, name] by name, English first.
export function languages() {
  const names = new Intl.DisplayNames(["en"], {type: "language"});
  const list = codes.map(code => [code, {quz: "Cusco Quechua"}[code] ?? names.of(code)]);
  return list.sort((a, b) => (b[0] === "en") - (a[0] === "en") || a[1].localeCompare(b[1]));
}

// splitClasses returns the classes of a text: between semicolons or commas, without what a label cannot have.
export function splitClasses(text) {
  const found = text
    .split(/[;,]/)
    .map(c => c.replace(/[<>]/g, "").replace(/\s+/g, " ").trim())
    .filter(c => c);
  return [...new Set(found)];
}

// locates says whether a task answers with objects.
export const locates = task => task === "detect" || task === "segment";

// compose returns the prompt of what is chosen.
export function compose({task, language, question, classes, free}) {
  switch (task) {
    case "caption":
      return `caption ${language}`;
    case "ask":
      return question.trim() ? `answer ${language} ${question.trim()}` : "";
    case "ocr":
      return "ocr";
    case "detect":
    case "segment":
      return classes.length ? `${task} ${classes.join(" ; ")}` : "";
  }
  return free.trim();
}

// parse returns what a prompt chooses: a task with its parts, or the free text.
export function parse(prompt) {
  const text = prompt.trim();
  let m = /^caption (\w+)$/.exec(text);
  if (m && codes.includes(m[1])) return {task: "caption", language: m[1]};
  m = /^answer (\w+) (.+)$/s.exec(text);
  if (m && codes.includes(m[1])) return {task: "ask", language: m[1], question: m[2]};
  if (text === "ocr") return {task: "ocr"};
  m = /^(detect|segment) (.+)$/s.exec(text);
  if (m && !/[<>]/.test(m[2])) return {task: m[1], classes: splitClasses(m[2])};
  return {task: "free", free: prompt};
}

// languageOf returns the language of the answer to a prompt, "" where it is not known.
export function languageOf(prompt) {
  return /^(?:caption|answer|describe|cap) (\w+)/.exec(prompt)?.[1] ?? "";
}

// request returns the body of a chat completion about pictures, which are data: URIs or addresses.
export function request({model, prompt, task, classes, least, adapter, most, temperature}, pictures) {
  const content = pictures.map(url => ({type: "image_url", image_url: {url}}));
  const body = {model, messages: [{role: "user", content: [...content, {type: "text", text: prompt}]}]};
  if (locates(task)) Object.assign(body, {task, classes, min_score: least});
  if (adapter) body.adapter = adapter;
  if (most) body.max_tokens = most;
  if (temperature !== null && !locates(task)) body.temperature = temperature;
  return body;
}
