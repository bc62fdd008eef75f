// Answers as files: what is shown is what is written, without objects below the least score.

import {dashed, look, percent} from "./objects.js";
import {paint} from "./masks.js";

// answer is the JSON object of a card, in the words of detect --format json.
function answer(card) {
  const {task, prompt, text, classes, finish, timings, tokens, malformed} = card.answer;
  const object = {image: card.picture.name, width: card.width || null, height: card.height || null, task, prompt, text};
  if (classes.length) object.classes = classes;
  object.boxes = card.visible().map(({from, to, ...box}) => box);
  return {...object, malformed, finish_reason: finish, generated_tokens: tokens, timings};
}

function json(cards) {
  const list = cards.map(answer);
  return JSON.stringify(list.length === 1 ? list[0] : list, null, 2) + "\n";
}

// coco is a data set as detect --format coco writes it. Numbers begin at 1.
function coco(cards) {
  const set = {
    info: {description: "objects found by a PaliGemma model compiled by pgc"},
    licenses: [],
    images: [],
    categories: [],
    annotations: [],
  };
  const category = name => {
    let known = set.categories.find(c => c.name === name);
    if (!known) set.categories.push((known = {id: set.categories.length + 1, name, supercategory: ""}));
    return known.id;
  };
  for (const card of cards) {
    const image = set.images.length + 1;
    set.images.push({id: image, width: card.width, height: card.height, file_name: card.picture.name});
    card.answer.classes.forEach(category);
    for (const o of card.visible()) {
      const [x0, y0, x1, y1] = o.box;
      const annotation = {
        id: set.annotations.length + 1,
        image_id: image,
        category_id: category(o.label),
        bbox: [x0, y0, x1 - x0, y1 - y0],
        area: o.area ?? (x1 - x0) * (y1 - y0),
        iscrowd: 0,
        segmentation: o.mask ?? [[x0, y0, x1, y0, x1, y1, x0, y1]],
      };
      if (typeof o.score === "number") annotation.score = o.score;
      set.annotations.push(annotation);
    }
  }
  return JSON.stringify(set) + "\n";
}

const smallest = 640; // pixels of the longer side of a drawing: labels of smaller ones could not be read

// png draws the picture with what was found.
function png([card]) {
  const longer = Math.max(card.width, card.height);
  const scale = longer < smallest ? Math.ceil(smallest / longer) : 1;
  const canvas = document.createElement("canvas");
  canvas.width = card.width * scale;
  canvas.height = card.height * scale;
  const c = canvas.getContext("2d");
  c.imageSmoothingQuality = "high";
  c.drawImage(card.image, 0, 0, canvas.width, canvas.height);
  const line = Math.max(2, (longer * scale) / 400),
    size = Math.max(13, (longer * scale) / 55);
  c.font = `600 ${size}px system-ui, sans-serif`;
  c.textBaseline = "middle";
  const objects = card.visible();
  c.imageSmoothingEnabled = false;
  for (const o of objects) {
    if (!o.area) continue; // no mask, or one without a pixel
    const {canvas: mask, x, y} = paint(o.mask, look(o.label).color, 0.5, o.box);
    c.drawImage(mask, x * scale, y * scale, mask.width * scale, mask.height * scale);
  }
  for (const o of objects) {
    const {color, dash} = look(o.label);
    const [x0, y0, x1, y1] = o.box.map(v => v * scale);
    c.beginPath();
    if (o.polygons?.length) {
      for (const p of o.polygons) {
        for (let i = 0; i < p.length; i += 2) c[i ? "lineTo" : "moveTo"](p[i] * scale, p[i + 1] * scale);
        c.closePath();
      }
    } else {
      c.rect(x0, y0, x1 - x0, y1 - y0);
    }
    c.setLineDash([]);
    c.lineWidth = line * 2;
    c.strokeStyle = "rgb(255 255 255 / 0.8)";
    c.stroke();
    c.setLineDash(dashed(dash, line));
    c.lineWidth = line;
    c.strokeStyle = color;
    c.stroke();
    const text = typeof o.score === "number" ? `${o.label} ${percent(o.score)}` : o.label;
    if (!text) continue;
    const w = c.measureText(text).width + size * 0.8,
      h = size * 1.5;
    const x = Math.max(0, Math.min(x0 - line / 2, canvas.width - w)),
      y = y0 - h >= 0 ? y0 - h : y0;
    c.fillStyle = color;
    c.fillRect(x, y, w, h);
    c.fillStyle = "#fff";
    c.fillText(text, x + size * 0.4, y + h / 2);
  }
  return new Promise(resolve => canvas.toBlob(resolve, "image/png"));
}

// formats by id: make writes cards; those that are located need objects, those with picture one that the browser can draw.
export const formats = {
  text: {
    name: "Text",
    ending: ".txt",
    type: "text/plain",
    make: cards => cards.map(c => c.answer.text).join("\n") + "\n",
  },
  json: {name: "JSON", ending: ".json", type: "application/json", make: json},
  coco: {name: "COCO", ending: ".coco.json", type: "application/json", located: true, make: coco},
  png: {name: "PNG", ending: ".drawn.png", type: "image/png", picture: true, make: png},
};
