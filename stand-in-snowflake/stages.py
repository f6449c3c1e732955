"""Stages: names for places in a bucket, and what lets one in there."""

import functools
import os
import re
from dataclasses import dataclass
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import names
from errors import Refused, does_not_exist

ENDPOINT = os.environ["TRANSLOAD_TEST_S3_ENDPOINT"]
BUCKET = os.environ["TRANSLOAD_TEST_S3_BUCKET"]
# What an integration and the account's own stages read with.
OWN_KEYS = (os.environ["TRANSLOAD_TEST_S3_KEY"], os.environ["TRANSLOAD_TEST_S3_SECRET"], None)
INTEGRATION = "TRANSLOAD_TEST"

_stages = {}


@dataclass(frozen=True)
class Place:
    """A folder of a bucket, and the keys to it."""

    bucket: str
    prefix: str
    keys: tuple

    def at(self, path):
        return Place(self.bucket, self.prefix + path, self.keys)

    def client(self):
        return _client(*self.keys)


# Making one takes longer than most statements.
@functools.lru_cache(maxsize=64)
def _client(key, secret, token):
    return boto3.session.Session().client(
        "s3",
        endpoint_url=ENDPOINT,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def of_url(url, keys):
    parts = urlparse(url)
    if parts.scheme != "s3":
        raise Refused("001003", "42000", f"SQL compilation error:\ninvalid URL prefix found in: '{url}'")
    return Place(parts.netloc, parts.path.lstrip("/"), keys)


def keys_of(sql):
    """The keys in CREDENTIALS = (…), or those of an integration; None where there are neither."""
    if match := re.search(r"(?is)\bCREDENTIALS\s*=\s*\((.*?'\s*)\)", sql):
        given = {name.upper(): text.replace("\\\\", "\\").replace("''", "'")
                 for name, text in re.findall(r"(\w+)\s*=\s*'((?:[^'\\]|\\.|'')*)'", match[1])}
        return given.get("AWS_KEY_ID"), given.get("AWS_SECRET_KEY"), given.get("AWS_TOKEN")
    if match := re.search(r"(?i)\bSTORAGE_INTEGRATION\s*=\s*(\w+)", sql):
        if match[1].upper() != INTEGRATION:
            raise does_not_exist(f"Integration '{match[1]}'")
        return OWN_KEYS
    return None


def create(sql):
    match = re.match(rf"(?is)CREATE\s+(OR\s+REPLACE\s+)?STAGE\s+(IF\s+NOT\s+EXISTS\s+)?({names.NAME})(.*)", sql)
    name, options = names.read(match[3]), match[4]
    if name in _stages and match[2]:
        return
    if url := re.search(r"(?i)\bURL\s*=\s*'([^']*)'", options):
        keys = keys_of(options)
        _stages[name] = (of_url(url[1].rstrip("/") + "/", keys), False)
    else:
        if "SNOWFLAKE_SSE" not in options.upper():
            raise Refused("000002", "0A000", "Unsupported feature 'encryption by the driver'.")
        folder = re.sub(r"[^A-Za-z0-9.]", "_", names.shown(name))
        _stages[name] = (Place(BUCKET, f"stand-in-snowflake/{folder}/", OWN_KEYS), True)


def drop_schema(schema):
    for name in [name for name in _stages if name.startswith(names.within(schema))]:
        del _stages[name]


def resolve(location):
    """The place that '@stage/path' names, and whether it is the account's own."""
    match = re.match(rf"@({names.NAME})/?(.*)", location)
    if not match:
        raise Refused("001003", "42000", f"SQL compilation error:\ninvalid stage '{location}'")
    name = names.read(match[1])
    if name not in _stages:
        raise does_not_exist(f"Stage '{names.shown(name)}'")
    place, internal = _stages[name]
    return place.at(match[2]), internal


def put(sql):
    """What the answer to a PUT tells a driver: where the bucket is, and keys for it."""
    match = re.match(r"(?is)PUT\s+'((?:[^'\\]|\\.|'')*)'\s+'((?:[^'\\]|\\.|'')*)'(.*)", sql)
    place, internal = resolve(match[2].replace("''", "'"))
    if not internal:
        raise Refused("001013", "42601", "SQL compilation error:\ncannot PUT to an external stage")
    key, secret, _ = place.keys
    return {
        "command": "UPLOAD",
        "src_locations": [match[1].removeprefix("file://")],
        "autoCompress": False,
        "overwrite": "OVERWRITE = TRUE" in match[3],
        "encryptionMaterial": None,
        "stageInfo": {
            "locationType": "S3",
            "location": f"{place.bucket}/{place.prefix}",
            "path": match[2],
            "region": "us-east-1",
            "endPoint": ENDPOINT,
            "isClientSideEncrypted": False,
            "creds": {"AWS_KEY_ID": key, "AWS_SECRET_KEY": secret, "AWS_TOKEN": None},
        },
    }


def list_keys(place):
    pages = place.client().get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def remove(sql):
    place, _ = resolve(re.match(r"(?is)REMOVE\s+'((?:[^']|'')*)'", sql)[1].replace("''", "'"))
    keys = list_keys(place)
    for key in keys:
        place.client().delete_object(Bucket=place.bucket, Key=key)
    return keys


def read(place, key):
    """The bytes of an object and the tag of its content."""
    try:
        answer = place.client().get_object(Bucket=place.bucket, Key=key)
        return answer["Body"].read(), answer["ETag"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("NoSuchKey", "404"):
            raise Refused("091016", "22000", f"Remote file '{key}' was not found.") from None
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        cause = f"{error.response['Error'].get('Message', '')} (Status Code: {status}; Error Code: {code})"
        raise Refused("100016", "22000", f"Failure using stage area. Cause: [{cause}]") from None
    except BotoCoreError as error:
        raise Refused("100016", "22000", f"Failure using stage area. Cause: [{error}]") from None
