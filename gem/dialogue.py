"""``gem.chat``: a conversation about a recording, whose answers are held against it sentence by sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grounding
from grounding import EcgError, ECGRecord, Evidence, Measurement
from grounding._version import __version__
from grounding.criteria import load_knowledge
from grounding.questions import plan, read_question

from .answer import Answer
from .asking import UNTRAINED, EncoderView, ask, measurement_of, put_together
from .endpoint import ChatEndpoint, EndpointError
from .errors import GemInputError
from .explanation import Statement
from .holding import hold, refuses, rests_on_something
from .retrieval import Library, Passage
from .subjects import read_subject
from .tools import QUANTITIES, ToolCall, Tools, descriptions

MAX_REQUESTS = 8  # of one answer
MAX_CALLS_AT_ONCE = 8
SYSTEM_PROMPT = (
    "You answer questions about one 12-lead ECG, which you know only through the tools. Every number and every finding "
    "in your answer must come from a tool's result; call the tools you need first. What you take from a passage of "
    "look_up ends with its address in square brackets, e.g. [kb:sinus_rhythm]. Answer in short plain sentences, "
    "without lists or advice. If the tools can't tell, say so."
)
_OF_A_QUESTION = frozenset(
    ("what", "does", "the", "and", "for", "mean", "which", "says", "was", "der", "die", "das", "ist")
)
Told = tuple[str, tuple[Evidence, ...]]  # a sentence and what it rests on
# an earlier ECG is spoken of, and not the P before the QRS, a change from beat to beat, or one lead beside another
_COMPARES = re.compile(
    r"\b(?:previous|prior|earlier|last|old(?:er)?|former|other|first) (?:ecgs?|ekgs?|recordings?|"
    r"tracings?|ones?|time|visit)\b|\b(?:than|as|with|to|from) (?:before|earlier|previously|then|last time)\b|"
    r"\b(?:before|earlier|previously)(?=\s*[?.!,;]|\s*$)|"
    r"\bsince\b(?! \d)|\b(?:has|have|had|did|what|was)\b"
    r"(?:(?!\b(?:during|beat to beat|within)\b).){0,60}\b(?:changed?|differ(?:ent|s)?(?! from normal)|gone (?:up|down)|"
    r"increased|decreased|risen|fallen)\b(?! (?:during|from|within|in))|"
    r"\bcompare (?:it|them|both|this|these|the (?:two|ecgs?|recordings?))\b|\bcompar(?:ed|ison)\b|"
    r"\b(?:is|are|any|anything) (?:the |there )?(?:\S+ ){0,5}(?:new|gone|resolved|worse|better|improved|worsened)\b|"
    r"\b(?:vorher\w*|früher\w*|vergleich\w*|vor(?:ekg|befund)\w*|verändert\w*)\b",
    re.I,
)
# a definition is asked for, and not whether its criteria are met
_DEFINES = re.compile(
    r"\bcriteri(?:a|on) (?:for|of)\b|\bdefin(?:e|es|ed|itions?)\b|\bwhat does .* mean\b|\blook up\b|\bsource\b|"
    r"\bguidelines?\b|\bkriteri\w+ (?:für|von|der|des|einer?s?)\b|\bbedeutet\b|\bdefinition\w*\b",
    re.I,
)
_MET = re.compile(r"\b(?:meets?|met|fulfil\w*|erfüll\w*|satisf\w+)\b", re.I)
_WHAT_IS = re.compile(r"^\W*(?:what is|what's|was ist|explain|erkläre)(?: an?| the| ein(?:e|en)?)?\W*$", re.I)


@dataclass
class Chat:
    """A conversation about one recording.

    Attributes:
        record_id: the recording.
        measurement: of it.
        tools: what the model may call.
        model: a name, folder or model, as for ``gem.ask``; or an endpoint.
        turns: the answers so far.
    """

    record_id: str
    record: Any
    measurement: Measurement
    tools: Tools
    model: Any
    turns: list[Answer] = field(default_factory=list)

    def ask(self, text: str) -> Answer:
        """The next answer.

        Args:
            text: a question, in English or German; a later one may follow up on an earlier one.

        Returns:
            An ``Answer`` with the calls of tools; sentences that a measurement contradicts, whose numbers come from
            nowhere, or that cite what no passage says, are in ``withheld`` and not in the text. Where nothing is left,
            or the endpoint gives no answer, it is the rule's, and ``faults`` says why.

        Raises:
            GemInputError: the question is empty, too long or not a str.
            GemError: the endpoint refuses (a wrong key, model or address).
        """
        if isinstance(self.model, ChatEndpoint):
            answer = self._endpoint_answer(text, self.model)
        else:
            answer = self._own_answer(text)
        self.turns.append(answer)
        return answer

    def add_earlier(self, record_or_path: Any) -> None:
        """Add an earlier recording of the same patient; it becomes the latest of the earlier ones.

        Args:
            record_or_path: as in ``gem.explain``.
        """
        self.tools.earlier = (grounding.measure(read_subject(record_or_path, {}).record), *self.tools.earlier)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return {
            "record_id": self.record_id,
            "version": __version__,
            "earlier": [one.record_id for one in self.tools.earlier],
            "turns": [answer.to_dict() for answer in self.turns],
        }

    def save(self, path: str | Path) -> Path:
        """Write the conversation as JSON.

        Args:
            path: ending in ``.json``.

        Raises:
            GemError: another suffix, or a folder that isn't there.
        """
        from .views.files import json_file, write_view

        target = Path(path)
        if target.suffix.lower() != ".json":
            raise GemInputError("a conversation is saved as JSON", where=str(path), remedy="use .json")
        return write_view(target, json_file(self.to_dict()))

    def __repr__(self) -> str:
        return f"Chat({self.record_id!r}, {len(self.turns)} turns)"

    def _repr_html_(self) -> str:
        return "".join(answer._repr_html_() for answer in self.turns) or "<p>No question yet.</p>"

    def _history(self) -> list[tuple[str, str]]:
        return [(turn.question, turn.text) for turn in self.turns]

    def _own_answer(self, text: str) -> Answer:
        """gem-nano's answer; comparisons and definitions are what a tool gives, written down by code."""
        told = self._told_by_tool(text)
        return ask(self.record, text, self.model, self.measurement, self._history()) if told is None else told

    def _told_by_tool(self, text: str) -> Answer | None:
        """What a comparison or a definition gives; None for other questions."""
        asked = self._checked(text)
        if self._is_comparison(text):
            call = self.tools.call("compare", {})
            named = {"qtc_fridericia" if name == "qtc" else name for link in asked.links for name in link.names}
            return self._of_tool(text, "comparison", call, _compared(call, named & set(QUANTITIES)))
        if (query := _to_look_up(text, asked)) is not None:
            call = self.tools.call("look_up", {"query": query})
            best = next((one for one in call.passages if _is_about(one, query)), None)
            if best is not None:
                return self._of_tool(text, "definition", call, [(f"{best.text.rstrip('.')} [{best.address}].", ())])
        return None

    def _is_comparison(self, text: str) -> bool:
        return bool(self.tools.earlier) and _COMPARES.search(text) is not None

    def _of_tool(self, text: str, kind: str, call: ToolCall, sentences: Sequence[Told]) -> Answer:
        statements, at = [], 0
        for sentence, evidence in sentences:
            whole = ((0, len(sentence)),)  # code wrote all of it
            statements.append(Statement(sentence, at, at + len(sentence), evidence, (), "note", (), whole))
            at += len(sentence) + 1
        return Answer(self.record_id, text, kind, tuple(statements), source="tools", calls=(call,))

    def _checked(self, text: Any) -> Any:
        try:
            return read_question(text, self._history())
        except EcgError as error:
            raise GemInputError(error.what, where="question", remedy=error.remedy) from None

    def _rule_answer(self, text: str, faults: Sequence[str], model: str) -> Answer:
        told = self._told_by_tool(text)
        if told is not None:
            return replace(told, faults=tuple(faults), model=model)
        made = plan(self._checked(text), self.measurement)
        answer = put_together(text, made, self.measurement, EncoderView({}), None, model)
        more = [fault for fault in answer.faults if fault != UNTRAINED]  # no model of ours was asked
        return replace(answer, source="rule", faults=(*faults, *more))

    def _endpoint_answer(self, text: str, endpoint: ChatEndpoint) -> Answer:
        asked = self._checked(text)
        outside = "" if self._is_comparison(text) else asked.topic
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM_PROMPT}]
        for question, said in self._history():
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": said or "-"}]
        messages.append({"role": "user", "content": text})
        talk = _Talk(endpoint, self.tools, messages)
        said = talk.answer()
        kept, withheld = self._held(said, talk.calls, outside)
        if withheld and not talk.faults:  # once more, with what is wrong
            problems = "\n".join(f"- {sentence}: {why}" for sentence, why in withheld)
            talk.messages += [
                {"role": "assistant", "content": said},
                {"role": "user", "content": f"These sentences don't hold:\n{problems}\nAnswer again, without them."},
            ]
            again = talk.answer()
            kept_again, withheld_again = self._held(again, talk.calls, outside)
            if kept_again and len(withheld_again) < len(withheld):
                kept, withheld = kept_again, [*withheld, *withheld_again]
        calls, left_out = tuple(talk.calls), tuple(withheld)
        grounded = any(rests_on_something(one, calls) for one in kept)
        rule = None
        if not grounded:
            faults = [*talk.faults] or ["nothing that it said " + ("can be checked" if kept else "holds")]
            rule = self._rule_answer(text, faults, endpoint.model)
        if rule is not None and not (rule.declined and any(refuses(one) for one in kept)):
            left_out += tuple((one.text, "nothing of it can be checked") for one in kept)
            return replace(rule, calls=(*calls, *rule.calls), withheld=left_out)
        declines = bool(outside) and not grounded
        return Answer(
            self.record_id,
            text,
            "conversation",
            tuple(kept),
            declines,
            outside if declines else None,
            faults=tuple(talk.faults),
            model=endpoint.model,
            calls=calls,
            withheld=left_out,
        )

    def _held(
        self, said: str, calls: Sequence[ToolCall], outside: str
    ) -> tuple[list[Statement], list[tuple[str, str]]]:
        """The sentences that hold, and the others with the reason."""
        every = [*(call for turn in self.turns for call in turn.calls), *calls]
        return hold(said, self.measurement, self.tools.earlier, calls, every, outside)


def _to_look_up(text: str, asked: Any) -> str | None:
    """What a question wants to have defined: the finding that it names, else its words; None if nothing."""
    claims = [link for link in asked.links if link.statement is not None and link.statement.findings]
    alone = len(claims) == 1 and _WHAT_IS.match(asked.text[: claims[0].start] + asked.text[claims[0].end :])
    if not (alone or _DEFINES.search(text)) or _MET.search(text):
        return None
    names = [name for link in claims for name in link.statement.findings[0] if name in load_knowledge()]
    return load_knowledge()[names[0]].label if names else text


def _is_about(passage: Passage, query: str) -> bool:
    """Whether a passage holds the words that are looked up; an entry of the knowledge base must be named."""
    words = [word for word in re.findall(r"[^\W_]{3,}", _DEFINES.sub(" ", query).lower()) if word not in _OF_A_QUESTION]
    if passage.address.startswith("kb:"):
        entry = load_knowledge()[passage.address.removeprefix("kb:")]
        return any(re.search(rf"\b{re.escape(name)}s?\b", query, re.I) for name in (entry.label, *entry.terms))
    text = passage.text.lower()
    return bool(words) and all(word.removesuffix("s") in text for word in words)


def _compared(call: ToolCall, named: Set[str]) -> list[Told]:
    """What ``compare`` found, in sentences with their evidence; of some quantities alone where these were asked for."""
    result = call.result
    out: list[Told] = [(f"Compared with {result['earlier']}:", ())]
    for row in result["values"]:
        if named and row["quantity"] not in named:
            continue
        now, then = row["now"], row["then"]
        name = {"heart_rate": "heart rate", "axis": "QRS axis"}.get(row["quantity"], _title(row["quantity"]))
        if "change" in row:
            sign = "+" if row["change"] > 0 else ""
            sentence = (
                f"{name} {round(now['value'])} {now['unit']} now, {round(then['value'])} {then['unit']} then "
                f"({sign}{row['change']})."
            )
            out.append((sentence, tuple(part for part in call.evidence if part.quantity == row["quantity"])))
        else:
            which = "now" if now["value"] is None else "then"
            out.append((f"{name} could not be measured {which}.", ()))
    if not named:
        values = {row["quantity"] for row in result["values"]}
        of_findings = tuple(dict.fromkeys(part for part in call.evidence if part.quantity not in values))
        out.append((f"New findings: {', '.join(result['new']) or 'none'}.", of_findings if result["new"] else ()))
        out.append((f"No longer there: {', '.join(result['gone']) or 'none'}.", of_findings if result["gone"] else ()))
    return out


def _title(quantity: str) -> str:
    from .views.measured import name_of

    return name_of(quantity)


@dataclass
class _Talk:
    """One answer of an endpoint: requests and calls of tools, until it says something."""

    endpoint: ChatEndpoint
    tools: Tools
    messages: list[dict[str, Any]]
    calls: list[ToolCall] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seen: dict[str, ToolCall] = field(default_factory=dict)

    def answer(self) -> str:
        """What it says; empty, with a fault, if it says nothing."""
        offered = descriptions(bool(self.tools.earlier))
        for request in range(MAX_REQUESTS):
            last = request == MAX_REQUESTS - 1
            try:
                message = self.endpoint.complete(self.messages, tools=offered, tool_choice="none" if last else "auto")
            except EndpointError as error:
                self.faults.append(error.what)
                return ""
            wanted, content = message.get("tool_calls"), message.get("content")
            if wanted and not last:
                self._run(wanted, content)
            elif isinstance(content, str) and content.strip():
                return content.strip()
            elif last:
                break
            else:
                self.messages.append({"role": "user", "content": "Your answer was empty. Answer the question."})
        self.faults.append(f"no answer after {MAX_REQUESTS} requests and {len(self.calls)} calls of tools")
        return ""

    def _run(self, wanted: Any, content: Any) -> None:
        """Run the calls that a message asks for, and add the results to the conversation."""
        readable = [one for one in wanted if _is_call(one)] if isinstance(wanted, list) else []
        if not readable:
            self.messages.append({"role": "user", "content": "That was no call of a tool in the protocol's form."})
            return
        asked, results = [], []
        for number, one in enumerate(readable[:MAX_CALLS_AT_ONCE]):
            name, arguments = one["function"].get("name"), one["function"].get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            key = f"{name} {text}"
            if key in self.seen:
                result = {**self.seen[key].result, "note": "you have asked this before; answer the question now"}
            else:
                self.seen[key] = self.tools.call(name, arguments)
                self.calls.append(self.seen[key])
                result = dict(self.seen[key].result)
            given = str(one.get("id") or f"call_{len(self.messages)}_{number}")
            function = {"name": str(name), "arguments": text}
            asked.append({"id": given, "type": "function", "function": function})
            results.append({"role": "tool", "tool_call_id": given, "content": json.dumps(result, ensure_ascii=False)})
        said = content if isinstance(content, str) else None
        self.messages += [{"role": "assistant", "content": said, "tool_calls": asked}, *results]


def _is_call(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("function"), dict)


def chat(
    record_or_path: Any,
    model: Any = "gem-nano",
    url: str | None = None,
    earlier: Any = (),
    texts: str | Path | None = None,
    measurement: Measurement | None = None,
    **endpoint: Any,
) -> Chat:
    """Begin a conversation about a recording.

    Each turn may measure, find, locate (leads, beats, seconds), compare with earlier recordings, and look up passages;
    its answer is held against the recording claim by claim.

    Args:
        record_or_path: as in ``gem.explain``.
        model: as for ``gem.ask``; with ``url``, the model's name at the endpoint.
        url: of an OpenAI-compatible endpoint with calls of tools, without ``/chat/completions``, e.g.
            ``"http://localhost:8000/v1"``.
        earlier: recordings of the same patient, the latest first; or one.
        texts: folder with texts to look up, beside the knowledge base.
        measurement: of the recording, if it is known already.
        **endpoint: ``key_variable``, ``timeout_s``, ``retries``, ``wait_s``, ``max_tokens`` of ``ChatEndpoint``.

    Returns:
        A Chat; ``.ask(text)`` gives an ``Answer``.

    Raises:
        EcgError: a recording can't be read or used.
        GemInputError: an address that is none, options without one, a folder that is not there, or a measurement of
            another recording.

    Example:
        >>> import gem, grounding
        >>> talk = gem.chat(grounding.sample_path("ptbxl_424"))
        >>> talk.ask("Is there bundle branch block?").text.split(",")[0], talk.ask("Why?").declined
        ('Yes', False)
    """
    if url is None and endpoint:
        raise GemInputError(f"{', '.join(endpoint)} without url", where="gem.chat", remedy="they are for an endpoint")
    chosen = model
    if url is not None:
        if not isinstance(url, str) or not url.startswith(("http://", "https://")) or not isinstance(model, str):
            raise GemInputError("no address", where="url", remedy='url="http://host:port/v1", model="its name"')
        try:
            chosen = ChatEndpoint(url, model, **endpoint)
        except TypeError:
            raise GemInputError(
                f"unknown option among {', '.join(endpoint)}",
                where="gem.chat",
                remedy="key_variable, timeout_s, retries, wait_s, max_tokens",
            ) from None
    record = read_subject(record_or_path, {}).record
    measured = measurement_of(record, measurement)
    several = [earlier] if isinstance(earlier, str | Path | ECGRecord) else earlier
    before = tuple(grounding.measure(read_subject(one, {}).record) for one in several)
    return Chat(record.record_id, record, measured, Tools(measured, before, Library(texts)), chosen)
