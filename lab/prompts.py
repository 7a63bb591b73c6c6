"""Prompts of the replayer, by market category: templates and what fills them."""

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
WEIGHTS = (30, 20, 4, 2, 8, 6, 6, 3, 4, 4, 8, 5)


def prompt(dice: random.Random, words: int) -> str:
    """A prompt of at least its template, padded with quoted notes to about ``words`` words."""
    category = dice.choices(list(TEMPLATES), WEIGHTS)[0]
    text = TEMPLATES[category].format(dice.choice(SUBJECTS))
    missing = max(0, words - len(text.split()))
    notes = " ".join(dice.choice(SUBJECTS) for _ in range(missing // 2))
    return f"{text}\n\nNotes: {notes}" if notes else text
