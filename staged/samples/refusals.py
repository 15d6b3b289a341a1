"""stub"""


def is_refusal(text: str) -> bool:
    return text.startswith("I'm sorry")
