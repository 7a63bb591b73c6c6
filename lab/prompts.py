"""Generate the replayer's prompts from templates, by market category."""

from __future__ import annotations

import random

SUBJECTS = (
    "a harbour", "tidal charts", "a lighthouse", "grain trade", "a compass", "steam engines", "river locks",
    "salt marshes", "a ferry line", "whales", "ship insurance", "an old map", "the monsoon", "copper",
)  # fmt: skip
TEMPLATES = {
    "programming": "Write a Python function that parses records about {} and raises on malformed lines.",
    "roleplay": "You are an old captain. Stay in character and tell a newcomer about {}.",
    "marketing": "Draft three slogans for a campaign that sells tours around {}.",
    "marketing/seo": "Suggest ten search keywords and a meta description for a page about {}.",
    "technology": "Compare two devices that are used to measure {} and name the better one.",
    "science": "Explain the physics behind {} to a first-year student.",
    "translation": "Translate into Portuguese: 'We spoke all night about {}.'",
    "legal": "Which clauses should a contract about {} hold so that liability is limited?",
    "finance": "How would you value a company whose main asset is {}? Show the discounting.",
    "health": "Which risks to health should someone know who works near {}?",
    "trivia": "Ask me five quiz questions about {} and give the answers at the end.",
    "academia": "Outline a literature review on {} with a hypothesis and a method.",
}
# Sentences that extend a prompt on the same subject.
DETAILS = {
    "programming": (
        "The function should have type hints, a docstring and a unit test for {}.",
        "It fails with a KeyError when the list of {} is empty; keep the class and fix the loop.",
    ),
    "roleplay": (
        "The newcomer asks: 'Captain, did you ever see {} at night?' You laugh and answer in character.",
        "Your character whispers, never breaks the story, and remembers {} from the war.",
    ),
    "marketing": (
        "Our customers are families who buy a weekend at {}; the brand voice is warm.",
        "The advertisement runs on social media and ends with a call to action about {}.",
    ),
    "marketing/seo": (
        "The page should rank in search results for {} and get a better click-through rate.",
        "Give the title tag, the meta description and internal links with anchor text for {}.",
    ),
    "technology": (
        "The device must run on Windows and Linux, with a USB port and a battery, and watch {}.",
        "Say which hardware, network and software settings you would choose for {}.",
    ),
    "science": (
        "Derive the equation, state the forces and estimate the energy of {}.",
        "Which experiment would measure the pressure and the temperature near {}?",
    ),
    "translation": (
        "Then translate into French: 'Nobody had told us about {} before.'",
        "Keep the grammar simple and give the Spanish and the German translation of '{}'.",
    ),
    "legal": (
        "The contract is under English law; the court and the liability for {} are disputed.",
        "Which rights does the tenant have under the agreement about {}?",
    ),
    "finance": (
        "Revenue grows by five percent, the interest rate is four, and the debt is secured by {}.",
        "Compare the tax on dividends and the return on investment in {}.",
    ),
    "health": (
        "The patient has a fever and a cough after a day at {}; which symptoms need a doctor?",
        "Which medicine, diet and exercise would help after an injury near {}?",
    ),
    "trivia": (
        "Which film, song or book is named after {}?",
        "Who was the first person known for {}, and in which year?",
    ),
    "academia": (
        "The thesis needs citations, a research question and a bibliography on {}.",
        "Summarise the paper on {} in an abstract and an essay for the seminar.",
    ),
}
WEIGHTS = (30, 20, 4, 2, 8, 6, 6, 3, 4, 4, 8, 5)


def prompt(dice: random.Random, words: int) -> str:
    """Draw a template and extend it within its category to about ``words`` words."""
    category = dice.choices(list(TEMPLATES), WEIGHTS)[0]
    parts = [TEMPLATES[category].format(dice.choice(SUBJECTS))]
    length = len(parts[0].split())
    while length < words:
        parts.append(dice.choice(DETAILS[category]).format(dice.choice(SUBJECTS)))
        length += len(parts[-1].split())
    return "\n".join(parts)
