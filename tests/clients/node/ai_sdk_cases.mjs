// What the programs of the AI SDK share: a tool loop, calls that report a result as JSON, and the cases of two APIs.
import { generateObject, generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const schema = z.object({ place: z.string(), depth: z.number().int() });
const tools = {
  find_port: tool({
    description: "Find a port",
    inputSchema: z.object({ place: z.string(), unit: z.enum(["metre", "fathom"]) }),
    execute: async ({ place }) => `${place} has been found`,
  }),
};

export function asked(scenario) {
  return `What does the pilot say? [lab:scenario=${scenario}]`;
}

export const loop = { prompt: asked("tool_loop:2"), tools, stopWhen: isStepCount(5) };

export function told({ text, reasoningText, finishReason, steps, usage, providerMetadata }) {
  const turns = steps.map((step) => ({ calls: step.toolCalls.map((call) => call.input), text: step.text }));
  return { text, reasoning: reasoningText ?? null, finishReason, steps: turns, usage, providerMetadata };
}

// `common` are the options of every call, among them the model.
export function callsWith(common) {
  async function streamed(options) {
    const types = [];
    const result = streamText({ ...common, ...options, onError: ({ error }) => types.push(`error: ${error}`) });
    for await (const part of result.stream) types.push(part.type);
    const [text, reasoningText, finishReason, steps, usage, providerMetadata] = await Promise.all([
      result.text,
      result.reasoningText,
      result.finishReason,
      result.steps,
      result.usage,
      result.providerMetadata,
    ]);
    return { ...told({ text, reasoningText, finishReason, steps, usage, providerMetadata }), types };
  }

  async function generated(options) {
    return told(await generateText({ ...common, ...options }));
  }

  return { generated, streamed };
}

// The cases of an OpenAI API: `thinking` and `looping` are options of calls that think and that call tools, and `broken`
// is the scenario of a stream that breaks.
export function openaiCases(common, { thinking, looping = {}, broken, png }) {
  const { generated, streamed } = callsWith(common);
  const object = { ...common, schema, prompt: "Describe the harbour." };

  async function failure(scenario) {
    try {
      await generateText({ ...common, prompt: asked(scenario) });
    } catch (error) {
      return { name: error.name, status: error.statusCode ?? null, message: error.message };
    }
    return null;
  }

  return {
    generate: () => generated({ system: "Be brief.", prompt: asked("text") }),
    stream: () => streamed({ system: "Be brief.", prompt: asked("text") }),
    generate_tools: () => generated({ ...loop, ...looping }),
    stream_tools: () => streamed({ ...loop, ...looping }),
    generate_reasoning: () => generated({ ...loop, ...thinking }),
    stream_reasoning: () => streamed({ ...loop, ...thinking }),

    async history() {
      const messages = [{ role: "user", content: asked("thinking") }];
      const first = await generateText({ ...common, messages, ...thinking });
      messages.push(...first.responseMessages, { role: "user", content: asked("text") });
      return { first: told(first), second: await generated({ messages, ...thinking }) };
    },

    object: async () => (await generateObject(object)).object,

    async output() {
      return (await generateText({ ...common, prompt: object.prompt, output: Output.object({ schema }) })).output;
    },

    async output_streamed() {
      const result = streamText({ ...common, prompt: object.prompt, output: Output.object({ schema }) });
      const partial = [];
      for await (const one of result.partialOutputStream) partial.push(one);
      return { partial: partial.length, output: await result.output };
    },

    image() {
      const content = [
        { type: "file", mediaType: "image/png", data: png },
        { type: "text", text: asked("image") },
      ];
      return generated({ messages: [{ role: "user", content }] });
    },

    async failures() {
      return {
        busy: await failure("error_before:429"),
        overloaded: await failure("error_before:529"),
        cut: await streamed({ prompt: asked(broken) }).catch((error) => ({ name: error.name, types: ["error"] })),
      };
    },
  };
}
