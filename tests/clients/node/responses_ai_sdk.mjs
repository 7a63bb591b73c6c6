// Use the responses API with the OpenAI provider of the AI SDK: the argument names what to do, the result is JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const { PNG, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL } = process.env;
const model = createOpenAI({ baseURL: `${PORTOLAN_URL}/api/v1`, apiKey }).responses(PORTOLAN_MODEL);
const common = { model, maxRetries: 0 };
// The SDK knows by OpenAI's ids which models reason, so it is told.
const openai = { store: false, forceReasoning: true, reasoningEffort: "low", reasoningSummary: "auto" };
const thinking = { providerOptions: { openai: { ...openai, include: ["reasoning.encrypted_content"] } } };
const stored = { providerOptions: { openai: { store: false } } };
const schema = z.object({ place: z.string(), depth: z.number().int() });
const tools = {
  find_port: tool({
    description: "Find a port",
    inputSchema: z.object({ place: z.string(), unit: z.enum(["metre", "fathom"]) }),
    execute: async ({ place }) => `${place} has been found`,
  }),
};

function asked(scenario) {
  return `What does the pilot say? [lab:scenario=${scenario}]`;
}

function told({ text, reasoningText, finishReason, steps, usage }) {
  const turns = steps.map((step) => ({ calls: step.toolCalls.map((call) => call.input), text: step.text }));
  return { text, reasoning: reasoningText ?? null, finishReason, steps: turns, usage };
}

async function streamed(options) {
  const types = [];
  const result = streamText({ ...common, ...options, onError: ({ error }) => types.push(`error: ${error}`) });
  for await (const part of result.stream) types.push(part.type);
  const [text, reasoningText, finishReason, steps, usage] = await Promise.all([
    result.text,
    result.reasoningText,
    result.finishReason,
    result.steps,
    result.usage,
  ]);
  return { ...told({ text, reasoningText, finishReason, steps, usage }), types };
}

async function generated(options) {
  return told(await generateText({ ...common, ...options }));
}

async function failure(scenario) {
  try {
    await generateText({ ...common, prompt: asked(scenario) });
  } catch (error) {
    return { name: error.name, status: error.statusCode ?? null, message: error.message };
  }
  return null;
}

const loop = { prompt: asked("tool_loop:2"), tools, stopWhen: isStepCount(5) };
const object = { ...common, schema, prompt: "Describe the harbour." };

const cases = {
  generate: () => generated({ system: "Be brief.", prompt: asked("text") }),
  stream: () => streamed({ system: "Be brief.", prompt: asked("text") }),
  generate_tools: () => generated({ ...loop, ...stored }),
  stream_tools: () => streamed({ ...loop, ...stored }),
  generate_reasoning: () => generated({ ...loop, ...thinking }),
  stream_reasoning: () => streamed({ ...loop, ...thinking }),
  // By default the SDK refers to items that the server is to have stored.
  stored_tools: () => generated(loop).catch((error) => ({ name: error.name, message: error.message })),

  async history() {
    const messages = [{ role: "user", content: asked("thinking") }];
    const first = await generateText({ ...common, messages, ...thinking });
    messages.push(...first.responseMessages, { role: "user", content: asked("text") });
    return { first: told(first), second: await generated({ messages, ...thinking }) };
  },

  object: async () => (await generateObject(object)).object,
  output: async () => (await generateText({ ...common, prompt: object.prompt, output: Output.object({ schema }) })).output,

  async output_streamed() {
    const result = streamText({ ...common, prompt: object.prompt, output: Output.object({ schema }) });
    const partial = [];
    for await (const one of result.partialOutputStream) partial.push(one);
    return { partial: partial.length, output: await result.output };
  },

  image: () =>
    generated({
      messages: [
        {
          role: "user",
          content: [
            { type: "file", mediaType: "image/png", data: PNG },
            { type: "text", text: asked("image") },
          ],
        },
      ],
    }),

  async failures() {
    return {
      busy: await failure("error_before:429"),
      overloaded: await failure("error_before:529"),
      cut: await streamed({ prompt: asked("cut") }).catch((error) => ({ name: error.name, types: ["error"] })),
    };
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
