// Masks: COCO's run-length codes to pixels.

// runs returns the lengths of runs, zeros first, down the columns. A letter has five bits and whether more follow; from the fourth on
// the numbers are differences to those two before.
function runs(counts) {
  const list = [];
  for (let i = 0; i < counts.length;) {
    let value = 0,
      shift = 0,
      more = true;
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

// paint returns a canvas in which the pixels of a mask have a colour with an opacity. It is the part of the picture that box, rounded
// outwards, cuts out, and lies at its x and y.
export function paint({size: [height, width], counts}, color, opacity, box = [0, 0, width, height]) {
  const x0 = Math.max(0, Math.floor(box[0]) - 1),
    y0 = Math.max(0, Math.floor(box[1]) - 1);
  const canvas = document.createElement("canvas");
  canvas.width = Math.min(width, Math.ceil(box[2]) + 1) - x0;
  canvas.height = Math.min(height, Math.ceil(box[3]) + 1) - y0;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(pixels.data.buffer);
  const [r, g, b] = [1, 3, 5].map(i => parseInt(color.slice(i, i + 2), 16));
  const word = ((Math.round(opacity * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian, as all browsers' machines are
  let at = 0,
    on = false;
  for (const n of runs(counts)) {
    for (let i = at; on && i < at + n; i++) {
      const x = Math.floor(i / height) - x0,
        y = (i % height) - y0;
      if (x >= 0 && x < canvas.width && y >= 0 && y < canvas.height) words[y * canvas.width + x] = word;
    }
    at += n;
    on = !on;
  }
  context.putImageData(pixels, 0, 0);
  return {canvas, x: x0, y: y0};
}

// outline returns the path of polygons, lists of x, y, x, y, …
export function outline(polygons) {
  return polygons
    .map(p => {
      let path = "";
      for (let i = 0; i < p.length; i += 2) path += `${i ? "L" : "M"}${p[i]} ${p[i + 1]}`;
      return path + "Z";
    })
    .join("");
}
