#!/usr/bin/env python3
"""Verify questions.json against the documents in examples/.

Checks the counts, the kinds, the split, that ids and questions are unique, that every quote occurs exactly once in its
document, that an accepted string occurs in the quotes but not in the question, and that a paraphrase shares no content
word with its quote. `normalised` and `contains` are the rule of README.md as code. Needs pdftotext for the PDFs; the rest is the standard library. Exit code 1 when anything is wrong.
"""

import html.parser
import json
import pathlib
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
AT_LEAST = {"direct": 60, "paraphrase": 30, "two_documents": 15, "unanswerable": 30}
AT_LEAST_ANSWERABLE = 120

STOP_WORDS = frozenset(
    """a about after all also always am among an and another any anything are as at be because been before being below between both
    but by can cannot could did do does doing done down during each either else ever every few first for from get gets give given goes
    had has have having he her here him his how i if in into is it its just know like long made make makes making many may me might more most
    much must my need needs never new no none nor not now of off often on once one only or other our out over own per put same say says
    she should since so some someone something such than that the their them then there these they this those through to too two under
    until up upon use used uses using very was way we were what when where whether which while who whom whose why will with within
    without would you your
    а без бы был быть в вам вас во вот все всё вы где да для до его если есть ещё же за и из или их к как какая какие какой какую ко когда
    кто ли либо между мне мой на над надо не него нет ни но о об он она они от по под при с со так также там то только
    у уже чем что чтобы это этого этой этот""".split()
)

# A whole number written in groups of three: "1,024" but neither "38.7,100" nor "12.3,82.2", which are table cells.
THOUSANDS = re.compile("(?<![\\d.,])\\d{1,3}(?:[,'\u2019\u202f\u2009]\\d{3})+(?!\\d|,\\d)")


class _HtmlText(html.parser.HTMLParser):
    """Text of an HTML page without scripts, styles and comments; a line break at every block tag."""

    BLOCKS = frozenset("p div li ul ol table tr td th h1 h2 h3 h4 h5 h6 pre br blockquote".split())

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts = []
        self.hidden = 0

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "style"):
            self.hidden += 1
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.hidden -= 1
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


def document_text(document):
    """Plain text of a file inside examples/, by its extension."""
    path = EXAMPLES / document
    if path.suffix == ".pdf":
        return subprocess.run(["pdftotext", str(path), "-"], check=True, capture_output=True).stdout.decode("utf-8")
    if path.suffix == ".html":
        page = _HtmlText()
        page.feed(path.read_text(encoding="utf-8"))
        return "".join(page.parts)
    if path.suffix == ".docx":
        word = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
        with zipfile.ZipFile(path) as archive:
            root = xml.etree.ElementTree.fromstring(archive.read("word/document.xml"))
        paragraphs = root.iter(word + "p")
        return "\n".join("".join(run.text or "" for run in paragraph.iter(word + "t")) for paragraph in paragraphs)
    return path.read_text(encoding="utf-8")


def squeezed(text):
    """Text as gold spans are compared: NFKC, without white space, hyphens, soft hyphens and the marks ` * _."""
    return re.sub(r"[\s\-\u2010\u2011\u00ad`*_]", "", unicodedata.normalize("NFKC", text))


def normalised(text):
    """Text as answers are compared; the README's "Normalising"."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = THOUSANDS.sub(lambda number: re.sub(r"\D", "", number.group()), text)
    kept = []
    for i, char in enumerate(text):
        inside_number = char in ".:" and 0 < i < len(text) - 1 and text[i - 1].isdigit() and text[i + 1].isdigit()
        kept.append(char if inside_number or unicodedata.category(char)[0] in "LM" or char.isdigit() else " ")
    return " ".join("".join(kept).split())


def contains(answer, accepted):
    """Whether an answer contains one accepted string, by rule 1 of the README."""
    if len(accepted) > 2 and accepted[0] == accepted[-1] == "`":
        return accepted[1:-1] in answer
    return f" {normalised(accepted)} " in f" {normalised(answer)} "


def stem(word):
    """A crude stem, so that "prints" and "printed" count as one word with "print"."""
    for ending in ("ing", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def content_words(text, exempt):
    words = [word for word in normalised(text).split() if word not in STOP_WORDS and not word[0].isdigit() and len(word) > 1]
    return {stem(word) for word in words} - {stem(word) for name in exempt for word in normalised(name).split()}


def expected_split(questions):
    """The half of each question: within a kind, by first gold document, every other one."""
    halves = {}
    for kind in AT_LEAST:
        group = [question for question in questions if question["kind"] == kind]
        group.sort(key=lambda question: question["gold"][0]["document"] if question["gold"] else "")
        for index, question in enumerate(group):
            halves[question["id"]] = ("tuning", "held_out")[index % 2]
    return halves


def check_gold(question, texts):
    for gold in question["gold"]:
        document, quote = gold["document"], gold["quote"]
        if document not in texts:
            texts[document] = squeezed(document_text(document))
        for span in [quote, *gold.get("or", [])]:
            found = texts[document].count(squeezed(span))
            if found != 1:
                yield f"quote occurs {found} times in {document}: {span!r}"


def check_answerable(question):
    quotes = " ".join(gold["quote"] for gold in question["gold"])
    documents = {gold["document"] for gold in question["gold"]}
    if len(documents) != (2 if question["kind"] == "two_documents" else 1):
        yield f"{len(documents)} gold documents do not fit the kind"
    for field in ("accept", "accept_also"):
        accepted = question.get(field)
        if field == "accept" and not accepted:
            yield "nothing is accepted"
        if accepted and not any(contains(quotes, string) for string in accepted):
            yield f"no string of {field} is in the quotes: {accepted}"
        if accepted and any(contains(question["question"], string) for string in accepted):
            yield f"the question gives its answer away: {accepted}"
    if question["kind"] == "paraphrase":
        exempt = question.get("names", [])
        shared = content_words(question["question"], exempt) & content_words(quotes, exempt)
        if shared:
            yield f"shares content words with the quote: {sorted(shared)}"


def check_question(question, texts):
    if question["kind"] not in AT_LEAST:
        yield f"unknown kind {question['kind']!r}"
    elif question["kind"] == "unanswerable":
        if question["accept"] or question["gold"]:
            yield "an unanswerable question has an answer"
    else:
        yield from check_answerable(question)
        yield from check_gold(question, texts)


def check_counts(questions):
    counts = {kind: sum(question["kind"] == kind for question in questions) for kind in AT_LEAST}
    for kind, least in AT_LEAST.items():
        if counts[kind] < least:
            yield f"{counts[kind]} questions of kind {kind}, at least {least} wanted"
        tuning = sum(question["kind"] == kind and question["split"] == "tuning" for question in questions)
        if abs(2 * tuning - counts[kind]) > 1:
            yield f"halves of kind {kind} differ: {tuning} of {counts[kind]} are for tuning"
    answerable = len(questions) - counts["unanswerable"]
    if answerable < AT_LEAST_ANSWERABLE:
        yield f"{answerable} answerable questions, at least {AT_LEAST_ANSWERABLE} wanted"
    for field in ("id", "question"):
        values = [question[field] for question in questions]
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"{field} occurs twice: {value!r}"


def main():
    questions = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))
    texts = {}
    faults = list(check_counts(questions))
    halves = expected_split(questions)
    for question in questions:
        faults += [f"{question['id']}: {fault}" for fault in check_question(question, texts)]
        if question["split"] != halves.get(question["id"]):
            faults.append(f"{question['id']}: belongs to the half {halves.get(question['id'])}")
    for fault in faults:
        print(fault)
    for kind in AT_LEAST:
        print(f"{kind}: {sum(question['kind'] == kind for question in questions)}")
    documents = sorted({gold["document"] for question in questions for gold in question["gold"]})
    for document in documents:
        n_questions = sum(any(gold["document"] == document for gold in question["gold"]) for question in questions)
        print(f"{document}: {n_questions} questions")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
