// Calls of the server, with every failure as a sentence.

const base = new URL("v1/", document.baseURI);

// endpoint is the full address of a path, for examples.
export const endpoint = path => new URL(path, base).href;

// Failure is what went wrong, as a sentence for the person at the page.
export class Failure extends Error {
  constructor(sentence, {status = 0, wait = 0} = {}) {
    super(sentence);
    this.status = status;
    this.wait = wait; // seconds after which another try makes sense; 0: none does
  }
}

// The key lives in this tab alone.
const store = "pgc-api-key";
export const key = {
  get: () => sessionStorage.getItem(store) ?? "",
  set: value => sessionStorage.setItem(store, value),
  drop: () => sessionStorage.removeItem(store),
};

async function call(path, {body, signal} = {}) {
  const headers = {};
  if (key.get()) headers.Authorization = "Bearer " + key.get();
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, base), {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Failure(`The server at ${base.host} does not answer. Is it still running?`);
  }
  if (!response.ok) throw await failure(response);
  return response;
}

// sentence begins with a capital and ends with a full stop.
function sentence(text) {
  text = text.trim();
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

async function failure(response) {
  const text = await response.text().catch(() => "");
  let message = "";
  try {
    const {error} = JSON.parse(text);
    message = typeof error === "string" ? error : error.message;
  } catch {
    message = text.length < 300 && !text.startsWith("<") ? text : "";
  }
  const said = sentence(message || "");
  const after = Math.max(1, Math.ceil(Number(response.headers.get("Retry-After"))) || 1);
  const status = response.status;
  switch (status) {
    case 401:
      return new Failure(key.get() ? "The server does not take this API key." : "The server asks for an API key.", {
        status,
      });
    case 413:
      return new Failure("The picture is larger than this server takes." + (said ? " " + said : ""), {status});
    case 429:
      return new Failure("The server’s queue is full.", {status, wait: after});
    case 503:
      return new Failure("The server is not ready: it is starting or being shut down.", {status, wait: after});
  }
  if (status >= 500) return new Failure(`The server failed (status ${status}). ${said}`.trim(), {status});
  return new Failure(said || `The server refused this (status ${status}).`, {status});
}

// model returns what the server says about its model.
export async function model(signal) {
  const response = await call("models", {signal});
  try {
    const [own] = (await response.json()).data; // behind it come adapters
    return {id: own.id, ...own.pgc};
  } catch {
    throw new Failure(`What answers at ${base.host} is no server of this page.`);
  }
}

export async function embeddings(body, signal) {
  return (await call("embeddings", {body, signal})).json();
}

// picture returns the picture at an address, which the server fetches.
export async function picture(url, signal) {
  return (await call("picture", {body: {url}, signal})).blob();
}

// chat yields the chunks of an answer as they come.
export async function* chat(body, signal) {
  const response = await call("chat/completions", {
    body: {...body, stream: true, stream_options: {include_usage: true}},
    signal,
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "",
    done = false;
  try {
    while (!done) {
      const part = await reader.read();
      if (part.done) break;
      const lines = (rest + part.value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue; // an empty line or a sign of life
        const data = line.slice(5).trim();
        if (data === "[DONE]") {
          done = true;
          break;
        }
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Failure(sentence(chunk.error.message ?? "the server failed"));
        yield chunk;
      }
    }
  } catch (e) {
    if (e.name === "AbortError" || e instanceof Failure) throw e;
    throw new Failure("The answer broke off: the connection to the server has ended.");
  } finally {
    reader.cancel().catch(() => {});
  }
  if (!done) throw new Failure("The answer broke off: the connection to the server has ended.");
}
