"""The shipped classifier labels what is obvious, refuses altered models, and its documented scores are true."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from data.record.prompt_labels import PromptLabels
from models.categories import classify
from models.categories.classify import CLASSES, THRESHOLD, Classifier, ClassifierInvalid, load_classifier, prompt_text
from models.categories.features import BUCKETS, counts, cut
from models.categories.languages import holds_code, natural_language, programming_language
from models.categories.taxonomy import CATEGORIES, TAGS, category_examples, tag_examples, tag_group
from models.categories.text import MAX_SYSTEM, MAX_USER

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "models/categories"
PROMPTS = ROOT.parent / "shared/datasets/prompts"

OBVIOUS = {
    "programming": "Fix this Python function, it raises a TypeError:\ndef add(a, b):\n    return a + str(b)",
    "roleplay": "*draws her sword* Stay in character as Lyra, the elven warrior, and continue the scene in the tavern.",
    "marketing": "Write a catchy advertising slogan and an Instagram post for the launch of our new brand of sneakers.",
    "marketing/seo": "Suggest long-tail keywords and a meta description so that my page ranks higher on Google search.",
    "technology": "My laptop loses the wifi router since the last Windows update. How do I reset the driver?",
    "science": "Explain how photons and electrons interact in the photoelectric effect and derive the energy equation.",
    "translation": "Translate this sentence from English into French and Spanish: The train leaves at noon.",
    "legal": "Is a non-compete clause in my employment contract enforceable in court, and can the employer sue me?",
    "finance": "Should I put my savings into an index fund or pay off my mortgage first, given the interest rate?",
    "health": "I have had a fever and a sore throat for three days. Which medicine is safe, and should I see a doctor?",
    "trivia": "Quiz: which country won the football World Cup in 1998, and who was the captain of the team?",
    "academia": "Write a literature review chapter for my thesis, with APA citations and a research question.",
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("model.json", "model.onnx"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def test_the_taxonomy_is_the_references() -> None:
    assert len(CATEGORIES) == 12
    groups = [tag_group(tag) for tag in TAGS]
    assert {name: groups.count(name) for name in groups} == {"agent": 5, "code": 9, "data": 2, "general": 14}
    assert all(len(texts) >= 5 for texts in tag_examples().values())
    assert all(len(category_examples(name)) >= 60 for name in CLASSES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_obvious_prompts(classifier: Classifier, category: str) -> None:
    found = classifier.label(OBVIOUS[category])
    assert found.category == category
    assert found.category_confidence is not None
    assert THRESHOLD <= found.category_confidence <= 1
    assert found.natural_language == "en"


def test_a_common_system_message_changes_no_obvious_label(classifier: Classifier) -> None:
    for category, text in OBVIOUS.items():
        assert classifier.label(f"You are a helpful assistant.\n{text}").category == category


def test_probabilities_sum_to_one(classifier: Classifier) -> None:
    for text in OBVIOUS.values():
        chances, tags = classifier.probabilities(text)
        assert (len(chances), len(tags)) == (len(CLASSES), len(TAGS))
        assert [chances.sum(), tags.sum()] == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("text", ["", "   \n", "what should I do with it"])
def test_text_that_says_nothing_is_unknown(classifier: Classifier, text: str) -> None:
    found = classifier.label(text)
    assert (found.category, found.category_confidence, found.task_tag) == (None, 0.0, None)


@pytest.mark.parametrize("text", ["\ud800 lone surrogate", "\x00" * 9, "🦜" * 5000, "a" * 10**6, "x " * 10**5, "٣٤"])
def test_odd_text_is_labelled(classifier: Classifier, text: str) -> None:
    found = classifier.label(text)
    assert found.category is None or found.category in CATEGORIES
    assert found.version == classifier.version


def test_only_the_ends_of_a_long_prompt_are_read(classifier: Classifier) -> None:
    head, tail = "contract " * 400, "lawsuit " * 100
    assert cut("a" * 2500) == "a" * 2500
    assert classifier.label(head + "python " * 9000 + tail) == classifier.label(head + "dragon " * 9000 + tail)


def test_buckets_are_counted() -> None:
    once, twice = counts("lighthouse"), counts("Lighthouse lighthouse")
    assert {bucket: 2 * times for bucket, times in once.items()} == dict(twice)
    assert all(0 <= bucket < BUCKETS for bucket in once)


def test_an_altered_model_is_refused(copy: Path) -> None:
    assert Classifier.load(copy).label(OBVIOUS["health"]).category == "health"
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(ClassifierInvalid, match="sha256"):
        Classifier.load(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", 1, "schema"),
        ("features", {"hash": "md5"}, "features"),
        ("classes", ["programming"], "taxonomy"),
        ("tags", [], "taxonomy"),
        ("embedding", "other", "wordllama"),
        ("classes", None, "cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(copy: Path, key: str, value: object, message: str) -> None:
    header = json.loads((copy / "model.json").read_bytes())
    (copy / "model.json").write_text(json.dumps({**header, key: value}))
    with pytest.raises(ClassifierInvalid, match=message):
        Classifier.load(copy)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClassifierInvalid, match="cannot be read"):
        Classifier.load(tmp_path)


def test_the_model_is_small() -> None:
    assert (SHIPPED / "model.onnx").stat().st_size < 2_000_000


def test_labelling_needs_no_learner_and_no_network() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from models.categories.classify import Classifier\n"
        "found = Classifier.load().label('Write a Python function')\n"
        "heavy = ('sklearn', 'scipy', 'polars', 'wordllama', 'huggingface_hub')\n"
        "print(found.category, [m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "programming []"


class OwnClassifier:
    """Label every prompt alike."""

    def label(self, text: str) -> PromptLabels:
        return PromptLabels("legal", 0.9, f"own-{len(text)}")


def test_an_operators_classifier_replaces_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("own", f"{__name__}:OwnClassifier", "portolan.classifiers"),
            EntryPoint("broken", "no_such_module:make", "portolan.classifiers"),
        ]
    )
    monkeypatch.setattr(classify, "entry_points", lambda **wanted: points.select(**wanted))
    assert load_classifier(tmp_path, "own").label("abc") == PromptLabels("legal", 0.9, "own-3")
    with pytest.raises(ClassifierInvalid, match="cannot be loaded"):
        load_classifier(tmp_path, "broken")
    with pytest.raises(ClassifierInvalid, match="no installed package"):
        load_classifier(tmp_path, "absent")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Wie spät ist es jetzt in Hamburg, und warum?", "de"),
        ("明日の天気を教えてください", "ja"),
        ("明天的天气怎么样", "zh"),
        ("내일 날씨 알려 줘", "ko"),
        ("Corrige ce code s'il te plaît :\n```python\nfor item in the_list_of_all_the_things: print(item)\n```", "fr"),
        ("12345 !?", None),
    ],
)
def test_natural_language_is_that_of_the_prose(text: str, language: str | None) -> None:
    found = natural_language(text)
    assert (found.code if found else None) == language


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [
        ("```rust\nfn main() {}\n```\nwhy?", "rust", True),
        ("def f(x):\n    return x\n\nprint(f(2))", "python", True),
        ("SELECT name\nFROM users\nWHERE id = 3;", "sql", True),
        ("Schreibe ein Programm in Java.", "java", False),
        ("Port this from C++ to Go", "c++", False),
        ("I love JavaScript more than java", "javascript", False),
        ("The snake is a python; the island is Java.", "python", False),
        ("How do I cook rice?", None, False),
    ],
)
def test_programming_language(text: str, language: str | None, code: bool) -> None:
    assert (programming_language(text), holds_code(text)) == (language, code)


def test_the_documented_scores_are_those_of_the_shipped_model(classifier: Classifier) -> None:
    """Judge one source again, and hold it to the accepted score over all four."""
    if not PROMPTS.exists():
        pytest.skip("the public prompts are not on this machine")
    from benchmarks.categories.__main__ import judge
    from models.categories.corpus import read

    found = {}
    for source in ("arena_hard", "self_instruct_seed"):
        examples = read(PROMPTS, source)
        found[source] = judge(examples, np.array([classifier.probabilities(e.text)[0] for e in examples]))
    page = (ROOT / "docs/categories.md").read_text()
    for source, one in found.items():
        assert f"| {source} | {one.served.n} | {one.served.macro_f1:.3f} | {one.coverage:.2f} |" in page


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "first"}, {"role": "user", "content": "last"}], "last"),
        (
            [{"role": "system", "content": "Be Lyra."}, {"role": "user", "content": "Hi"}, {"role": "assistant"}],
            "Be Lyra.\nHi",
        ),
        ([{"role": "developer", "content": "s" * 9000}, {"role": "user", "content": "u"}], "s" * MAX_SYSTEM + "\nu"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"text": "b"}, 7]}],
            "a\nb",
        ),
        ([{"role": "user", "content": None}], ""),
        ([{"role": "user", "content": [{"text": {"text": "x"}}]}], ""),
        ([{"role": "assistant", "content": "alone"}], ""),
        ([{"role": 3, "content": "x"}], ""),
        ([], ""),
        ({}, ""),
        (["x"], ""),
    ],
)
def test_prompt_text(messages: object, text: str) -> None:
    assert prompt_text(json.dumps(messages).encode()) == text


@pytest.mark.parametrize("unit", ["a", "é", "😀", '"\\\n', "\0x"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_beginning_of_a_long_prompt(unit: str, ascii_only: bool) -> None:
    """It is the same wherever the JSON of the text is cut, in one text and in several parts."""
    for shift in range(13):
        long = "a" * shift + unit * 100_000
        part = {"type": "text", "text": long[:9_000]}
        for content, expected in ((long, long), ([part, {"type": "x"}, part, 5, part], "\n".join([long[:9_000]] * 2))):
            raw = json.dumps([{"role": "user", "content": content}], ensure_ascii=ascii_only).encode()
            assert prompt_text(raw) == expected[:MAX_USER]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[{",
        b'[{"role":"user","content":"\xff\xfe"}]',
        b'[{"role":"user","content":"\\ud800"}]',
        b'[{"role":"user","content":' + b"[" * 100_000,
        b'[{"role":"user","content":' + b"[" * 5000 + b"]" * 5000 + b"}]",
    ],
)
def test_malformed_messages_give_no_text(raw: bytes) -> None:
    assert prompt_text(raw) == ""
