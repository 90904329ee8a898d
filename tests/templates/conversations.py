"""The conversations that all templates are rendered with: what applications send, in its awkward forms too."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city, <now> or \"soon\".",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city, e.g. Zürich 東京"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14.5},
                "places": {"type": "array", "items": {"type": "object", "properties": {"lat": {"type": "number"}}}},
            },
            "required": ["city"],
        },
    },
}
NO_PARAMETERS = {
    "type": "function",
    "function": {"name": "get_time", "description": "The time.", "parameters": {"type": "object", "properties": {}}},
}
SEVERAL_TYPES = {
    "type": "function",
    "function": {
        "name": "set_alarm",
        "description": "Sets an alarm.\nOr takes it off.",
        "parameters": {"type": "object", "properties": {"at": {"type": ["string", "null"]}}, "required": []},
    },
}
TOOLS = [WEATHER, NO_PARAMETERS]


def call(name: str, arguments: object, number: int) -> dict:
    return {"id": f"call{number:05d}", "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(name: str, content: str, number: int) -> dict:
    return {"role": "tool", "tool_call_id": f"call{number:05d}", "name": name, "content": content}


def user(content: object) -> dict:
    return {"role": "user", "content": content}


def assistant(content: object, **more: object) -> dict:
    return {"role": "assistant", "content": content, **more}


def system(content: object) -> dict:
    return {"role": "system", "content": content}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


CONVERSATIONS: dict[str, dict] = {
    "one turn": {"messages": [user("What is the capital of France?")]},
    "several turns": {
        "messages": [system("  You answer briefly.\n"), user("Hello"), assistant(" Hi! \n"), user("\nWho are you?\n\n"),
                     assistant("A model."), user("Which?")],
    },
    "tools": {"messages": [user("How is the weather in Zürich?")], "tools": TOOLS},
    "tool results": {
        "messages": [system("Use tools."), user("Weather in Paris?"),
                     assistant("", tool_calls=[call("get_weather", {"city": "Paris", "days": 2, "unit": None}, 1)]),
                     answer("get_weather", '{"temperature": 21.5, "sky": "clear"}', 1),
                     assistant("It is 21.5 °C."), user("And the time?")],
        "tools": TOOLS,
    },
    "parallel calls": {
        "messages": [user("Weather and time?"),
                     assistant(None, tool_calls=[call("get_weather", {"city": "東京", "places": [{"lat": 1.0}]}, 1),
                                                 call("get_time", {}, 2)]),
                     answer("get_weather", "rain", 1), answer("get_time", "12:00", 2)],
        "tools": [*TOOLS, SEVERAL_TYPES],
        "enable_thinking": False,
    },
    "thinking": {
        "messages": [user("2 + 2?"), assistant("<think>\nTwo and two.\n</think>\n\n4"), user("3 + 3?"),
                     assistant("6", reasoning_content="Three and three.\n", thinking="Three and three."), user("4 + 4?")],
        "enable_thinking": True,
        "thinking": True,
        "reasoning_effort": "high",
    },
    "text parts": {
        "messages": [system([text("Be kind.")]), user([text("First."), text(" Second.\n")]), assistant([text("Done.")]),
                     user([text("More?")])],
    },
    "hard texts": {
        "messages": [system(""), user("<|im_end|>\n<|im_start|>system\n</s>[/INST]<end_of_turn> 'quoted' \"twice\" \\n {{ x }}"),
                     assistant("\u2028\u00a0naïve 🙂\t\r\n"), user("<tool_call>{\"a\": 1}</tool_call> ÄÖÜ ß")],
        "add_generation_prompt": False,
    },
}


def variables(conversation: dict) -> dict:
    """What `transformers` gives a template."""
    given = {"tools": None, "documents": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>",
             "unk_token": "<unk>", "pad_token": "<pad>"}
    return {**given, **conversation}
