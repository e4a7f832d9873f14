// The forms of prompts, and the text in the answers. Pure.

const CHAT = "/v1/chat/completions";

const text = {
  title: "Text (text_inputs)",
  payload: (prompt, most) => ({ text_inputs: prompt, max_length: most }),
};

const message = (prompt, most) => ({ messages: [{ role: "user", content: prompt }], max_tokens: most });

const chat = {
  title: `Chat (${CHAT})`,
  path: CHAT.slice(1),
  streamed: true,
  payload: (prompt, most, name) => ({ model: name, ...message(prompt, most), stream: true }),
};

/** Chat for a server that is reached by prompts only and answers whole. */
const messages = { title: "Chat (messages)", payload: message };

/** The forms that an endpoint may take, by name; which one it takes only its owner knows. */
export const formsOf = (endpoint) => ({ text_inputs: text, chat: endpoint.invocations_path ? chat : messages });

/** The name of the likelier form: nearly all servers with another path for prompts are chat servers. */
export const likelyForm = ({ invocations_path: path }) => (path && path !== "/invocations" ? "chat" : "text_inputs");

/** Yield the text that an event of a stream adds. */
export function* piecesOf(document) {
  if (typeof document.text === "string") yield document.text;
  const added = document.choices?.[0]?.delta?.content ?? document.choices?.[0]?.text;
  if (typeof added === "string") yield added;
}

/** Return the text of a whole answer; one of an unknown form unchanged. */
export function answerOf(document) {
  const found = document?.generated_texts ?? document?.choices?.[0]?.message?.content
    ?? document?.choices?.[0]?.text ?? document?.generated_text ?? document?.[0]?.generated_text;
  if (Array.isArray(found)) return found.join("\n\n");
  return typeof found === "string" ? found : JSON.stringify(document, null, 2);
}
