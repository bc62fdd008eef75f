// A picture with its answer.

import {picture as fetched} from "./api.js";
import {copyPicture, copyText, download, flash, h, plural, say, svg} from "./dom.js";
import {dashed, look, percent, pieces, shown} from "./objects.js";
import {Overlay} from "./overlay.js";
import {languageOf, locates} from "./tasks.js";
import {formats} from "./export.js";

let number = 0;

export class Card {
  // A picture is {name, type, file or else url, shown: a blob: address or null while the server has to be asked for it}. Actions are
  // remove(card) and again(card).
  constructor(picture, actions) {
    this.picture = picture;
    this.width = this.height = 0; // known once the picture is shown or answered
    this.objects = [];
    this.answer = null; // the last complete one
    this.picked = -1;
    this.least = 0;
    this.gone = new AbortController(); // ends requests about a picture that is removed

    const id = `picture-${++number}`;
    this.overlay = new Overlay(
      i => this.pick(i === this.picked ? -1 : i),
      i => this.mark(i, "near"),
    );
    this.again = h(
      "button",
      {
        type: "button",
        className: "quiet again",
        "aria-label": `Ask again about ${picture.name}`,
        onclick: () => actions.again(this),
      },
      "Ask again",
    );
    this.remove = h(
      "button",
      {type: "button", className: "quiet", "aria-label": `Remove ${picture.name}`, onclick: () => actions.remove(this)},
      "Remove",
    );
    this.size = h("span", {className: "dim small"});
    this.rank = h("span", {className: "rank", hidden: true});
    this.stage = h("div", {className: "stage"});
    this.body = h("div", {className: "answer", hidden: true});
    this.root = h(
      "article",
      {className: "card", "aria-labelledby": id},
      h(
        "header",
        {},
        this.rank,
        h("h3", {id}, picture.name),
        this.size,
        h("span", {className: "space"}),
        this.again,
        this.remove,
      ),
      h("div", {className: "split"}, this.stage, this.body),
    );
    this.ready = this.showPicture();
    this.rest();
  }

  // showPicture waits until the browser knows the picture. One that it cannot show has a frame that says why.
  async showPicture() {
    const {name, url} = this.picture;
    const image = h("img", {alt: `The picture ${name}`});
    let why = "This browser cannot show the picture. The model may read it all the same.";
    try {
      if (url) {
        this.blank("The server fetches the picture.");
        try {
          this.picture.shown = URL.createObjectURL(await fetched(url, this.gone.signal));
        } catch (e) {
          why = e.message;
          throw e;
        }
      }
      image.src = this.picture.shown;
      await image.decode();
      this.measure(image.naturalWidth, image.naturalHeight);
      this.image = image;
      this.stage.classList.remove("blank");
      this.stage.replaceChildren(image, this.overlay.root);
    } catch {
      this.blank(why);
    }
  }

  // blank shows a frame with a sentence.
  blank(sentence) {
    this.stage.classList.add("blank");
    this.stage.replaceChildren(h("p", {}, sentence), this.overlay.root);
  }

  measure(width, height) {
    if (!width || !height) return;
    this.width = width;
    this.height = height;
    this.stage.style.setProperty("--ratio", width / height);
    this.size.textContent = `${width} × ${height}`;
  }

  // rest is the state without a request.
  rest() {
    clearInterval(this.clock);
    this.again.hidden = !this.body.hasChildNodes();
    this.body.setAttribute("aria-busy", "false");
  }

  // wait shows that a request is under way, and for how long.
  wait(prompt, what = "Waiting for the model") {
    clearInterval(this.clock);
    this.answer = null;
    this.prompt = prompt;
    this.draw([]);
    const since = performance.now();
    const time = h("span", {className: "figures"});
    const tick = () => (time.textContent = `${((performance.now() - since) / 1000).toFixed(1)} s`);
    this.clock = setInterval(tick, 100);
    tick();
    this.body.hidden = false;
    this.body.setAttribute("aria-busy", "true");
    this.body.replaceChildren(
      h("p", {className: "asked"}, prompt),
      h("p", {className: "waiting"}, h("span", {className: "dots", "aria-hidden": "true"}), what, " ", time),
    );
    this.again.hidden = true;
  }

  // stream shows the text so far.
  stream(text, objects) {
    if (!this.flow) {
      clearInterval(this.clock);
      this.flow = h("p", {
        className: objects.length ? "written" : "text",
        dir: "auto",
        lang: languageOf(this.prompt) || null,
      });
      this.body.replaceChildren(h("p", {className: "asked"}, this.prompt), this.flow);
    }
    this.flow.className = objects.length ? "written" : "text";
    this.flow.replaceChildren(...this.written(text, objects), h("span", {className: "caret", "aria-hidden": "true"}));
    if (objects.length !== this.objects.length || objects.at(-1)?.label !== this.objects.at(-1)?.label)
      this.draw(objects);
  }

  // finish shows the complete answer.
  finish(answer, least) {
    this.flow = null;
    this.answer = answer;
    this.least = least;
    if (!this.width) this.measure(answer.width, answer.height);
    this.draw(answer.objects);
    const located = locates(answer.task) || answer.objects.length > 0;
    const parts = [h("p", {className: "asked"}, answer.prompt)];
    if (located) {
      parts.push(this.list(), this.missing());
      if (answer.text)
        parts.push(
          h(
            "div",
            {className: "written", dir: "auto", role: "group", "aria-label": "As the model wrote it"},
            ...this.written(answer.text, answer.objects),
          ),
        );
    } else {
      parts.push(
        h(
          "p",
          {className: answer.text ? "text" : "text none", dir: "auto", lang: languageOf(answer.prompt) || null},
          answer.text || "The model answered with nothing.",
        ),
      );
    }
    for (const note of answer.notes) parts.push(h("p", {className: "note"}, note));
    parts.push(this.timing(), this.tools(located));
    this.body.hidden = false;
    this.body.replaceChildren(...parts.filter(p => p));
    const written = this.body.querySelector(".written");
    if (written?.scrollHeight > written?.clientHeight) written.tabIndex = 0; // so that keys scroll it
    this.rest();
    this.filter(least);
  }

  fail(sentence, stopped = false) {
    this.flow = null;
    const before = [...this.body.querySelectorAll(".asked, .text, .written")];
    for (const caret of this.body.querySelectorAll(".caret")) caret.remove();
    this.body.hidden = false;
    this.body.replaceChildren(
      ...before,
      h("p", stopped ? {className: "note"} : {className: "error", role: "alert"}, sentence),
    );
    this.rest();
  }

  // ranked shows a place among pages.
  ranked(place, score) {
    this.rank.hidden = false;
    this.rank.textContent = String(place);
    this.rank.setAttribute("aria-label", `Place ${place}`);
    this.answer = null;
    this.body.hidden = false;
    this.body.replaceChildren(
      h("p", {className: "asked"}, this.prompt),
      h("p", {className: "text"}, "Score ", h("span", {className: "figures"}, score.toFixed(2))),
    );
    this.rest();
    this.again.hidden = true;
  }

  draw(objects) {
    this.objects = objects;
    this.picked = -1;
    this.overlay.show(objects, this.width || 1, this.height || 1);
    this.overlay.mark(-1, "picked");
  }

  // written is the text as the model wrote it, its objects emphasized.
  written(text, objects) {
    this.marks = [];
    return pieces(text, objects).map(([piece, i]) => {
      if (i < 0) return piece;
      const at = piece.lastIndexOf(">") + 1; // the label is behind the tokens
      const mark = h(
        "mark",
        {onclick: () => this.pick(i === this.picked ? -1 : i)},
        h("span", {className: "tokens"}, piece.slice(0, at)),
        piece.slice(at),
      );
      mark.style.setProperty("--color", look(objects[i].label).color);
      this.marks[i] = mark;
      return mark;
    });
  }

  // list is what the overlay shows, as text.
  list() {
    this.items = this.objects.map((o, i) => {
      const {color, dash} = look(o.label);
      const swatch = svg(
        "svg",
        {viewBox: "0 0 22 12", class: "swatch", "aria-hidden": "true"},
        svg("rect", {
          x: 1.5,
          y: 1.5,
          width: 19,
          height: 9,
          rx: 2,
          fill: "none",
          stroke: color,
          "stroke-width": 2.5,
          "stroke-dasharray": dashed(dash, 2).join(" ") || null,
        }),
      );
      const corners = o.box.map(v => Math.round(v));
      const scored = typeof o.score === "number";
      const score = h("span", {className: scored ? "score-of figures" : ""}, scored ? percent(o.score) : "");
      if (scored) score.style.setProperty("--score", o.score);
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            "aria-pressed": "false",
            onclick: () => this.pick(i === this.picked ? -1 : i),
            onpointerenter: () => this.mark(i, "near"),
            onpointerleave: () => this.mark(-1, "near"),
          },
          swatch,
          h("span", {className: "label", dir: "auto"}, o.label || "without a label"),
          score,
          h(
            "span",
            {className: "corners figures", title: "left, top, right, bottom in pixels"},
            `${corners[0]}, ${corners[1]} – ${corners[2]}, ${corners[3]}`,
            o.area ? `, mask of ${plural(o.area, "pixel")}` : "",
          ),
        ),
      );
    });
    this.count = h("p", {className: "count"});
    return h("div", {}, this.count, h("ol", {className: "objects"}, ...this.items));
  }

  missing() {
    const {classes} = this.answer;
    const none = classes.filter(c => !this.objects.some(o => o.label === c));
    return none.length && this.objects.length ? h("p", {className: "dim small"}, `No ${none.join(", no ")}.`) : null;
  }

  timing() {
    const {first, total, tokens, rate} = this.answer;
    const ms = t => (t < 1000 ? `${Math.round(t)} ms` : `${(t / 1000).toFixed(1)} s`);
    const parts = [
      ["First token", ms(first)],
      ["In all", ms(total)],
    ];
    if (tokens) parts.push(["Tokens", String(tokens)]);
    if (rate) parts.push(["Tokens per second", rate < 10 ? rate.toFixed(1) : String(Math.round(rate))]);
    return h(
      "dl",
      {className: "timing"},
      ...parts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {className: "figures"}, value))),
    );
  }

  // tools copy and save the answer in a format.
  tools(located) {
    const format = h(
      "select",
      {"aria-label": `Format of the answer about ${this.picture.name}`},
      ...Object.entries(formats)
        .filter(([, f]) => located || !f.located)
        .filter(([, f]) => this.image || !f.picture)
        .map(([id, f]) => h("option", {value: id}, f.name)),
    );
    const error = h("p", {className: "error", role: "alert"});
    const act = (what, done) => async e => {
      const button = e.currentTarget;
      error.textContent = "";
      try {
        await what(formats[format.value]);
        flash(button, done);
      } catch (cause) {
        error.textContent = cause.message;
      }
    };
    const copy = async f => {
      const made = await f.make([this]);
      return made instanceof Blob ? copyPicture(made) : copyText(made);
    };
    const save = async f =>
      download(this.picture.name.replace(/\.[^.]*$/, "") + f.ending, await f.make([this]), f.type);
    return h(
      "div",
      {},
      h(
        "div",
        {className: "row tools"},
        format,
        h("button", {type: "button", onclick: act(copy, "Copied")}, "Copy"),
        h("button", {type: "button", onclick: act(save, "Saved")}, "Download"),
      ),
      error,
    );
  }

  // visible are the objects with at least the least score.
  visible() {
    return this.objects.filter(o => shown(o, this.least));
  }

  filter(least) {
    this.least = least;
    this.overlay.filter(least);
    if (!this.answer || !this.items) return;
    this.objects.forEach((o, i) => {
      if (this.items[i]) this.items[i].hidden = !shown(o, least);
      this.marks[i]?.classList.toggle("gone", !shown(o, least));
    });
    const seen = this.visible().length,
      all = this.objects.length;
    if (!all)
      this.count.textContent = this.answer.classes.length
        ? `No ${this.answer.classes.join(", no ")} found.`
        : "No objects found.";
    else
      this.count.textContent =
        seen === all ? plural(all, "object") : `${seen} of ${plural(all, "object")}: the others have lower scores`;
    if (this.picked >= 0 && !shown(this.objects[this.picked], least)) this.pick(-1);
  }

  // pick selects an object in the picture, the list and the text; -1 selects none.
  pick(number) {
    if (!this.answer) return;
    this.picked = number;
    this.mark(number, "picked");
    this.items?.forEach((item, i) => item.firstChild.setAttribute("aria-pressed", String(i === number)));
    if (number >= 0) {
      this.marks[number]?.scrollIntoView({block: "nearest"});
      say(`${this.objects[number].label} selected`);
    }
  }

  mark(number, kind) {
    this.overlay.mark(number, kind);
    if (!this.answer) return;
    this.items?.forEach((item, i) => item.classList.toggle(kind, i === number));
    this.marks?.forEach((mark, i) => mark.classList.toggle(kind, i === number));
  }

  close() {
    this.gone.abort();
    clearInterval(this.clock);
    if (this.picture.shown) URL.revokeObjectURL(this.picture.shown);
    this.root.remove();
  }
}
