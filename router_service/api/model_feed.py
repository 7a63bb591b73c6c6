"""Write a list of models as an RSS 2.0 feed (https://www.rssboard.org/rss-specification)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from xml.etree import ElementTree

from data.catalogue.types import Model

MEDIA_TYPE = "application/rss+xml"
# Characters that XML 1.0 does not allow.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def model_feed(models: Iterable[Model], base_url: str) -> bytes:
    """Return the feed of ``models``, whose items link to their endpoints below ``base_url``."""
    feed = ElementTree.Element("rss", version="2.0")
    channel = ElementTree.SubElement(feed, "channel")
    _add(channel, "title", "Portolan models")
    _add(channel, "link", f"{base_url}/api/v1/models")
    _add(channel, "description", "Models that this router serves")
    for model in models:
        item = ElementTree.SubElement(channel, "item")
        _add(item, "title", model.name)
        _add(item, "link", f"{base_url}/api/v1/models/{model.id}/endpoints")
        _add(item, "description", model.description)
        _add(item, "pubDate", formatdate(model.created, usegmt=True))
        _add(item, "guid", model.id).set("isPermaLink", "false")
    content: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return content


def _add(parent: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    element.text = _FORBIDDEN.sub("", text)
    return element
