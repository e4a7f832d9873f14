"""The model of the smoke test: no model, but a container that answers in Flan-T5's form at once.

Packed as `model.tar.gz` for AWS's Hugging Face container, which calls these two functions.
`{"answer_with": 500}` makes it fail.
"""

import json


def model_fn(model_dir, context=None):
    return "a stand-in for a model"


def transform_fn(model, data, content_type, accept):
    request = json.loads(data)
    if request.get("answer_with", 200) != 200:
        raise ValueError("as requested")
    texts = request["text_inputs"]
    texts = [texts] if isinstance(texts, str) else texts
    return json.dumps({"generated_texts": [f"an answer to {text!r}" for text in texts]})
