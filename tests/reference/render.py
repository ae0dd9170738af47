"""The form of the golden files: JSON that a diff shows well."""

import json
import textwrap


def render(value, indent=""):
    """JSON with one key a line, and lists of numbers filled to the line's width."""
    deeper = indent + "  "
    if isinstance(value, dict):
        rows = [f"{deeper}{json.dumps(key)}: {render(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
        rows = [deeper + render(item, deeper) for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    text = json.dumps(value)
    if not isinstance(value, list) or len(text) <= 100:
        return text
    filled = textwrap.fill(text[1:-1], 120, initial_indent=deeper, subsequent_indent=deeper)
    return f"[\n{filled}\n{indent}]"
