// Use the responses API with the OpenAI provider of the AI SDK: the argument names what to do, the result is JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { callsWith, loop, openaiCases } from "./ai_sdk_cases.mjs";

const { PNG: png, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL } = process.env;
const model = createOpenAI({ baseURL: `${PORTOLAN_URL}/api/v1`, apiKey }).responses(PORTOLAN_MODEL);
const common = { model, maxRetries: 0 };
// The SDK knows by OpenAI's ids which models reason, so it is told.
const openai = { store: false, forceReasoning: true, reasoningEffort: "low", reasoningSummary: "auto" };
const thinking = { providerOptions: { openai: { ...openai, include: ["reasoning.encrypted_content"] } } };
const looping = { providerOptions: { openai: { store: false } } };

const cases = {
  ...openaiCases(common, { thinking, looping, broken: "cut", png }),

  // By default the SDK refers to items that the server is to have stored.
  stored_tools: () => callsWith(common).generated(loop).catch((error) => ({ name: error.name, message: error.message })),
};

console.log(JSON.stringify(await cases[process.argv[2]]()));
