// Masks: COCO's run-length codes to pixels.

// runs returns the lengths of runs, zeros first, down the columns. A letter has five bits and whether more follow; from the fourth on
// the numbers are differences to those two before.
export function runs(counts) {
  const list = [];
  for (let i = 0; i < counts.length;) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const c = counts.charCodeAt(i++) - 48;
      value |= (c & 31) << shift;
      shift += 5;
      more = (c & 32) !== 0;
      if (!more && c & 16) value |= -1 << shift;
    }
    if (list.length > 2) value += list[list.length - 2];
    list.push(value);
  }
  return list;
}

// paint returns a canvas in which the pixels of a mask have a colour with an opacity.
export function paint({size: [height, width], counts}, color, opacity) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const [r, g, b] = [1, 3, 5].map(i => parseInt(color.slice(i, i + 2), 16));
  const word = (Math.round(opacity * 255) << 24 | b << 16 | g << 8 | r) >>> 0; // little-endian, as all browsers' machines are
  let at = 0, on = false;
  for (const n of runs(counts)) {
    if (on) for (let i = at; i < at + n; i++) words[i % height * width + Math.floor(i / height)] = word;
    at += n;
    on = !on;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// outline returns the path of polygons, lists of x, y, x, y, …
export function outline(polygons) {
  return polygons.map(p => {
    let path = "";
    for (let i = 0; i < p.length; i += 2) path += `${i ? "L" : "M"}${p[i]} ${p[i + 1]}`;
    return path + "Z";
  }).join("");
}
