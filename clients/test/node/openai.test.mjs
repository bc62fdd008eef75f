// OpenAI's package for JavaScript against a server: OPENAI_BASE_URL, and a picture at PICTURE.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: "any" });
const url = "data:image/png;base64," + readFileSync(process.env.PICTURE).toString("base64");
const ask = (text, more = {}) => ({
  model: "any",
  messages: [{ role: "user", content: [{ type: "text", text }, { type: "image_url", image_url: { url } }] }],
  ...more,
});
const caption = "two horses and an airplane on a purple background";

test("chat", async () => {
  const answer = await client.chat.completions.create(ask("caption en", { logprobs: true, top_logprobs: 2 }));
  assert.equal(answer.choices[0].message.content, caption);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.choices[0].logprobs.content[0].top_logprobs.length, 2);
  assert.ok(answer.usage.total_tokens > answer.usage.prompt_tokens);
});

test("boxes", async () => {
  const answer = await client.chat.completions.create(ask("", { task: "detect", classes: ["horse", "airplane"] }));
  assert.deepEqual(answer.choices[0].message.boxes.map((b) => b.label), ["horse", "horse", "airplane"]);
});

test("stream", async () => {
  let text = "", usage;
  const stream = await client.chat.completions.create(ask("caption en", { stream: true, stream_options: { include_usage: true } }));
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, caption);
  assert.ok(usage.completion_tokens > 3);
});

test("the helper that joins a stream", async () => {
  const final = await client.chat.completions.stream(ask("ocr")).finalChatCompletion();
  assert.equal(final.choices[0].message.content, "TEAM");
});

test("leaving a stream", async () => {
  const stream = await client.chat.completions.create(ask("caption en", { stream: true }));
  for await (const _ of stream) break;
  stream.controller.abort();
  assert.equal((await client.chat.completions.create(ask("ocr"))).choices[0].message.content, "TEAM");
});

test("models and refusals", async () => {
  const models = [];
  for await (const m of client.models.list()) models.push(m.id);
  assert.equal(models.length, 1);
  assert.equal((await client.models.retrieve(models[0])).id, models[0]);
  await assert.rejects(client.chat.completions.create(ask("ocr", { temperature: -1 })), (e) => e instanceof OpenAI.BadRequestError && e.param === "temperature");
  await assert.rejects(client.chat.completions.create({ model: "any", messages: [{ role: "user", content: "hi" }] }), OpenAI.BadRequestError);
});
