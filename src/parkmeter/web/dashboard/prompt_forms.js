// The forms in which models are asked, and where in their answers the text is. Pure.

export const FORMS = {
  text_inputs: {
    title: "Text (text_inputs)",
    path: "",
    payload: (prompt, most) => ({ text_inputs: prompt, max_length: most }),
  },
  chat: {
    title: "Chat (/v1/chat/completions)",
    path: "/v1/chat/completions",
    models: "/v1/models",
    streamed: true,
    payload: (prompt, most, model) => ({
      ...(model ? { model } : {}), messages: [{ role: "user", content: prompt }], max_tokens: most, stream: true,
    }),
  },
};

/** The text that one event of a stream adds. */
export function* piecesOf(document) {
  if (typeof document.text === "string") yield document.text;
  const added = document.choices?.[0]?.delta?.content ?? document.choices?.[0]?.text;
  if (typeof added === "string") yield added;
}

/** The text of a whole answer; one of an unknown form is shown as it is. */
export function answerOf(document) {
  const found = document?.generated_texts ?? document?.choices?.[0]?.message?.content
    ?? document?.choices?.[0]?.text ?? document?.generated_text ?? document?.[0]?.generated_text;
  if (Array.isArray(found)) return found.join("\n\n");
  return typeof found === "string" ? found : JSON.stringify(document, null, 2);
}
