// Use the messages API with the AI SDK: the argument names what to do, and the result is JSON.
import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, Output } from "ai";
import { z } from "zod";
import { asked, callsWith, loop, told } from "./ai_sdk_cases.mjs";

const { MAX_OUTPUT_TOKENS, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL } = process.env;
const model = createAnthropic({ baseURL: `${PORTOLAN_URL}/v1`, apiKey })(PORTOLAN_MODEL);
const maxOutputTokens = MAX_OUTPUT_TOKENS ? Number(MAX_OUTPUT_TOKENS) : undefined;
const common = { model, maxOutputTokens, maxRetries: 0 };
const thinking = { providerOptions: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } } };
const { generated, streamed } = callsWith(common);

const cases = {
  generate: () => generated({ system: "Be brief.", prompt: asked("text") }),
  stream: () => streamed({ system: "Be brief.", prompt: asked("text") }),
  generate_tools: () => generated(loop),
  stream_tools: () => streamed(loop),
  generate_reasoning: () => generated({ ...loop, ...thinking }),
  stream_reasoning: () => streamed({ ...loop, ...thinking }),

  async reasoning_history() {
    const messages = [{ role: "user", content: asked("redacted") }];
    const first = await generateText({ ...common, messages, ...thinking });
    messages.push(...first.responseMessages, { role: "user", content: asked("text") });
    return { first: told(first), second: await generated({ messages, ...thinking }) };
  },

  async object() {
    const schema = z.object({ place: z.string(), depth: z.number().int() });
    const options = { ...common, prompt: asked("structured"), output: Output.object({ schema }) };
    const anthropic = { structuredOutputMode: "outputFormat" };
    return (await generateText({ ...options, providerOptions: { anthropic } })).output;
  },

  async object_by_tool() {
    const schema = z.object({ place: z.string(), depth: z.number().int() });
    const options = { ...common, prompt: asked("tool"), output: Output.object({ schema }) };
    const anthropic = { structuredOutputMode: "jsonTool" };
    return (await generateText({ ...options, providerOptions: { anthropic } })).output;
  },

  async files() {
    const content = [
      { type: "file", mediaType: "image/png", data: process.env.PNG },
      { type: "file", mediaType: "application/pdf", data: process.env.PDF },
      { type: "text", text: asked("image") },
    ];
    return generated({ messages: [{ role: "user", content }] });
  },
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
