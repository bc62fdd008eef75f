// Boxes and masks over a picture, in pixels of the picture. People who do not see them have the same in the list beside it.

import {svg} from "./dom.js";
import {dashed, look, percent, shown} from "./objects.js";
import {outline, paint} from "./masks.js";

const letters = 12.5; // pixels of the screen, as the next one
const stroke = 2.5; // as style.css has it

export class Overlay {
  // pick is called with the number of the object that is clicked, or -1, hover with that under the pointer.
  constructor(pick, hover) {
    this.root = svg("svg", {
      class: "overlay",
      "aria-hidden": "true",
      preserveAspectRatio: "none",
      onclick: () => pick(-1),
    });
    this.pick = pick;
    this.hover = hover;
    this.groups = [];
    this.width = this.height = 1;
    new ResizeObserver(() => this.tags()).observe(this.root);
  }

  // show draws objects of a picture of width × height pixels.
  show(objects, width, height) {
    this.width = width;
    this.height = height;
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.groups = objects.map((o, i) => this.group(o, i));
    const area = ({box: [x0, y0, x1, y1]}) => (x1 - x0) * (y1 - y0);
    const order = objects.map((_, i) => i).sort((a, b) => area(objects[b]) - area(objects[a])); // small ones above large ones
    this.root.replaceChildren(...order.map(i => this.groups[i].root), ...order.map(i => this.groups[i].tag));
    this.tags();
  }

  group(o, i) {
    const {color, dash} = look(o.label);
    const [x0, y0, x1, y1] = o.box;
    const rect = extra =>
      svg("rect", {x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), rx: 1, ...extra});
    const edge = o.polygons?.length ? extra => svg("path", {d: outline(o.polygons), ...extra}) : rect;
    const events = {
      onclick: e => {
        e.stopPropagation();
        this.pick(i);
      },
      onpointerenter: () => this.hover(i),
      onpointerleave: () => this.hover(-1),
    };
    const root = svg("g", {class: "object", ...events});
    if (o.area) {
      const {canvas, x, y} = paint(o.mask, color, 0.5, o.box);
      const image = svg("image", {
        x,
        y,
        width: canvas.width,
        height: canvas.height,
        preserveAspectRatio: "none",
        class: "mask",
      });
      canvas.toBlob(blob => {
        const url = URL.createObjectURL(blob);
        image.onload = () => URL.revokeObjectURL(url);
        image.setAttribute("href", url);
      });
      root.append(image);
    }
    root.append(
      edge({class: "halo"}),
      edge({class: "edge", stroke: color, "stroke-dasharray": dashed(dash, stroke).join(" ") || null}),
      edge({class: "touch"}),
    );
    const text = svg(
      "text",
      {},
      o.score === null || o.score === undefined ? o.label : `${o.label} ${percent(o.score)}`,
    );
    const tag = svg("g", {class: "tag", ...events}, svg("rect", {fill: color}), text);
    return {root, tag, object: o};
  }

  // tags gives labels the same size on the screen whatever that of the picture.
  tags() {
    const unit = this.width / (this.root.clientWidth || this.width);
    const size = letters * unit;
    for (const {tag, object} of this.groups) {
      const [rect, text] = tag.children;
      text.setAttribute("font-size", size);
      const w = text.getComputedTextLength() + size * 0.8,
        h = size * 1.5;
      const x = Math.max(0, Math.min(object.box[0] - unit, this.width - w));
      const y = object.box[1] - h >= 0 ? object.box[1] - h : object.box[1];
      for (const [name, value] of Object.entries({x, y, width: w, height: h, rx: size * 0.22}))
        rect.setAttribute(name, value);
      text.setAttribute("x", x + size * 0.4);
      text.setAttribute("y", y + size * 1.08);
      tag.classList.toggle("empty", !object.label && !text.textContent);
    }
  }

  // filter hides objects with a lower score.
  filter(least) {
    for (const {root, tag, object} of this.groups) {
      for (const e of [root, tag]) e.classList.toggle("gone", !shown(object, least));
    }
  }

  // mark emphasizes an object; -1 is none.
  mark(number, kind) {
    this.root.classList.toggle(
      "picking",
      this.groups.some(({root}, i) => i === number || (kind !== "picked" && root.classList.contains("picked"))),
    );
    this.groups.forEach(({root, tag}, i) => {
      for (const e of [root, tag]) e.classList.toggle(kind, i === number);
    });
  }
}
