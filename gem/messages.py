"""Chat messages with texts, ECGs and pictures, in the form that transformers' chat templates take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import GemInputError
from .subjects import read_subject

# where the user's part of a conversation template begins
_USER = ("USER:", "<|im_start|>user", "[INST]", "<|user|>")
_ROLES = ("system", "user", "assistant")
FORM = 'a message is {"role": "user", "content": [{"type": "ecg", "ecg": record}, {"type": "text", "text": "..."}]}'


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        text: with the placeholder where an ECG or picture stands.
        shown: recording and picture of each placeholder; None for one that is not there.
    """

    role: str
    text: str
    shown: tuple[tuple[Any, Any], ...] = ()


def read_messages(conversation: Any, placeholder: str) -> list[Message]:
    """Read and check the messages of one conversation.

    Args:
        conversation: the messages; content is a str, or a list of parts of type ``text``, ``ecg`` (a record, path or
            array) and ``image`` (a PIL picture or a path). In a message with as many pictures as ECGs, each picture is
            of the ECG of its number.
        placeholder: text that marks where an ECG or picture stands.

    Raises:
        GemInputError: another form, a role out of turn, or a text that holds the placeholder.
    """
    if not isinstance(conversation, Sequence) or isinstance(conversation, str) or not conversation:
        raise GemInputError("no list of messages", where="messages", remedy=FORM)
    out: list[Message] = []
    for number, one in enumerate(conversation):
        where = f"message {number}"
        if not isinstance(one, Mapping) or set(one) - {"role", "content"} or "content" not in one:
            about = f"its keys are {', '.join(map(str, one))}" if isinstance(one, Mapping) else type(one).__name__
            raise GemInputError(f"not a message with role and content ({about})", where=where, remedy=FORM)
        role, before = one.get("role"), out[-1].role if out else None
        if role not in _ROLES:
            raise GemInputError(f"unknown role {role!r}", where=where, remedy=f"one of {', '.join(_ROLES)}")
        wanted = ("user",) if before in ("system", "assistant") else ("assistant",) if before else ("system", "user")
        if role not in wanted:
            raise GemInputError(
                f"{role} follows {before or 'nothing'}", where=where, remedy="user and assistant take turns, user first"
            )
        out.append(_message(str(role), one["content"], placeholder, where))
    return out


def _message(role: str, content: Any, placeholder: str, where: str) -> Message:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, Sequence) or not all(isinstance(part, Mapping) for part in parts):
        raise GemInputError(f"its content is {type(content).__name__}", where=where, remedy=FORM)
    kinds = [part.get("type") for part in parts]
    pairs = kinds.count("ecg") == kinds.count("image")
    if not pairs and "ecg" in kinds and "image" in kinds:
        raise GemInputError(
            f"{kinds.count('ecg')} ECGs and {kinds.count('image')} pictures",
            where=where,
            remedy="one for each, or none",
        )
    if role != "user" and {"ecg", "image"} & set(kinds):
        raise GemInputError(f"an ECG or picture of the {role}", where=where, remedy="only the user shows them")
    text, ecgs, images = "", [], []
    for part, kind in zip(parts, kinds, strict=True):
        if kind == "text":
            said = part.get("text")
            if not isinstance(said, str) or placeholder in said:
                about = f"it holds {placeholder}" if isinstance(said, str) else type(said).__name__
                raise GemInputError(f"no plain text ({about})", where=where, remedy='{"type": "text", "text": "..."}')
            text += said
        elif kind == "ecg":
            ecgs.append(read_subject(_thing(part, ("ecg", "record", "path"), where), {}))
            text += f"{placeholder}\n"
        elif kind == "image":
            images.append(_picture(_thing(part, ("image", "path"), where), where))
            text += "" if pairs else f"{placeholder}\n"
        else:
            raise GemInputError(f"unknown part {kind!r}", where=where, remedy="text, ecg or image")
    if not pairs:
        shown = [(one.record, one.picture) for one in ecgs] + [(None, one) for one in images]
    else:
        shown = [(one.record, picture) for one, picture in zip(ecgs, images, strict=True)]
    return Message(role, text, tuple(shown))


def _thing(part: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    given = [name for name in names if part.get(name) is not None]
    if len(given) != 1 or set(part) - {"type", given[0]}:
        others = ", ".join(sorted(set(map(str, part)) - {"type"})) or "nothing"
        raise GemInputError(
            f"a part with {others}", where=where, remedy=f"one of {', '.join(names)}; nothing is fetched"
        )
    return part[given[0]]


def _picture(item: Any, where: str) -> Any:
    from PIL import Image

    from grounding.photographs import upright

    if hasattr(item, "convert"):  # turned upright where it is prepared
        return item
    try:
        with Image.open(item) as image:
            return upright(image)
    except (OSError, AttributeError, ValueError) as error:
        raise GemInputError(
            f"the picture can't be read ({error})", where=where, remedy="a PIL picture or a path"
        ) from None


def rendered(messages: Sequence[Message], template: str | None, end: str, answer_next: bool) -> str:
    """A conversation as one text, in a family's template.

    Args:
        messages: from ``read_messages``.
        template: around the first question, with ``{prompt}``; the part from the user's mark on is around later ones.
        end: the text that ends an answer.
        answer_next: whether the model is to answer; otherwise the last answer is complete.

    Raises:
        GemInputError: a system message, where the template has no place for it.
    """
    template = "{prompt}" if template is None else template
    at = min((found for mark in _USER if (found := template.find(mark)) >= 0), default=0)
    head, turn = template[:at], template[at:]
    gap = "" if template[-1:].isspace() else " "
    text, told = head, list(messages)
    if told[0].role == "system":
        said = told.pop(0).text.strip()
        if not head.strip():
            raise GemInputError(
                "this family has no system prompt", where="message 0", remedy="say it to it as the user"
            )
        text = f"<|im_start|>system\n{said}<|im_end|>\n" if head.startswith("<|im_start|>") else f"{said} "
    if answer_next and (not told or told[-1].role != "user"):
        raise GemInputError("nothing to answer", where="messages", remedy="end with a message of the user")
    for one in told:
        text += turn.replace("{prompt}", one.text) if one.role == "user" else f"{gap}{one.text.strip()}{end}"
    return text


def by_our_names(picture: Any, prompt: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Picture and prompt, which transformers calls ``images`` and ``text``.

    Args:
        picture: as it was given.
        prompt: as it was given.
        options: the others that were given.

    Raises:
        GemInputError: an option that is not supported, or one by both names.
    """
    given = {name: options.pop(name) for name in ("images", "text") if options.get(name) is not None}
    refuse_options({name: value for name, value in options.items() if name not in ("images", "text")}, "pt")
    for ours, theirs, value in (("picture", "images", picture), ("prompt", "text", prompt)):
        if value is not None and theirs in given:
            raise GemInputError(f"{ours} and {theirs} are the same", remedy="pass one of them")
    return given.get("images", picture), given.get("text", prompt)


def refuse_options(options: dict[str, Any], return_tensors: Any) -> None:
    """Raise an error for what is not supported.

    Args:
        options: of a transformers processor.
        return_tensors: what was asked for.

    Raises:
        GemInputError: an option that would change the result.
    """
    options = {**options, **(options.get("processor_kwargs") or {})}
    options.pop("processor_kwargs", None)
    tensors = options.get("return_tensors", return_tensors)
    if tensors not in ("pt", None):
        raise GemInputError(f"return_tensors={tensors!r}", remedy='torch tensors alone: "pt"')
    side = options.get("padding_side")
    if side not in ("left", None):
        raise GemInputError(f"padding_side={side!r}", where="processor", remedy="rows are padded on the left")
    harmless = {"return_tensors", "padding", "padding_side"}
    unknown = [name for name, value in options.items() if name not in harmless and value not in (None, False)]
    if unknown:
        raise GemInputError(f"{', '.join(sorted(unknown))} is not supported", where="processor", remedy="leave it out")


def checked_prompts(prompts: Sequence[Any]) -> list[str]:
    """Prompts of a batch.

    Args:
        prompts: what was given.

    Raises:
        GemInputError: messages, or something else that is no str.
    """
    for one in prompts:
        if isinstance(one, dict):
            raise GemInputError(
                "a message is not a prompt", where="prompt", remedy="use processor.apply_chat_template(messages)"
            )
        if not isinstance(one, str):
            raise GemInputError(f"a prompt is {type(one).__name__}", where="prompt", remedy="pass a str for each row")
    return list(prompts)
