"""Describe the market: models, endpoints, providers and their prices."""

from data.catalogue.load import load_catalogue
from data.catalogue.types import Catalogue, DataPolicy, Endpoint, Model, Price, Provider, WireFormat

__all__ = ["Catalogue", "DataPolicy", "Endpoint", "Model", "Price", "Provider", "WireFormat", "load_catalogue"]
