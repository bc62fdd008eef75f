// The form: a task, its parts, and the prompt that they make. Prompt and parts follow each other.

import {$, h} from "./dom.js";
import {compose, languages, locates, parse, splitClasses} from "./tasks.js";

const together = 4; // most classes that the server asks for in one prompt

export class Ask {
  // changed is called after every change.
  constructor(changed) {
    this.changed = changed;
    this.state = {task: "caption", language: "en", question: "", classes: [], free: ""};
    this.model = null;

    $("language").append(...languages().map(([code, name]) => h("option", {value: code}, `${name} (${code})`)));
    for (const radio of document.querySelectorAll("#tasks input")) {
      radio.onchange = () => {
        if (radio.value === "free") this.state.free = $("prompt").value;
        this.set({task: radio.value});
      };
    }
    $("language").onchange = () => this.set({language: $("language").value});
    $("question").oninput = () => this.set({question: $("question").value});
    $("prompt").oninput = () => this.edit($("prompt").value);
    for (const id of ["adapter", "most", "temperature", "together", "query"])
      $(id).addEventListener("input", () => this.update());
    this.chips();
  }

  // know fits the form to a model.
  know(model) {
    this.model = model;
    const {tasks, frozen = [], adapters = [], embeds} = model;
    const some = task => task === "free" || !tasks || tasks.includes(task) || tasks.includes({ask: "answer"}[task]);
    $("tasks").hidden = embeds || frozen.length > 0;
    for (const label of document.querySelectorAll("#tasks label")) label.hidden = !some(label.dataset.task);
    this.frozen(frozen);

    $("adapter-field").hidden = !adapters.length;
    $("adapter").replaceChildren(
      h("option", {value: ""}, "none"),
      ...adapters.map(a => a.name ?? a).map(a => h("option", {value: a}, a)),
    );
    $("options").hidden = Boolean(embeds);
    $("prompt-field").hidden = Boolean(embeds) || frozen.length > 0; // what is built in shows its prompts
    if (embeds) this.state.task = "rank";
    else if (frozen.length) this.edit(frozen[0]);
    else if (!some(this.state.task)) this.state.task = "free";

    const says = [];
    if (embeds)
      says.push(
        "This model makes embeddings of pages instead of text. Add pages, say what you look for, and they are ranked.",
      );
    if (frozen.length)
      says.push("This file answers what was built into it (pgc compile --task, --prompt) and nothing else.");
    this.says = says;
    this.show();
    this.fill();
  }

  // frozen offers the questions that are built in.
  frozen(prompts) {
    const box = $("frozen");
    box.hidden = !prompts.length;
    box.replaceChildren(
      box.firstElementChild,
      ...prompts.map((p, i) =>
        h(
          "label",
          {},
          h("input", {
            type: "radio",
            name: "frozen",
            value: p,
            checked: i === 0,
            onchange: () => {
              this.edit(p);
              this.fill();
            },
          }),
          h("span", {}, p),
        ),
      ),
    );
  }

  set(parts) {
    Object.assign(this.state, parts);
    this.show();
    this.fill();
  }

  // edit takes a prompt that was typed, and leaves its text alone.
  edit(prompt) {
    let parts = parse(prompt);
    const label = document.querySelector(`#tasks label[data-task=${parts.task}]`);
    if ((label.hidden && !this.model?.frozen?.length) || !prompt.trim()) parts = {task: "free", free: prompt};
    Object.assign(this.state, parts);
    this.show();
    this.update(prompt);
  }

  // fill writes the prompt of what is chosen.
  fill() {
    if (this.model?.frozen?.length) $("prompt").value = document.querySelector("#frozen input:checked").value;
    else $("prompt").value = compose(this.state);
    this.update();
  }

  // show makes the form what the state is.
  show() {
    const {task, language, question, classes} = this.state;
    const fixed = this.model?.frozen?.length > 0;
    const radio = document.querySelector(`#tasks input[value=${task}]`);
    if (radio) radio.checked = true;
    for (const field of document.querySelectorAll("[data-for]"))
      field.hidden = fixed || !field.dataset.for.split(" ").includes(task);
    $("language").value = language;
    if ($("question").value !== question && document.activeElement !== $("question")) $("question").value = question;
    $("classes").replaceChildren(
      ...classes.map((c, i) =>
        h("li", {}, c, h("button", {type: "button", "aria-label": `Remove ${c}`, onclick: () => this.drop(i)}, "×")),
      ),
    );
    const says = [...(this.says ?? [])];
    if (task === "segment" && this.model && this.model.masks === false) {
      says.push("This file has no decoder of masks (pgc compile --masks), so it answers with boxes alone.");
    }
    $("limits").textContent = says.join(" ");
    $("limits").hidden = !says.length;
  }

  update() {
    const {task, classes} = this.state;
    $("prompt-help").textContent =
      locates(task) && classes.length > together
        ? `From ${together + 1} classes on, each is asked for with a prompt of its own: “${task} ${classes[0]}”, “${task} ${classes[1]}”, …`
        : "The text that the model is given. Change it as you like.";
    this.changed();
  }

  chips() {
    const input = $("class");
    const add = () => {
      const more = splitClasses(input.value).filter(c => !this.state.classes.includes(c));
      input.value = "";
      if (more.length) this.set({classes: [...this.state.classes, ...more]});
    };
    input.onkeydown = e => {
      if (e.key === "Enter" && !e.ctrlKey && !e.metaKey && input.value.trim()) {
        e.preventDefault();
        add();
      } else if (e.key === "Backspace" && !input.value && this.state.classes.length) {
        e.preventDefault();
        this.set({classes: this.state.classes.slice(0, -1)});
      }
    };
    input.oninput = () => {
      if (/[;,]/.test(input.value)) add();
    };
    input.onblur = add;
    this.flush = add;
    $("chips").onclick = e => {
      if (e.target === $("chips") || e.target === $("classes")) input.focus();
    };
  }

  drop(i) {
    this.set({classes: this.state.classes.filter((_, k) => k !== i)});
    const buttons = $("classes").querySelectorAll("button");
    (buttons[Math.min(i, buttons.length - 1)] ?? $("class")).focus();
  }

  // question returns what to ask now: {prompt, task, classes, adapter, most, temperature}, or a sentence that says what is missing.
  ready() {
    this.flush();
    const {task, classes} = this.state;
    const prompt = $("prompt").value.trim();
    const number = id => ($(id).value === "" ? null : Number($(id).value));
    const most = number("most"),
      temperature = number("temperature");
    if (task === "rank")
      return $("query").value.trim()
        ? {task, query: $("query").value.trim()}
        : {missing: "Say what the page should be about.", at: "query"};
    if (!prompt) {
      if (task === "ask") return {missing: "Type a question first.", at: "question"};
      if (locates(task)) return {missing: "Name at least one class, such as cat.", at: "class"};
      return {missing: "Type a prompt first.", at: "prompt"};
    }
    if (most !== null && !(Number.isInteger(most) && most > 0))
      return {missing: "Most tokens is a whole number from 1 on.", at: "most"};
    if (temperature !== null && !(temperature >= 0 && temperature <= 5))
      return {missing: "Temperature is 0 to 5.", at: "temperature"};
    return {prompt, task, classes: locates(task) ? classes : [], adapter: $("adapter").value, most, temperature};
  }
}
