// Use the messages API with Anthropic's SDK for Node: the argument names what to do, and the result is JSON.
import Anthropic from "@anthropic-ai/sdk";

const { PORTOLAN_URL: baseURL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL: model } = process.env;
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const thinking = { type: "enabled", budget_tokens: 1024 };
const tools = [
  {
    name: "find_port",
    description: "Find a port",
    input_schema: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
  },
];

function asked(scenario) {
  return [{ role: "user", content: `What does the pilot say? [lab:scenario=${scenario}]` }];
}

const cases = {
  async create() {
    const { data, request_id } = await client.messages
      .create({ model, max_tokens: 64, messages: asked("text") })
      .withResponse();
    return { message: data, request_id };
  },

  async stream() {
    let text = "";
    const events = [];
    const stream = client.messages
      .stream({ model, max_tokens: 64, messages: asked("text") })
      .on("text", (piece) => (text += piece))
      .on("streamEvent", (event) => events.push(event.type));
    return { message: await stream.finalMessage(), text, events };
  },

  async raw_events() {
    const types = [];
    for await (const event of await client.messages.create({
      model,
      max_tokens: 64,
      messages: asked("text"),
      stream: true,
    })) {
      types.push(event.type);
    }
    return types;
  },

  async tool_loop() {
    const messages = asked("tool_loop:3");
    const turns = [];
    for (;;) {
      const message = await client.messages
        .stream({ model, max_tokens: 2048, messages, tools, thinking })
        .finalMessage();
      turns.push(message);
      const calls = message.content.filter((block) => block.type === "tool_use");
      if (message.stop_reason !== "tool_use" || turns.length > 5) return turns;
      messages.push({ role: "assistant", content: message.content });
      messages.push({
        role: "user",
        content: calls.map((call) => ({
          type: "tool_result",
          tool_use_id: call.id,
          content: `${call.input.place} is ${turns.length} miles away`,
        })),
      });
    }
  },

  async tool_runner() {
    const port = {
      type: "custom",
      ...tools[0],
      parse: (input) => input,
      run: async ({ place }) => `${place} has been found`,
    };
    const body = { model, max_tokens: 2048, messages: asked("tool_loop:2"), tools: [port], max_iterations: 5 };
    return await client.beta.messages.toolRunner(body).runUntilDone();
  },

  async thinking() {
    const messages = asked("redacted");
    const first = await client.messages.stream({ model, max_tokens: 2048, messages, thinking }).finalMessage();
    messages.push({ role: "assistant", content: first.content }, ...asked("text"));
    const second = await client.messages.create({ model, max_tokens: 2048, messages, thinking });
    return { first, second };
  },

  async beta() {
    return await client.beta.messages.create({
      model,
      max_tokens: 2048,
      messages: asked("tool"),
      tools,
      thinking,
      context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
      betas: ["context-management-2025-06-27"],
    });
  },

  async count_tokens() {
    return await client.messages.countTokens({ model, messages: asked("text"), tools });
  },

  async failures() {
    const found = [];
    for (const scenario of ["error_before:429", "error_before:529", "error_mid"]) {
      try {
        await client.messages.stream({ model, max_tokens: 64, messages: asked(scenario) }).finalMessage();
        found.push({ status: 200 });
      } catch (error) {
        if (!(error instanceof Anthropic.APIError)) throw error;
        found.push({ status: error.status ?? null, type: error.error?.error?.type, name: error.constructor.name });
      }
    }
    return found;
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
