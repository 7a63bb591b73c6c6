"""Models of other tasks than chat are in the catalogue, marked by their task."""

from __future__ import annotations

from data.catalogue import load_catalogue
from data.catalogue.task_facts import dimensions_of, task_is_spoken


def test_every_endpoint_has_the_task_of_its_model() -> None:
    catalogue = load_catalogue()
    for name, offers in catalogue.endpoints.items():
        assert {offer.task for offer in offers} == {catalogue.models[name].task}


def test_embeddings_models_have_price_context_and_dimensions() -> None:
    catalogue = load_catalogue()
    small = catalogue.models["openai/text-embedding-3-small"]
    assert (small.task, small.dimensions, small.output_modalities) == ("embeddings", 1536, ("embeddings",))
    offer = next(e for e in catalogue.endpoints[small.id] if e.provider == "openai")
    assert offer.price is not None
    assert (offer.price.prompt, offer.price.completion, offer.context_length) == (20_000_000, 0, 8191)
    assert offer.max_completion_tokens is None and offer.supported_parameters == {"dimensions"}
    assert catalogue.resolve("text-embedding-3-small") == small.id


def test_the_facts_are_of_models_that_exist_or_are_none() -> None:
    live = {e.model for offers in load_catalogue().endpoints.values() for e in offers if e.enabled and e.task != "chat"}
    assert {
        name for name in live if load_catalogue().models[name].task == "embeddings" and not dimensions_of(name)
    } == set()
    assert dimensions_of("acme/unknown") is None


def test_an_endpoint_is_live_only_where_a_translator_exists() -> None:
    for offers in load_catalogue().endpoints.values():
        assert all(task_is_spoken(offer.task, offer.wire_format) for offer in offers if offer.enabled)


def test_chat_models_stay_chat_models() -> None:
    models = load_catalogue().models.values()
    assert {m.task for m in models if "text" in m.output_modalities} == {"chat"}
    assert len([m for m in models if m.task == "embeddings"]) >= 30
