// Use the responses API with OpenRouter's SDK: the argument names what to do, and the result is JSON.
import { OpenRouter } from "@openrouter/sdk";
import { stepCountIs } from "@openrouter/sdk/lib/stop-conditions.js";
import { tool } from "@openrouter/sdk/lib/tool.js";
import { z } from "zod";

const { PNG, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL: model } = process.env;
const client = new OpenRouter({
  serverURL: `${PORTOLAN_URL}/api/v1`,
  apiKey,
  retryConfig: { strategy: "none" },
});
const found = [];
const tools = [
  tool({
    name: "find_port",
    description: "Find a port",
    inputSchema: z.object({ place: z.string() }),
    execute: async ({ place }) => {
      found.push(place);
      return { told: `${place} has been found` };
    },
  }),
];

function asked(scenario) {
  return `What does the pilot say? [lab:scenario=${scenario}]`;
}

async function all(stream) {
  const items = [];
  for await (const one of stream) items.push(one);
  return items;
}

const call = (scenario, more = {}) => client.callModel({ model, input: asked(scenario), ...more });
const loop = { tools, stopWhen: stepCountIs(5) };
const reasoning = { reasoning: { effort: "low", summary: "auto" } };

async function failure(scenario) {
  try {
    return { text: await call(scenario).getText() };
  } catch (error) {
    return { name: error.name, status: error.statusCode ?? null, message: error.message };
  }
}

const cases = {
  async text() {
    const result = call("text", { instructions: "Be brief." });
    return { text: await result.getText(), response: await result.getResponse() };
  },

  async stream() {
    const result = call("text");
    const [pieces, events] = await Promise.all([all(result.getTextStream()), all(result.getFullResponsesStream())]);
    return { pieces, types: events.map((event) => event.type), text: await result.getText() };
  },

  async tools() {
    const text = await call("tool_loop:2", loop).getText();
    return { text, found };
  },

  async tools_streamed() {
    const result = call("tool_loop:2", loop);
    const pieces = await all(result.getTextStream());
    return { text: pieces.join(""), found };
  },

  async tool_calls() {
    return call("tool", { tools: [tool({ name: "find_port", inputSchema: z.object({ place: z.string() }), execute: false })] })
      .getToolCalls();
  },

  async reasoning() {
    const result = call("tool_loop:1", { ...loop, ...reasoning });
    const [pieces, events] = await Promise.all([all(result.getReasoningStream()), all(result.getFullResponsesStream())]);
    const summary = events.filter((event) => event.type === "response.reasoning_summary_text.delta");
    return { thought: pieces.join(""), summary: summary.length, text: await result.getText(), found };
  },

  async image() {
    const content = [
      { type: "input_text", text: asked("image") },
      { type: "input_image", imageUrl: `data:image/png;base64,${PNG}`, detail: "auto" },
    ];
    return client.callModel({ model, input: [{ role: "user", content }] }).getText();
  },

  async failures() {
    return {
      busy: await failure("error_before:429"),
      overloaded: await failure("error_before:529"),
      cut: await failure("cut"),
    };
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
