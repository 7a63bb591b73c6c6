"""Test that the lab answers Google's own client with embeddings, and refuses what Google refuses."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from lab.embeddings import unit_vector
from tests.lab.google_clients import granted_token
from tests.lab.scenes import PNG

MODEL = "gemini-embedding-001"
TEXTS = ["A chart of the harbour", "The depth at low tide"]


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS], ids=["one", "many"])
@pytest.mark.parametrize("place", ["google", "vertex"])
def test_googles_own_client_gets_vectors(place: str, texts: list[Any], request: pytest.FixtureRequest) -> None:
    client: genai.Client = request.getfixturevalue(place)
    for dimensions in (None, 64):
        found = client.models.embed_content(
            model=MODEL, contents=texts, config={"task_type": "CLUSTERING", "output_dimensionality": dimensions}
        )
        wanted = [unit_vector(text, dimensions or 3072) for text in texts]
        assert [one.values for one in found.embeddings or ()] == wanted


def test_the_newer_model_embeds_pictures(google: genai.Client) -> None:
    picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    found = google.models.embed_content(model="gemini-embedding-2", contents=["A chart.", picture])
    (one,) = found.embeddings or ()
    assert one.values == unit_vector(f"A chart.\n{PNG}", 3072)
    assert found.usage_metadata and found.usage_metadata.prompt_token_count == 2 + 258
    with pytest.raises(errors.ClientError, match="embeds at most 0 images"):
        google.models.embed_content(model=MODEL, contents=[types.Content(parts=[picture])])


@pytest.mark.parametrize(
    ("contents", "config", "words"),
    [
        (["a"] * 101, {}, "at most 100 requests can be in one batch"),
        (["a"], {"task_type": "SAILING"}, r"Invalid value at .*requests\[0\].task_type.* \(TYPE_ENUM\)"),
        (["a"], {"output_dimensionality": 4000}, "output_dimensionality must be between 1 and 3072"),
        ([""], {}, "The text content is empty"),
    ],
)
def test_the_lab_refuses_what_google_refuses(google: genai.Client, contents: Any, config: Any, words: str) -> None:
    with pytest.raises(errors.ClientError, match=words):
        google.models.embed_content(model=MODEL, contents=contents, config=config)


def test_a_chat_model_does_not_embed(google: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match=r"404 NOT_FOUND.*is not supported for batchEmbedContents"):
        google.models.embed_content(model="gemini-2.5-pro", contents=["a"])


def test_vertex_predicts_within_its_bounds(quiet_lab_url: str) -> None:
    """Google's client calls ``predict`` for the models before Gemini alone, which the catalogue does not have."""
    path = "v1/projects/harbour/locations/europe-west1/publishers/google/models"
    headers = {"authorization": f"Bearer {granted_token(quiet_lab_url)}"}

    def predict(instances: list[dict[str, str]], **sent: Any) -> httpx2.Response:
        body = {"instances": instances, "parameters": {"outputDimensionality": 8}}
        return httpx2.post(f"{quiet_lab_url}/google-vertex/{path}/{MODEL}:predict", json=body, headers=headers | sent)

    (found,) = predict([{"content": "one", "task_type": "CLUSTERING"}]).json()["predictions"]
    statistics = {"token_count": 1, "truncated": False}
    assert found == {"embeddings": {"values": unit_vector("one", 8), "statistics": statistics}}
    many, long = predict([{"content": "a"}] * 251), predict([{"content": "tide " * 20_000}])
    assert many.status_code == long.status_code == 400
    assert "it included too many instances" in many.text and "the input token count is 25000" in long.text
    assert predict([{"content": "one"}], authorization="Bearer none").status_code == 401
