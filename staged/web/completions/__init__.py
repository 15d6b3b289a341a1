"""Text written for whoever asks, by OpenAI's protocol: POST /v1/completions and GET /v1/models.

    request    what a client may ask for, and what of it is refused
    generator  the model that writes: a request's texts, as they become certain
    objects    answers in OpenAI's form: completions, chunks, models, errors
    routes     the routes themselves

The protocol: https://platform.openai.com/docs/api-reference/completions
"""
