// Use chat completions with a provider of the AI SDK: the argument names what to do, and the result is JSON.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { openaiCases } from "./ai_sdk_cases.mjs";

const { PNG: png, PORTOLAN_URL, PORTOLAN_KEY: apiKey, PORTOLAN_MODEL, PROVIDER } = process.env;
const baseURL = `${PORTOLAN_URL}/api/v1`;
const providers = {
  "@ai-sdk/openai-compatible": () =>
    createOpenAICompatible({ name: "portolan", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true }),
  "@openrouter/ai-sdk-provider": () => createOpenRouter({ baseURL, apiKey, compatibility: "strict" }),
};
const common = { model: providers[PROVIDER]()(PORTOLAN_MODEL), maxRetries: 0 };
const thinking = {
  providerOptions: { openrouter: { reasoning: { effort: "high" } }, portolan: { reasoningEffort: "high" } },
};
const cases = openaiCases(common, { thinking, broken: "error_mid", png });

console.log(JSON.stringify(await cases[process.argv[2]]()));
