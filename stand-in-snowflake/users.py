"""Who may log in, and how: by password, key pair or token."""

import base64
import hashlib
import os

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from errors import Refused

USER = os.environ["TRANSLOAD_TEST_SNOWFLAKE_USER"].upper()
PASSWORD = os.environ["TRANSLOAD_TEST_SNOWFLAKE_PASSWORD"]
TOKEN = os.environ["TRANSLOAD_TEST_SNOWFLAKE_TOKEN"]
LONGEST_TOKEN = 60 * 60
# One that was good once.
OLD_TOKEN = TOKEN + "-of-yesterday"

_public_keys = {}


def set_public_key(user, key):
    """ALTER USER … SET RSA_PUBLIC_KEY: the base64 without the lines of PEM."""
    pem = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n"
    _public_keys[user.upper()] = load_pem_public_key(pem.encode())


def check(data):
    """Refuses a login that is not one of ours. Returns the user."""
    user = (data.get("LOGIN_NAME") or "").upper()
    way = data.get("AUTHENTICATOR", "SNOWFLAKE").upper()
    if way == "SNOWFLAKE":
        if (user, data.get("PASSWORD")) != (USER, PASSWORD):
            raise Refused("390100", "08001", "Incorrect username or password was specified.")
        return user
    if way == "SNOWFLAKE_JWT":
        return _check_key_pair(data.get("ACCOUNT_NAME", ""), user, data.get("TOKEN", ""))
    if way in ("OAUTH", "PROGRAMMATIC_ACCESS_TOKEN"):
        if data.get("TOKEN") == OLD_TOKEN:
            raise Refused("390318", "08001", "OAuth access token expired.")
        if way == "PROGRAMMATIC_ACCESS_TOKEN" and user != USER or data.get("TOKEN") != TOKEN:
            raise Refused("390303", "08001", "Invalid OAuth access token.")
        return USER
    raise Refused("390190", "08001", f"The authenticator {way} is not known.")


def _check_key_pair(account, user, token):
    invalid = Refused("390144", "08001", "JWT token is invalid.")
    key = _public_keys.get(user)
    if key is None:
        raise invalid
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
    subject = f"{account.upper()}.{user}"
    try:
        claims = jwt.decode(token, key, algorithms=["RS256"], issuer=f"{subject}.SHA256:{fingerprint}")
    except jwt.PyJWTError:
        raise invalid from None
    if claims.get("sub") != subject or claims["exp"] - claims["iat"] > LONGEST_TOKEN:
        raise invalid
    return user
