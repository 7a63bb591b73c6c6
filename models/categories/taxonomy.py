"""Define the twelve categories of the reference API, in its order."""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["CATEGORIES", "DEFINITIONS"]

# The borders are our own choice, except that language resources count as translation in the reference's mapping.
DEFINITIONS = MappingProxyType(
    {
        "programming": "Writing, reading, testing or repairing code, queries and their build files.",
        "roleplay": "Playing a character, interactive games of imagination and fiction.",
        "marketing": "Advertising, brands, sales copy, social media posts and going to market.",
        "marketing/seo": "Being found: keywords, meta descriptions, hashtags, links and search ranking.",
        "technology": "Choosing, using and administering hardware, software, networks and their security.",
        "science": "Natural sciences, mathematics, statistics, engineering and machine learning as a theory.",
        "translation": "From one language to another, and dictionaries, grammar and foreign languages.",
        "legal": "Law, contracts, rights, patents, regulation and dealings with authorities.",
        "finance": "Money: banking, investment, accounting, tax, insurance and valuation.",
        "health": "Medicine, mental health, fitness and nutrition.",
        "trivia": "Facts of general interest, quizzes, puzzles, films, books, music and sport.",
        "academia": "Papers, citations, theses, essays, courses, teaching and study.",
    }
)
CATEGORIES = tuple(DEFINITIONS)
