"""Label Arena-Hard a second time, by the names of its clusters alone, and measure the agreement.

The clusters are the data set's own (their names were written by a language model of its authors). A name is mapped by
rules on its words, which never see the prompt; the hand labels were made from prompts and never saw the names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.categories.corpus import NONE, Example

# The first rule that matches decides; a cluster that no rule matches is left out.
RULES = (
    ("marketing/seo", r"\bseo\b|keyword"),
    ("translation", r"translat|linguist|language learn|grammar|vocabulary"),
    ("legal", r"\blaw|legal|patent|copyright|contract"),
    ("health", r"health|medic|diet|nutrition|fitness|clinical|disease|psycholog|pharma"),
    ("finance", r"financ|invest|trading|tax|account|stock|econom|budget|crypto|option"),
    ("marketing", r"marketing|advert|brand|social media|sales|product launch"),
    ("academia", r"education|teaching|essay|academic|literature review|course|lesson|curriculum"),
    ("roleplay", r"roleplay|role-play|story|fiction|fantasy|rpg|dungeon|poem|poetry|creative writing|game design"),
    ("programming", r"python|javascript|java\b|code|coding|sql|program|c\+\+|\brust\b|react|api\b|script|algorithm|"
     r"typescript|unity|software dev|web dev|html|css|pytorch|flask|django|git\b|docker|kubernetes|php|swift|kotlin|"
     r"bash|regex|terraform|database|pandas|vba|c#|\.net|angular|vue|spring|kernel"),
    ("science", r"math|physic|chemi|biolog|probab|statistic|calculus|algebra|geometry|theorem|quantum|machine learning|"
     r"neural|engineering|astronom|energy|matrix|proof"),
    ("technology", r"network|cloud|aws|azure|linux|windows|server|security|hardware|gpu|vpn|devops|smart|storage|"
     r"cisco|computer|system|electronics|excel|email"),
    ("trivia", r"puzzle|trivia|history|film|movie|music|sport|chess|riddle|geograph"),
)  # fmt: skip


class Agreement(NamedTuple):
    """Compare two labellings of the same prompts: the share that agrees, and Cohen's kappa."""

    prompts: int
    share: float
    kappa: float


def cluster_labels(folder: Path) -> dict[str, str]:
    """Return the category of the cluster of each prompt, where a rule matches the cluster's name."""
    found = {}
    for line in (folder / "arena_hard_v0.1_question.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        name = str(row["cluster"]).lower()
        category = next((category for category, pattern in RULES if re.search(pattern, name)), None)
        if category is not None:
            found[row["prompt"]] = category
    return found


def agreement(examples: Sequence[Example], second: dict[str, str]) -> Agreement:
    """Compare the examples' categories with a second labelling, over the prompts that both give one."""
    pairs = [(e.category, second[e.text]) for e in examples if e.category != NONE and e.text in second]
    names = {name for pair in pairs for name in pair}
    share = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum(sum(a == n for a, _ in pairs) * sum(b == n for _, b in pairs) for n in names) / len(pairs) ** 2
    return Agreement(len(pairs), share, (share - chance) / (1 - chance))
