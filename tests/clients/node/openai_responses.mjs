// Use the responses API with OpenAI's SDK for Node: the argument names what to do, and the result is JSON.
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const { PNG, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL: model } = process.env;
const client = new OpenAI({ baseURL: `${PORTOLAN_URL}/api/v1`, apiKey, maxRetries: 0 });
const responses = client.responses;
const harbour = zodTextFormat(z.object({ place: z.string(), depth: z.number().int() }), "harbour");
const tools = [
  {
    type: "function",
    name: "find_port",
    description: "Find a port",
    strict: true,
    parameters: {
      type: "object",
      properties: { place: { type: "string" } },
      required: ["place"],
      additionalProperties: false,
    },
  },
];

function asked(scenario, ...content) {
  const text = { type: "input_text", text: `What does the pilot say? [lab:scenario=${scenario}]` };
  return [{ role: "user", content: [...content, text] }];
}

async function ask(body, stream) {
  return stream ? responses.stream({ model, ...body }).finalResponse() : responses.create({ model, ...body });
}

async function loop(stream, options) {
  const input = asked("tool_loop:2");
  for (let turn = 0; turn < 4; turn++) {
    const response = await ask({ input, tools, ...options }, stream);
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (!calls.length) return { input, text: response.output_text };
    for (const call of calls) {
      const output = `${JSON.parse(call.arguments).place} has been found`;
      input.push({ type: "function_call_output", call_id: call.call_id, output });
    }
  }
}

async function failure(scenario, stream, options = {}) {
  try {
    const result = await client.withOptions(options).responses.create({ model, input: asked(scenario), stream });
    const types = [];
    if (stream) for await (const event of result) types.push(event.type);
    return { types };
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, message: error.message };
  }
}

const cases = {
  create: () => responses.create({ model, instructions: "Be brief.", input: asked("text") }),

  async stream() {
    let text = "";
    const types = [];
    const stream = responses
      .stream({ model, input: asked("text") })
      .on("response.output_text.delta", (event) => (text += event.delta))
      .on("event", (event) => types.push(event.type));
    return { response: await stream.finalResponse(), text, types };
  },

  async parse() {
    const body = { model, input: "Describe the harbour.", text: { format: harbour } };
    const whole = await responses.parse(body);
    const streamed = await responses.stream(body).finalResponse();
    return [whole, streamed].map((one) => one.output_parsed);
  },

  async parse_tool() {
    const parameters = z.object({ place: z.string(), unit: z.enum(["metre", "fathom"]) });
    const parsed = [zodResponsesFunction({ name: "find_port", parameters })];
    const body = { model, input: asked("tool"), tools: parsed };
    const whole = await responses.parse(body);
    const streamed = await responses.stream(body).finalResponse();
    return [whole, streamed].map((one) => one.output.map((item) => item.parsed_arguments ?? null));
  },

  tools: () => loop(false, {}),
  tools_streamed: () => loop(true, {}),
  reasoning: () => loop(false, { reasoning: { effort: "low", summary: "auto" } }),
  reasoning_streamed: () => loop(true, { reasoning: { effort: "low", summary: "auto" } }),

  async image() {
    const shown = { type: "input_image", image_url: `data:image/png;base64,${PNG}`, detail: "auto" };
    return (await responses.create({ model, input: asked("image", shown) })).output_text;
  },

  async failures() {
    return {
      busy: await failure("error_before:429", false),
      overloaded: await failure("error_before:529", true),
      cut: await failure("cut", true),
      key: await failure("text", false, { apiKey: "sk-or-v1-none" }),
    };
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
