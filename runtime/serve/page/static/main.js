// The page: pictures, the form, and answers that come as the model writes them.

import {chat, endpoint, Failure, key, model as fetchModel} from "./api.js";
import {Ask} from "./ask.js";
import {Card} from "./card.js";
import {$, copyText, download, flash, h, plural, say} from "./dom.js";
import {formats} from "./export.js";
import {intake, source} from "./intake.js";
import {place, read} from "./objects.js";
import {ofPage, ofQuery, score} from "./rank.js";
import {languages, places} from "./snippets.js";
import {locates, request} from "./tasks.js";

const atOnce = 4; // requests: the server decodes them together
const tries = 20; // of a request that finds the queue full

let model = null;
let cards = [];
let running = null; // an AbortController while requests are under way
let asked = false; // whether the server wants a key
const least = () => Number($("score-least").value);

const ask = new Ask(changed);
const pictures = intake(list => {
  const more = list.map(p => new Card(p, {remove, again: card => run([card])}));
  cards.push(...more);
  $("cards").append(...more.map(c => c.root));
  changed();
});

// connect asks the server about its model, and tries again while it starts.
async function connect() {
  try {
    model = await fetchModel();
  } catch (e) {
    if (!(e instanceof Failure)) throw e;
    if (e.status === 401) return askForKey(key.get() ? e.message : "");
    notice(e.message, e.status === 503 ? null : {text: "Try again", act: connect});
    if (e.status === 503) setTimeout(connect, 1000);
    return;
  }
  notice("");
  $("key").hidden = true;
  $("key-change").hidden = !key.get();
  document.title = `${model.id} – pgc`;
  $("model").textContent = model.id;
  const says = [];
  if (model.image_size) says.push(`${model.image_size} × ${model.image_size} pixels`);
  if (model.embeds) says.push("embeddings of pages");
  if (model.masks) says.push("masks");
  if (model.adapters?.length) says.push(plural(model.adapters.length, "adapter"));
  $("about").textContent = says.join(" · ");
  ask.know(model);
  pictures.allow(Boolean(model.image_urls));
  document.body.classList.add("ready");
}

function notice(text, button) {
  $("notice").hidden = !text;
  $("notice").replaceChildren(
    text,
    ...(button ? [" ", h("button", {type: "button", onclick: button.act}, button.text)] : []),
  );
}

function askForKey(why) {
  asked = true;
  key.drop();
  notice(why);
  $("key").hidden = false;
  $("key-change").hidden = true;
  $("key-value").focus();
  changed();
}

$("key").onsubmit = e => {
  e.preventDefault();
  key.set($("key-value").value.trim());
  $("key-value").value = "";
  asked = true;
  connect();
};
$("key-change").onclick = () => askForKey("");

// changed fits what depends on pictures and form: the button, the example, whether there are answers.
function changed() {
  const n = cards.length;
  document.body.classList.toggle("filled", n > 0);
  $("answers").hidden = !n;
  $("answers-title").textContent = plural(n, "picture");
  $("together").closest("label").hidden = n < 2 || locates(ask.state.task);
  $("run").classList.toggle("stop", running !== null);
  for (const c of cards) c.again.disabled = running !== null;
  const verb = ask.state.task === "rank" ? "Rank" : "Ask about";
  $("run-text").textContent = running
    ? "Stop"
    : n > 1
      ? `${verb} ${n} pictures`
      : ask.state.task === "rank"
        ? "Rank"
        : "Run";
  if (!running) $("ask-error").textContent = "";
  results();
  example();
}

// results shows what concerns all answers.
function results() {
  const done = cards.filter(c => c.answer);
  const scored = done.some(c => c.objects.some(o => typeof o.score === "number"));
  $("score").hidden = !scored;
  $("score-value").textContent = `${Math.round(least() * 100)} %`;
  const located = done.some(c => c.objects.length);
  $("all").hidden = done.length < 2;
  const button = id =>
    h(
      "button",
      {
        type: "button",
        className: "quiet",
        onclick: async () => download("answers" + formats[id].ending, await formats[id].make(done), formats[id].type),
      },
      `All as ${formats[id].name}`,
    );
  $("all").replaceChildren(button("json"), ...(located ? [button("coco")] : []));
}

$("score-least").oninput = () => {
  for (const c of cards) c.filter(least());
  $("score-value").textContent = `${Math.round(least() * 100)} %`;
  example();
};

function remove(card) {
  const i = cards.indexOf(card);
  cards.splice(i, 1);
  card.close();
  changed();
  say(`${card.picture.name} removed`);
  (cards[Math.min(i, cards.length - 1)]?.remove ?? $("choose")).focus();
}

$("clear").onclick = () => {
  running?.abort();
  for (const c of cards) c.close();
  cards = [];
  changed();
  $("choose").focus();
};

$("ask").onsubmit = e => {
  e.preventDefault();
  if (running) running.abort();
  else run(cards);
};
document.addEventListener("keydown", e => {
  if (e.key === "Escape" && running) running.abort();
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !running) {
    e.preventDefault();
    run(cards);
  }
});

// run asks about cards: each by itself, several at a time, or all in one prompt.
async function run(list) {
  const question = ask.ready();
  const complain = (sentence, at) => {
    $("ask-error").textContent = sentence;
    at.focus();
  };
  if (running || !model) return;
  if (question.missing) return complain(question.missing, $(question.at));
  if (!list.length) return complain("Add a picture first.", $("choose"));
  running = new AbortController();
  changed();
  try {
    if (question.task === "rank") await rank(question.query, list, running.signal);
    else if ($("together").checked && list.length > 1 && !locates(question.task))
      await answer(question, list, running.signal);
    else {
      const queue = [...list];
      reveal(list[0]);
      for (const c of list) c.wait(question.prompt, "Waiting for its turn");
      const work = async () => {
        for (let c; (c = queue.shift());) await answer(question, [c], running.signal);
      };
      await Promise.all(Array.from({length: Math.min(atOnce, list.length)}, work));
    }
  } finally {
    running = null;
    changed();
  }
}

// reveal scrolls to a card that is out of sight, as on narrow screens, where answers stand below the form.
function reveal({root}) {
  if (root.getBoundingClientRect().top > window.innerHeight * 0.7)
    root.scrollIntoView({block: "start", behavior: "smooth"});
}

// answer asks about cards in one prompt, and shows the answer at the first one.
async function answer(question, list, stop) {
  const [card] = list;
  const signal = AbortSignal.any([stop, card.gone.signal]);
  await card.ready;
  for (let n = 1; ; n++) {
    try {
      if (signal.aborted) throw new DOMException("stopped", "AbortError");
      card.wait(question.prompt);
      results();
      const body = request(
        {...question, model: model.id, least: 0},
        await Promise.all(list.map(c => source(c.picture))),
      );
      card.finish(await receive(card, question, body, signal), least());
      if (cards.includes(card)) say(told(card));
      results();
      return;
    } catch (e) {
      if (e.wait && n < tries) {
        try {
          await pause(card, question.prompt, e, signal);
          continue;
        } catch {
          return card.fail("Stopped.", true);
        }
      }
      if (e.name === "AbortError") return card.fail("Stopped.", true);
      if (!(e instanceof Failure)) console.error(e);
      card.fail(e instanceof Failure ? e.message : `The page failed: ${e.message}`);
      if (e.status === 401) askForKey(e.message);
      return;
    }
  }
}

// pause waits as long as the server asks for, or until a stop.
function pause(card, prompt, {message, wait}, signal) {
  card.wait(prompt, `${message} Trying again in ${wait} s:`);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, wait * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// told is an answer as one sentence for screen readers.
function told(card) {
  const {name} = card.picture;
  if (!card.objects.length) return `${name}: ${card.answer.text || "no objects"}`;
  return `${name}: ${plural(card.visible().length, "object")}. ${card
    .visible()
    .map(o => o.label)
    .join(", ")}`;
}

// receive shows a text while it comes, and returns the complete answer.
async function receive(card, question, body, signal) {
  const began = performance.now();
  let text = "",
    first = 0,
    last = {},
    message = {},
    finish = "",
    usage = null;
  for await (const chunk of chat(body, signal)) {
    if (chunk.usage) usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) continue;
    last = {...last, ...chunk};
    if (choice.finish_reason) finish = choice.finish_reason;
    const {content, role, ...more} = choice.delta;
    Object.assign(message, more);
    if (content) {
      first ||= performance.now() - began;
      text += content;
      card.stream(text, read(text, card.width || 1024, card.height || 1024));
    }
  }
  const total = performance.now() - began;
  const timings = last.timings ?? {};
  const tokens = usage?.completion_tokens ?? 0;
  const [width, height] = sizeOf(card, message.boxes);
  const objects = message.boxes ? place(message.boxes, text) : read(text, width || 1024, height || 1024);
  const notes = (message.malformed ?? []).map(m => `Malformed: ${m.text} (${m.reason})`);
  notes.push(...(last.warnings ?? []));
  if (finish === "length")
    notes.push(
      locates(question.task)
        ? "Some objects may be missing: no further one was allowed."
        : "Cut off at the most tokens: Options has a larger number.",
    );
  return {
    prompt: last.prompt?.trim() ?? question.prompt,
    task: question.task,
    classes: question.classes,
    text: text.trim(),
    objects,
    width,
    height,
    finish,
    timings,
    tokens,
    first: first || total,
    total,
    notes,
    malformed: message.malformed ?? [],
    rate: timings.tokens_per_s || (tokens > 1 && total > first ? ((tokens - 1) / (total - first)) * 1000 : 0),
  };
}

// sizeOf returns that of a card's picture or, where the page cannot know it, what the first object's place in pixels and in 1024ths tells.
function sizeOf(card, boxes) {
  if (card.width || !boxes?.length) return [card.width, card.height];
  const [{box, loc}] = boxes;
  return [Math.round((box[2] / loc[3]) * 1024), Math.round((box[3] / loc[2]) * 1024)];
}

// rank puts the pages in the order of their scores.
async function rank(query, list, signal) {
  for (const c of list) c.wait(query, "Reading the page");
  let failed = false;
  const scores = new Map();
  try {
    const vectors = await ofQuery(model.id, query, signal);
    for (const c of list) {
      scores.set(c, score(vectors, await ofPage(model.id, c.picture, signal)));
    }
  } catch (e) {
    failed = true;
    for (const c of list)
      if (!scores.has(c)) c.fail(e.name === "AbortError" ? "Stopped." : e.message, e.name === "AbortError");
    if (e.status === 401) askForKey(e.message);
    if (e.name !== "AbortError" && !(e instanceof Failure)) console.error(e);
  }
  const order = [...scores].sort((a, b) => b[1] - a[1]);
  order.forEach(([c, s], i) => c.ranked(i + 1, s));
  cards = [...order.map(([c]) => c), ...cards.filter(c => !scores.has(c))];
  $("cards").append(...cards.map(c => c.root));
  if (!failed) say(`Best page: ${order[0][0].picture.name}`);
}

// The example is the request of the form about the pictures, as a program.
let language = "curl";

function example() {
  $("code").hidden = !model || Boolean(model.embeds);
  if ($("code").hidden) return;
  const {task, classes} = ask.state;
  const prompt =
    $("prompt").value.trim() ||
    {ask: "answer en what is this?", detect: "detect cat", segment: "segment cat"}[task] ||
    "caption en";
  const all = $("together").checked && !locates(task);
  const chosen = (cards.length ? cards.map(c => c.picture) : [{name: "photo.jpg", type: "image/jpeg", url: ""}]).slice(
    0,
    all ? undefined : 1,
  );
  const optional = id => ($(id).value === "" ? null : Number($(id).value));
  const body = request(
    {
      model: model.id,
      prompt,
      task,
      classes: classes.length ? classes : ["cat"],
      least: least(),
      adapter: $("adapter").value,
      most: optional("most"),
      temperature: optional("temperature"),
    },
    places(chosen),
  );
  $("code-text").textContent = languages[language].write({
    path: "chat/completions",
    body,
    pictures: chosen,
    key: asked || Boolean(key.get()),
    objects: locates(task),
  });
  $("code-base").textContent = endpoint("").replace(/\/$/, "");
}

function choose(id, focus) {
  language = id;
  for (const tab of $("code-tabs").children) {
    const on = tab.dataset.id === id;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    if (on && focus) tab.focus();
    if (on) $("code-text").setAttribute("aria-labelledby", tab.id);
  }
  example();
}

const ids = Object.keys(languages);
$("code-tabs").append(
  ...ids.map((id, i) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `code-${id}`,
        "aria-controls": "code-text",
        "data-id": id,
        onclick: () => choose(id, false),
        onkeydown: e => {
          const step = {ArrowRight: 1, ArrowLeft: -1}[e.key];
          if (step) choose(ids[(i + step + ids.length) % ids.length], true);
        },
      },
      languages[id].name,
    ),
  ),
);
$("code-copy").onclick = async e => {
  const button = e.currentTarget;
  try {
    await copyText($("code-text").textContent);
    flash(button, "Copied");
  } catch (cause) {
    flash(button, cause.message);
  }
};

const mac = /Mac|iP/.test(navigator.platform);
$("keys-run").textContent = mac ? "⌘ ⏎" : "Ctrl ⏎";
$("keys-paste").textContent = ` with ${mac ? "⌘" : "Ctrl"} V`;
ask.show();
ask.fill();
choose("curl", false);
connect();
