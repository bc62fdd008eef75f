// Late interaction: which page answers a query, from vectors for every token (ColBERT; Khattab and Zaharia 2020).

import {embeddings} from "./api.js";
import {source} from "./intake.js";

// vectors of an item: rows of numbers, one for each token. Those of pages are kept with their picture.
async function vectors(model, item, signal) {
  const {data} = await embeddings({model, input: [item]}, signal);
  return data[0].embedding;
}

export const ofQuery = (model, text, signal) => vectors(model, text, signal);

export async function ofPage(model, picture, signal) {
  picture.vectors ??= await vectors(model, {image_url: {url: await source(picture)}}, signal);
  return picture.vectors;
}

// score is the sum, over the vectors of a query, of the greatest product with one of a page.
export function score(query, page) {
  let sum = 0;
  for (const q of query) {
    let best = -Infinity;
    for (const v of page) {
      let dot = 0;
      for (let i = 0; i < q.length; i++) dot += q[i] * v[i];
      if (dot > best) best = dot;
    }
    sum += best;
  }
  return sum;
}
