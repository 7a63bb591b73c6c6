import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.categories.classify import Classifier, ClassifierInvalid, Label, prompt_text
from models.categories.features import BUCKETS, counts, cut
from models.categories.taxonomy import CATEGORIES
from models.categories.text import MAX_SYSTEM

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
    for name in ("weights.json", "weights.npz"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("category", CATEGORIES)
def test_obvious_prompts(classifier: Classifier, category: str) -> None:
    label = classifier.classify(OBVIOUS[category])
    assert label.category == category
    assert 0 < label.confidence <= 1


def test_a_common_system_message_changes_no_obvious_label(classifier: Classifier) -> None:
    for category, text in OBVIOUS.items():
        assert classifier.classify(f"You are a helpful assistant.\n{text}").category == category


def test_probabilities_are_of_the_twelve_and_none(classifier: Classifier) -> None:
    for text in ("", *OBVIOUS.values()):
        chances = classifier.probabilities(text)
        assert [*chances] == [*CATEGORIES, "none"]
        assert sum(chances.values()) == pytest.approx(1)
    label = classifier.classify(OBVIOUS["legal"])
    assert label.confidence == pytest.approx(classifier.probabilities(OBVIOUS["legal"])[label.category])


@pytest.mark.parametrize("text", ["", "   \n", "what should I do with it"])
def test_text_that_says_nothing_has_the_lowest_confidence(classifier: Classifier, text: str) -> None:
    assert classifier.classify(text) == Label("programming", 0.0)


@pytest.mark.parametrize("text", ["\ud800 lone surrogate", "\x00" * 9, "🦜" * 5000, "a" * 10**6, "x " * 10**5, "٣٤"])
def test_odd_text_is_classified(classifier: Classifier, text: str) -> None:
    assert classifier.classify(text).category in CATEGORIES


def test_only_the_ends_of_a_long_prompt_are_read(classifier: Classifier) -> None:
    head, tail = "contract " * 400, "lawsuit " * 100
    assert cut("a" * 2500) == "a" * 2500
    assert classifier.classify(head + "python " * 9000 + tail) == classifier.classify(head + "dragon " * 9000 + tail)


def test_buckets_are_counted() -> None:
    once, twice = counts("lighthouse"), counts("Lighthouse lighthouse")
    assert {bucket: 2 * times for bucket, times in once.items()} == dict(twice)
    assert all(0 <= bucket < BUCKETS for bucket in once)


def test_altered_weights_are_refused(copy: Path) -> None:
    assert Classifier.load(copy).classify(OBVIOUS["health"]).category == "health"
    content = bytearray((copy / "weights.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "weights.npz").write_bytes(content)
    with pytest.raises(ClassifierInvalid, match="sha256"):
        Classifier.load(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", 2, "schema"),
        ("features", {"hash": "md5"}, "features"),
        ("classes", ["programming"], "twelve"),
        ("temperature", 0, "temperature"),
        ("temperature", None, "cannot be read"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(copy: Path, key: str, value: object, message: str) -> None:
    header = json.loads((copy / "weights.json").read_bytes())
    (copy / "weights.json").write_text(json.dumps({**header, key: value}))
    with pytest.raises(ClassifierInvalid, match=message):
        Classifier.load(copy)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ClassifierInvalid, match="cannot be read"):
        Classifier.load(tmp_path)


def test_weights_are_small() -> None:
    assert (SHIPPED / "weights.npz").stat().st_size < 800_000


def test_classifying_needs_no_learner() -> None:
    code = (
        "import sys; from models.categories.classify import Classifier; from models.categories.text import prompt_text;"
        "Classifier.load().classify('x'); print([m for m in ('sklearn', 'scipy', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_parity_with_scikit_learn(classifier: Classifier) -> None:
    """The same weights behind scikit-learn's own transformer and softmax."""
    pytest.importorskip("sklearn")
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    texts = list(OBVIOUS.values())
    if PROMPTS.exists():
        from models.categories.corpus import read

        texts += [e.text for e in random.Random(1).sample(read(PROMPTS, "arena_hard"), 100)]
    with np.load(SHIPPED / "weights.npz") as archive:
        rarity, weights, scales, intercepts = (archive[name] for name in ("rarity", "weights", "scales", "intercepts"))
    temperature = classifier.header["temperature"]
    found = [counts(text) for text in texts]
    rows = csr_matrix(
        (
            np.array([float(times) for row in found for times in row.values()]),
            np.array([bucket for row in found for bucket in row]),
            np.cumsum([0, *(len(row) for row in found)]),
        ),
        shape=(len(texts), BUCKETS),
    )
    transformer = TfidfTransformer(sublinear_tf=True).fit(rows)
    transformer.idf_ = rarity.astype(float)
    learner = LogisticRegression()
    learner.classes_ = np.arange(len(CATEGORIES) + 1)
    learner.coef_ = weights.T * (scales / temperature)[:, None]
    learner.intercept_ = intercepts / temperature
    wanted = learner.predict_proba(transformer.transform(rows))
    got = np.array([list(classifier.probabilities(text).values()) for text in texts])
    assert np.abs(got - wanted).max() < 1e-5


@pytest.mark.parametrize("source", ["arena_hard", "self_instruct_user_oriented"])
def test_the_documented_scores_are_those_of_the_shipped_weights(classifier: Classifier, source: str) -> None:
    if not PROMPTS.exists():
        pytest.skip("the public prompts are not on this machine")
    from models.categories.corpus import read
    from models.categories.evaluate import score

    examples = read(PROMPTS, source)
    found = score(examples, [classifier.classify(e.text).category for e in examples])
    stated = classifier.header["scores"][source]
    assert (found.n, round(found.accuracy, 3), round(found.macro_f1, 3)) == (
        stated["n"],
        stated["accuracy"],
        stated["macro_f1"],
    )
    row = f"| {source} | {found.n} | classifier | {found.accuracy:.3f} | {found.macro_f1:.3f} |"
    assert row in (ROOT / "docs/categories.md").read_text()


def test_judging_sources_are_never_trained_on(classifier: Classifier) -> None:
    assert not set(classifier.header["never_trained_on"]) & set(classifier.header["trained_on"])


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
