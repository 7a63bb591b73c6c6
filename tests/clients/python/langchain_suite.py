"""Run the standard integration suite of LangChain on the model that the variables name."""

from __future__ import annotations

import os
from base64 import b64decode
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests, chat_models

DOWNLOADS = {name: b64decode(os.environ[name.upper()]) for name in ("png", "pdf", "wav")}


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the files that the suite downloads from the Internet; the model is called as ever."""

    def get(url: str, **_options: Any) -> SimpleNamespace:
        return SimpleNamespace(content=DOWNLOADS[url.rsplit(".", 1)[1]])

    monkeypatch.setattr(chat_models, "httpx", SimpleNamespace(get=get))


class TestPortolan(ChatModelIntegrationTests):
    """Try ``ChatOpenAI`` with everything that the model can do."""

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": os.environ["PORTOLAN_MODEL"],
            "base_url": f"{os.environ['PORTOLAN_URL']}/api/v1",
            "api_key": os.environ["PORTOLAN_KEY"],
            "max_retries": 0,
            "stream_usage": True,
        }

    @property
    def model_override_value(self) -> str:
        return os.environ["PORTOLAN_OTHER_MODEL"]

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return os.environ["PORTOLAN_HEARS"] == "yes"

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True
