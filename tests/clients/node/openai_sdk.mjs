// Use chat completions with OpenAI's SDK for Node: the argument names what to do, and the result is JSON.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { PNG, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL: model } = process.env;
const client = new OpenAI({ baseURL: `${PORTOLAN_URL}/api/v1`, apiKey, maxRetries: 0 });
const chat = client.chat.completions;
const harbour = zodResponseFormat(z.object({ place: z.string(), depth: z.number().int() }), "harbour");
const seen = [];
const tools = [
  {
    type: "function",
    function: {
      name: "find_port",
      description: "Find a port",
      parse: JSON.parse,
      function: (found) => {
        seen.push(found);
        return `${found.place} has been found`;
      },
      parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
    },
  },
];
const declared = tools.map(({ type, function: { name, description, parameters } }) => ({
  type,
  function: { name, description, parameters },
}));

function asked(scenario) {
  return [{ role: "user", content: `What does the pilot say? [lab:scenario=${scenario}]` }];
}

async function failure(scenario, stream, options = {}) {
  try {
    const result = await client.withOptions(options).chat.completions.create({ model, messages: asked(scenario), stream });
    if (stream) for await (const chunk of result) void chunk;
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, message: error.message, code: error.code };
  }
  return null;
}

const cases = {
  async create() {
    const { data, request_id } = await chat.create({ model, messages: asked("text") }).withResponse();
    return { completion: data, request_id };
  },

  async stream() {
    let text = "";
    const stream = chat
      .stream({ model, messages: asked("text"), stream_options: { include_usage: true } })
      .on("content", (piece) => (text += piece));
    return { completion: await stream.finalChatCompletion(), text };
  },

  async parse() {
    const messages = [{ role: "user", content: "Describe the harbour." }];
    const whole = await chat.parse({ model, messages, response_format: harbour });
    const streamed = await chat.stream({ model, messages, response_format: harbour }).finalChatCompletion();
    return [whole, streamed].map((one) => one.choices[0].message.parsed);
  },

  async run_tools() {
    const runner = chat.runTools({ model, messages: asked("tool_loop:2"), tools });
    return { text: await runner.finalContent(), seen, messages: runner.messages.length };
  },

  async run_tools_streamed() {
    const runner = chat.runTools({ model, messages: asked("tool_loop:2"), tools, stream: true });
    return { text: await runner.finalContent(), seen, messages: runner.messages.length };
  },

  async reasoning() {
    const found = [];
    for (const stream of [false, true]) {
      const messages = asked("tool_loop:1");
      const body = { model, messages, tools: declared, reasoning: { effort: "high" } };
      const answer = stream ? await chat.stream(body).finalChatCompletion() : await chat.create(body);
      const { message } = answer.choices[0];
      messages.push(message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "found" });
      found.push({ message, last: await chat.create(body) });
    }
    return found;
  },

  async image() {
    const content = [
      { type: "text", text: asked("image")[0].content },
      { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } },
    ];
    return (await chat.create({ model, messages: [{ role: "user", content }] })).choices[0].message.content;
  },

  async failures() {
    return {
      busy: await failure("error_before:429", false),
      overloaded: await failure("error_before:529", true),
      cut: await failure("error_mid", true),
      key: await failure("text", false, { apiKey: "sk-or-v1-none" }),
    };
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
