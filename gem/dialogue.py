"""``gem.chat``: a conversation about a recording, whose answers are held against it sentence by sentence."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grounding
from grounding import EcgError, Measurement
from grounding._version import __version__
from grounding.questions import plan, read_question

from .answer import Answer
from .asking import EncoderView, ask, put_together
from .endpoint import ChatEndpoint, EndpointError
from .errors import GemInputError
from .explanation import Statement
from .grounded import given_statements
from .retrieval import Library, Passage, unsupported_citation
from .subjects import read_subject
from .tools import ToolCall, Tools, descriptions

MAX_REQUESTS = 8  # of one answer
MAX_CALLS_AT_ONCE = 8
SYSTEM_PROMPT = (
    "You answer questions about one 12-lead ECG, which you know only through the tools. Every number and every finding "
    "in your answer must come from a tool's result; call the tools you need first. What you take from a passage of "
    "look_up ends with its address in square brackets, e.g. [kb:sinus_rhythm]. Answer in short plain sentences, "
    "without lists or advice. If the tools can't tell, say so."
)
_NUMBER = re.compile(
    r"((?<![\w.])[-\u2212]?\d+(?:[.,]\d+)?|[\u00bc-\u00be\u2150-\u215f])"
    r"(?:\s?(%|percent|ms|msec|milliseconds|s|sec|seconds|mV|mm|bpm|/min|°|deg|degrees)(?![A-Za-z]))?"
)
_UNITS = {"percent": "%", "msec": "ms", "milliseconds": "ms", "sec": "s", "seconds": "s", "/min": "bpm"}
_UNITS |= {"°": "deg", "degrees": "deg"}
_NAMES = re.compile(r"\bV[1-9]R?\b|\b\d+[- ]lead\b|\[[^\[\]]*\]|\b(?:ptbxl_)\d+\b", re.I)
_ADDRESS = re.compile(r"\[[^\[\]\n]*\]")
_COMPARES = re.compile(
    r"\b(?:compar\w*|previous|earlier|before|prior|last (?:ecg|time)|chang\w+|differ\w*|since|vorher\w*|früher\w*|"
    r"vergl\w+|vor(?:ekg|befund)\w*|verändert\w*)\b",
    re.I,
)
_DEFINES = re.compile(
    r"\b(?:criteri(?:a|on) (?:for|of)|defin\w+|what does .* mean|look up|source|guideline|kriteri\w+|bedeutet)\b", re.I
)


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
        self._checked(text)
        if self.tools.earlier and _COMPARES.search(text):
            call = self.tools.call("compare", {})
            return self._of_tool(text, "comparison", call, _compared(call))
        if _DEFINES.search(text):
            call = self.tools.call("look_up", {"query": text})
            if call.passages:
                best = call.passages[0]
                return self._of_tool(text, "definition", call, [f"{best.text.rstrip('.')} [{best.address}]."])
        return ask(self.record, text, self.model, self.measurement, self._history())

    def _of_tool(self, text: str, kind: str, call: ToolCall, sentences: Sequence[str]) -> Answer:
        statements, at = [], 0
        for number, sentence in enumerate(sentences):
            evidence = tuple(dict.fromkeys(call.evidence)) if not number else ()
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
        made = plan(self._checked(text), self.measurement)
        answer = put_together(text, made, self.measurement, EncoderView({}), None, model)
        return replace(answer, source="rule", faults=(*faults, *answer.faults))

    def _endpoint_answer(self, text: str, endpoint: ChatEndpoint) -> Answer:
        self._checked(text)
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM_PROMPT}]
        for question, said in self._history():
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": said or "-"}]
        messages.append({"role": "user", "content": text})
        talk = _Talk(endpoint, self.tools, messages)
        said = talk.answer()
        kept, withheld = self._held(said, text, talk.calls)
        if withheld and not talk.faults:  # once more, with what is wrong
            problems = "\n".join(f"- {sentence}: {why}" for sentence, why in withheld)
            talk.messages += [
                {"role": "assistant", "content": said},
                {"role": "user", "content": f"These sentences don't hold:\n{problems}\nAnswer again, without them."},
            ]
            again = talk.answer()
            kept_again, withheld_again = self._held(again, text, talk.calls)
            if kept_again and len(withheld_again) < len(withheld):
                kept, withheld = kept_again, [*withheld, *withheld_again]
        calls, left_out = tuple(talk.calls), tuple(withheld)
        if not kept:
            faults = [*talk.faults] or ["nothing that it said holds"]
            rule = self._rule_answer(text, faults, endpoint.model)
            return replace(rule, calls=calls, withheld=left_out)
        return Answer(
            self.record_id,
            text,
            "conversation",
            tuple(kept),
            faults=tuple(talk.faults),
            model=endpoint.model,
            calls=calls,
            withheld=left_out,
        )

    def _held(
        self, said: str, question: str, calls: Sequence[ToolCall]
    ) -> tuple[list[Statement], list[tuple[str, str]]]:
        """The sentences that hold, and the others with the reason."""
        before = [call for turn in self.turns for call in turn.calls]
        every = [*before, *calls]
        passages = {one.address: one for call in every for one in call.passages}
        told = {number for call in every for number in _numbers_of(call)}
        kept: list[Statement] = []
        withheld: list[tuple[str, str]] = []
        at = 0
        # an address is no statement about the recording
        read_as = _ADDRESS.sub(lambda found: " " * len(found[0]), said)
        for one in given_statements(said, grounding.check(read_as, self.measurement)):
            why = _reason_against(one, told, passages)
            if why is not None:
                withheld.append((one.text, why))
                continue
            values = {value for value, _ in _numbers_in(one.text)}
            from_tools = [
                part for call in calls if values & {value for value, _ in _numbers_of(call)} for part in call.evidence
            ]
            evidence = tuple(dict.fromkeys([*one.evidence, *from_tools]))
            claims = tuple(claim.shifted(at - one.start) for claim in one.claims)
            kept.append(replace(one, start=at, end=at + len(one.text), evidence=evidence, claims=claims))
            at += len(one.text) + 1
        return kept, withheld


def _reason_against(statement: Statement, told: set[tuple[str, str]], passages: Mapping[str, Passage]) -> str | None:
    """Why a sentence is not kept; None for one that is."""
    for claim in statement.claims:
        if claim.verdict == "contradicted":
            return f"{claim.text!r} is contradicted: {claim.reason}"
    why = unsupported_citation(statement.text, dict(passages))
    if why is not None:
        return why
    rest = statement.text
    for claim in statement.claims:
        if claim.verdict == "supported":
            start, end = claim.start - statement.start, claim.end - statement.start
            rest = rest[:start] + " " * (end - start) + rest[end:]
    unknown = _unknown(_numbers_in(rest), told)
    return f"no evidence for {', '.join(unknown)}" if unknown else None


def _numbers_in(text: str) -> set[tuple[str, str]]:
    """The numbers of a text, without signs and trailing zeros, with their units; names of leads are no numbers."""
    found = set()
    for number, unit in _NUMBER.findall(_NAMES.sub(" ", text)):
        value = unicodedata.numeric(number) if len(number) == 1 else float(number.replace(",", ".").lstrip("-\u2212"))
        found.add((f"{value:g}", _UNITS.get(unit.lower(), unit.lower())))
    return found


def _unknown(numbers: set[tuple[str, str]], told: set[tuple[str, str]]) -> list[str]:
    """The numbers for which there is no evidence; one without a unit may be any that was told."""
    values = {value for value, _ in told}
    return sorted(
        f"{value} {unit}".strip()
        for value, unit in numbers
        if (unit and (value, unit) not in told) or (not unit and value not in values)
    )


def _numbers_of(call: ToolCall) -> set[tuple[str, str]]:
    """The numbers that a tool gave, with their units; the places in ``where`` are for reading only."""
    found: set[tuple[str, str]] = set()
    waiting: list[tuple[Any, str]] = [] if call.failed else [(dict(call.result), "")]
    while waiting:
        one, unit = waiting.pop()
        if isinstance(one, dict):
            of_row = one["now"].get("unit") if isinstance(one.get("now"), dict) else one.get("unit")
            kept = {key: value for key, value in one.items() if key not in ("where", "score", "address")}
            waiting += [(value, "s" if key == "seconds" else of_row or unit) for key, value in kept.items()]
        elif isinstance(one, list):
            waiting += [(value, unit) for value in one]
        elif isinstance(one, int | float) and not isinstance(one, bool):
            found.add((f"{abs(one):g}", _UNITS.get(unit.lower(), unit.lower())))
        elif isinstance(one, str):
            found |= _numbers_in(one)
    return found


def _compared(call: ToolCall) -> list[str]:
    """What ``compare`` found, in sentences."""
    result = call.result
    out = [f"Compared with {result['earlier']}:"]
    for row in result["values"]:
        now, then = row["now"], row["then"]
        name = {"heart_rate": "heart rate", "axis": "QRS axis"}.get(row["quantity"], _title(row["quantity"]))
        if "change" in row:
            sign = "+" if row["change"] > 0 else ""
            out.append(
                f"{name} {round(now['value'])} {now['unit']} now, {round(then['value'])} {then['unit']} then "
                f"({sign}{row['change']})."
            )
        else:
            which = "now" if now["value"] is None else "then"
            out.append(f"{name} could not be measured {which}.")
    out.append(f"New findings: {', '.join(result['new']) or 'none'}.")
    out.append(f"No longer there: {', '.join(result['gone']) or 'none'}.")
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
    earlier: Sequence[Any] = (),
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
        earlier: recordings of the same patient, the latest first.
        texts: folder with texts to look up, beside the knowledge base.
        measurement: of the recording, if it is known already.
        **endpoint: ``key_variable``, ``timeout_s``, ``retries``, ``wait_s``, ``max_tokens`` of ``ChatEndpoint``.

    Returns:
        A Chat; ``.ask(text)`` gives an ``Answer``.

    Raises:
        EcgError: a recording can't be read or used.
        GemInputError: an address that is none, options without one, or a folder that is not there.

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
    measured = grounding.measure(record) if measurement is None else measurement
    before = tuple(grounding.measure(read_subject(one, {}).record) for one in earlier)
    return Chat(record.record_id, record, measured, Tools(measured, before, Library(texts)), chosen)
