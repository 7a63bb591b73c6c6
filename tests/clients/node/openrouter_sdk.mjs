// Use chat completions and the catalogue with OpenRouter's SDK: the argument names what to do, the result is JSON.
import { OpenRouter } from "@openrouter/sdk";

const { PNG, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL: model } = process.env;
const open = (options) =>
  new OpenRouter({ serverURL: `${PORTOLAN_URL}/api/v1`, apiKey, retryConfig: { strategy: "none" }, ...options });
const client = open({});
const tools = [
  {
    type: "function",
    function: {
      name: "find_port",
      description: "Find a port",
      parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
    },
  },
];

function asked(scenario) {
  return [{ role: "user", content: `What does the pilot say? [lab:scenario=${scenario}]` }];
}

const send = (body, by = client) => by.chat.send({ chatRequest: { model, ...body } });

async function loop(options) {
  const messages = asked("tool_loop:2");
  for (let turn = 0; turn < 4; turn++) {
    const { message } = (await send({ messages, tools, ...options })).choices[0];
    messages.push(message);
    if (!message.toolCalls?.length) break;
    for (const call of message.toolCalls) {
      const { place } = JSON.parse(call.function.arguments);
      messages.push({ role: "tool", toolCallId: call.id, content: `${place} has been found` });
    }
  }
  return messages;
}

async function failure(body, by = client) {
  try {
    await send(body, by);
  } catch (error) {
    return { name: error.name, status: error.statusCode, message: error.message };
  }
  return null;
}

const cases = {
  send: () => send({ messages: asked("text") }),

  async stream() {
    const chunks = [];
    for await (const chunk of await send({ messages: asked("text"), stream: true })) chunks.push(chunk);
    return chunks;
  },

  tools: () => loop({}),
  reasoning: () => loop({ reasoning: { effort: "high" } }),

  async image() {
    const image = { type: "image_url", imageUrl: { url: `data:image/png;base64,${PNG}` } };
    const content = [{ type: "text", text: asked("image")[0].content }, image];
    return (await send({ messages: [{ role: "user", content }] })).choices[0].message.content;
  },

  async catalogue() {
    const answer = await send({ messages: asked("text") });
    const [author, slug] = model.split("/");
    const models = await client.models.list();
    return {
      cost: answer.usage.cost,
      generation: (await client.generations.getGeneration({ id: answer.id })).data,
      listed: (models.result ?? models).data.some((one) => one.id === model),
      endpoints: (await client.endpoints.list({ author, slug })).data.endpoints.length,
      providers: (await client.providers.list()).data.length,
      key: (await client.apiKeys.getCurrentKeyMetadata()).data.usage,
    };
  },

  async failures() {
    const none = open({ apiKey: "sk-or-v1-none" });
    return [
      await failure({ messages: asked("error_before:400") }),
      await failure({ messages: asked("error_before:429") }),
      await failure({ messages: asked("error_before:529") }),
      await failure({ messages: asked("text") }, none),
    ];
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
