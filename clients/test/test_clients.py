"""The packages that people use, as they come, against a server of the compiled demo."""

import json
import os
import pathlib
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from conftest import PICTURE, ROOT, serve

HERE = pathlib.Path(__file__).parent
CAPTION = "two horses and an airplane on a purple background"


def message(text, uri):
    return {"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": uri, "detail": "auto"}}]}


@pytest.fixture(scope="module")
def openai_client(url):
    import openai

    return openai.OpenAI(base_url=url + "/v1", api_key="any", _strict_response_validation=True, max_retries=0)


def test_openai(openai_client, data_uri):
    answer = openai_client.chat.completions.create(model="any", messages=[{"role": "system", "content": "Be kind."}, message("caption en", data_uri)], logprobs=True, top_logprobs=2, seed=1)
    choice = answer.choices[0]
    assert choice.message.content == CAPTION and choice.finish_reason == "stop"
    assert "".join(t.token for t in choice.logprobs.content).strip().startswith(CAPTION) and len(choice.logprobs.content[0].top_logprobs) == 2
    assert answer.usage.prompt_tokens > 100 and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    several = openai_client.chat.completions.create(model="any", messages=[message("caption en", data_uri)], n=2, max_completion_tokens=2, temperature=1.0, stop=["x"])
    assert len(several.choices) == 2 and several.choices[0].finish_reason == "length"


def test_openai_stream(openai_client, data_uri):
    chunks = list(openai_client.chat.completions.create(model="any", messages=[message("caption en", data_uri)], stream=True, stream_options={"include_usage": True}, logprobs=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == CAPTION
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 3
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    with openai_client.chat.completions.stream(model="any", messages=[message("ocr", data_uri)]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "TEAM"


def test_openai_task(openai_client, data_uri):
    answer = openai_client.chat.completions.create(model="any", messages=[message("", data_uri)], extra_body={"task": "detect", "classes": ["horse", "airplane"]})
    boxes = answer.choices[0].message.boxes
    assert [b["label"] for b in boxes] == ["horse", "horse", "airplane"] and all(0.5 < b["score"] <= 1 for b in boxes)
    question = openai_client.chat.completions.create(model="any", messages=[message("how many horses are there?", data_uri)], extra_body={"task": "ask"})
    assert question.choices[0].message.content == "two" and question.prompt == "answer en how many horses are there?"


def test_openai_others(openai_client, data_uri):
    import openai

    models = openai_client.models.list()
    assert len(models.data) == 1 and openai_client.models.retrieve(models.data[0].id).object == "model"
    text = openai_client.completions.create(model="any", prompt="ocr", extra_body={"images": [data_uri]})
    assert text.choices[0].text == "TEAM"
    with pytest.raises(openai.BadRequestError, match="generates text"):
        openai_client.embeddings.create(model="any", input="x")
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("another")
    for fields, param in (
        ({"temperature": -1}, "temperature"), ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"), ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"1": 5}}, "logit_bias"), ({"frequency_penalty": 1}, "frequency_penalty"), ({"n": 9}, "n"), ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ):
        with pytest.raises(openai.BadRequestError) as e:
            openai_client.chat.completions.create(model="any", messages=[message("ocr", data_uri)], **fields)
        assert e.value.param == param and e.value.type == "invalid_request_error", fields
    ignored = {"user": "u", "metadata": {"a": "b"}, "store": True, "tools": [], "presence_penalty": 0, "response_format": {"type": "text"}, "extra_body": {"unknown_to_all": 1}}
    assert openai_client.chat.completions.create(model="any", messages=[message("ocr", data_uri)], **ignored).choices[0].message.content == "TEAM"


def test_openai_keys(tmp_path, data_uri):
    import openai

    (tmp_path / "keys").write_text("secret-one\nsecret-two\n")
    process, address = serve(os.environ["PGC_DEMO"], "--api-keys", str(tmp_path / "keys"))
    try:
        good = openai.OpenAI(base_url=address + "/v1", api_key="secret-two", max_retries=0)
        assert good.chat.completions.create(model="any", messages=[message("ocr", data_uri)]).choices[0].message.content == "TEAM"
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=address + "/v1", api_key="wrong", max_retries=0).models.list()
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stderr.close()


def test_openai_async_and_cancel(url, data_uri):
    import asyncio

    import openai

    async def main():
        client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="any")
        stream = await client.chat.completions.create(model="any", messages=[message("caption en", data_uri)], stream=True)
        async for _ in stream:
            break
        await stream.close()
        answers = await asyncio.gather(*(client.chat.completions.create(model="any", messages=[message(p, data_uri)]) for p in ["ocr", "caption en"] * 8))
        assert [a.choices[0].message.content for a in answers] == ["TEAM", CAPTION] * 8
        await client.close()

    asyncio.run(main())


def test_langchain(url, data_uri):
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(base_url=url + "/v1", api_key="any", model="any", temperature=0)
    for picture in ({"type": "image_url", "image_url": {"url": data_uri}}, {"type": "image_url", "image_url": data_uri},
                    {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": data_uri.split(",")[1]}):
        content = [{"type": "text", "text": "caption en"}, picture]
        assert model.invoke([SystemMessage("You describe pictures."), HumanMessage(content)]).content == CAPTION
    assert "".join(c.content for c in model.stream([HumanMessage(content)])) == CAPTION
    assert [a.content for a in model.batch([[HumanMessage(content)]] * 3)] == [CAPTION] * 3


def test_litellm(url, data_uri):
    import litellm

    litellm.suppress_debug_info = True
    openai = {"model": "openai/any", "api_base": url + "/v1", "api_key": "any"}
    ollama = {"model": "ollama/any", "api_base": url}
    chat = {"model": "ollama_chat/any", "api_base": url}
    for provider in (openai, ollama, chat):
        answer = litellm.completion(messages=[message("caption en", data_uri)], **provider)
        assert answer.choices[0].message.content == CAPTION, provider
        parts = litellm.completion(messages=[message("caption en", data_uri)], stream=True, **provider)
        assert "".join(p.choices[0].delta.content or "" for p in parts) == CAPTION, provider
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(messages=[{"role": "user", "content": "hello"}], **openai)


def test_ollama(url, base64_picture):
    import ollama

    client = ollama.Client(url)
    name = client.list().models[0].model
    ask = {"role": "user", "content": "caption en", "images": [str(PICTURE)]}
    got = client.chat(name, [ask])
    assert got.message.content == CAPTION and got.done and got.eval_count > 3 and got.done_reason == "stop"
    assert "".join(p.message.content for p in client.chat(name, [ask], stream=True, options={"temperature": 0})) == CAPTION
    assert client.generate(name, "ocr", images=[base64_picture]).response == "TEAM"
    assert "".join(p.response for p in client.generate(name, "ocr", images=[PICTURE.read_bytes()], stream=True)) == "TEAM"
    assert "vision" in client.show(name).capabilities
    with pytest.raises(ollama.ResponseError) as e:
        client.chat(name, [{"role": "user", "content": "hello"}])
    assert e.value.status_code == 400
    short = client.chat(name, [ask], options={"num_predict": 2})
    assert short.done_reason == "length" and short.eval_count == 2


@pytest.mark.parametrize("call", json.loads((HERE / "openwebui.json").read_text()), ids=lambda c: c["name"])
def test_open_webui(url, call, data_uri, base64_picture):
    """What Open WebUI sends, as its source builds it."""
    with urllib.request.urlopen(url + "/v1/models") as r:
        model = json.load(r)["data"][0]["id"]
    body = call.get("body") and json.dumps(call["body"]).replace("PICTURE", data_uri).replace("BASE64", base64_picture).replace("MODEL", model)
    headers = {"Authorization": "Bearer ", "Content-Type": "application/json", "X-OpenWebUI-User-Name": "J%C3%BCrgen", "X-OpenWebUI-User-Role": "admin", "X-OpenWebUI-Chat-Id": "local:1"}
    request = urllib.request.Request(url + call["path"], body and body.encode(), headers, method=call["method"])
    try:
        with urllib.request.urlopen(request) as r:
            status, text, kind = r.status, r.read().decode(), r.headers["Content-Type"]
    except urllib.error.HTTPError as e:
        status, text, kind = e.code, e.read().decode(), e.headers["Content-Type"]
    said = text.replace('": ', '":')
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith(("data: {", "{"))]
    if len(lines) > 1:  # the pieces of a stream
        pieces = [json.loads(line) for line in lines]
        said = "".join((p["choices"][0]["delta"].get("content") or "") if p.get("choices") else p.get("message", {}).get("content", "") for p in pieces)
    assert status == call["status"] and call["has"] in said, text
    assert ("text/event-stream" in kind) == bool(call.get("stream"))
    if call.get("stream"):
        assert text.endswith("data: [DONE]\n\n")


def test_go(url):
    """OpenAI's Go package, in a module of its own."""
    env = {**os.environ, "OPENAI_BASE_URL": url + "/v1", "PICTURE": str(PICTURE)}
    subprocess.run(["go", "test", "-count=1", "./..."], cwd=HERE / "go", env=env, check=True)


def test_javascript(url):
    """OpenAI's npm package."""
    env = {**os.environ, "OPENAI_BASE_URL": url + "/v1", "PICTURE": str(PICTURE)}
    subprocess.run(["node", "--test", "openai.test.mjs"], cwd=ROOT / "out/clients/node", env=env, check=True)


def test_all_at_once(url, data_uri):
    """Clients of many kinds at once get the answers of single ones."""
    import ollama
    import openai

    wrong = []

    def ask(n):
        if n % 2:
            got = ollama.Client(url).chat("any", [{"role": "user", "content": "caption en", "images": [str(PICTURE)]}]).message.content
        else:
            got = openai.OpenAI(base_url=url + "/v1", api_key=str(n)).chat.completions.create(model="any", messages=[message("caption en", data_uri)]).choices[0].message.content
        if got != CAPTION:
            wrong.append(got)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
