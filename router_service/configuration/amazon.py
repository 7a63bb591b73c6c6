"""Read what the file says of an account of Amazon Web Services: its region, its address and what signs its requests.

Sources: Amazon Bedrock endpoints and quotas; AWS SDKs and tools reference: environment variables.
"""

from __future__ import annotations

import os

from router_service.configuration.tables import AwsTable, ProviderTable
from router_service.providers.sigv4 import AwsAccount, AwsKeys, region_in_address


def region_of(table: ProviderTable) -> str | None:
    """Return the region for which the requests of a provider are signed, ``None`` where nothing names one."""
    aws = table.aws or AwsTable()
    return aws.named_region or (region_in_address(table.base_url) if table.base_url else None)


def aws_account_of(table: ProviderTable) -> AwsAccount | None:
    """Return what signs the requests of a provider, ``None`` where it has no keys and may not ask for any."""
    aws, region = table.aws, region_of(table)
    if aws is None or region is None:
        return None
    secrets = (
        aws.access_key_id.get_secret_value() if aws.access_key_id else _value(aws.access_key_id_env),
        aws.secret_access_key.get_secret_value() if aws.secret_access_key else _value(aws.secret_access_key_env),
        aws.session_token.get_secret_value() if aws.session_token else _session_token(aws),
    )
    access_key_id, secret_access_key, session_token = (text.strip() for text in secrets)
    if access_key_id and secret_access_key:
        return AwsAccount(region, AwsKeys(access_key_id, secret_access_key, session_token))
    return AwsAccount(region, metadata_url=aws.metadata_url) if aws.instance_metadata else None


def _session_token(aws: AwsTable) -> str:
    """Return the token of the environment, which belongs to the keys of the environment alone."""
    return "" if aws.access_key_id else _value(aws.session_token_env)


def _value(name: str) -> str:
    return os.environ.get(name, "")
