"""Talking to one repository of a registry: addresses, logins, tokens, refusals.

A registry that lets nobody in without a token says where to get one; it is asked for with the
user's password, if there is one, and without otherwise (docker.io, ghcr.io and quay.io want a
token also for what everybody may read). Tokens end after minutes, so that a new one may be needed
in the middle of an image.

Names and passwords are looked for where container programs keep them, in this order:
``APPTAINER_DOCKER_USERNAME`` and ``APPTAINER_DOCKER_PASSWORD`` (also ``SINGULARITY_...``), which
are for any registry that asks; then the files of ``podman login`` and ``skopeo login``
(``$REGISTRY_AUTH_FILE``, ``$XDG_RUNTIME_DIR/containers/auth.json``,
``~/.config/containers/auth.json``), ``docker login`` (``~/.docker/config.json`` or
``$DOCKER_CONFIG``), and ``apptainer registry login`` (``~/.apptainer/docker-config.json``).
The form of these files: containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tykky import fetch
from tykky.errors import Exit, StepError, TykkyError
from tykky.files import parse_json, read_json

if TYPE_CHECKING:
    import requests

#: The names under which Docker Hub is kept; the first is that of its registry.
_HUB = ("registry-1.docker.io", "docker.io", "index.docker.io")
#: No manifest is larger; what claims to be is no manifest.
_MOST = 8 << 20
#: One way to log in that a registry offers, and its parameters: RFC 9110, 11.6.1.
_PARAMETER = r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))'
_CHALLENGE = re.compile(rf"(\w+)\s+((?:{_PARAMETER}(?:\s*,\s*)?)+)")


@dataclass(frozen=True)
class Credentials:
    """A name and a password; ``source`` is the file or variable that they are from."""

    user: str
    password: str = field(repr=False)
    source: str

    @property
    def header(self) -> dict[str, str]:
        """The header of a request that brings them along."""
        text = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {text}"}


class Session:
    """One repository of a registry, with the token that it asks for.

    ``headers`` are what requests have to bring along, as far as it is known by now. Errors speak
    of ``what`` is wanted, and have the ``code`` where it is refused.
    """

    def __init__(
        self, host: str, repository: str, patience: int, what: str = "image", code: Exit = Exit.BASE
    ) -> None:
        scheme = "http" if _is_local(host) else "https"
        self.host = host
        self.repository = repository
        self.patience = patience
        self.what, self.code = what, code
        self.address = f"{scheme}://{host}/v2/{repository}"
        self.headers: Mapping[str, str] = {}
        self.known: Credentials | None = None

    def manifest(self, name: str, types: Sequence[str]) -> bytes:
        """The text of a manifest by tag or digest, verified. Raises ``StepError``."""
        url = f"{self.address}/manifests/{name}"
        accept = {"Accept": ", ".join(types)}
        answer, text = self._get(url, {**accept, **self.headers})
        if answer.status_code == 401 and not self.headers:
            self._log_in(answer, url)
            answer, text = self._get(url, {**accept, **self.headers})
        if answer.status_code != 200:
            raise self.refused(answer, url)
        found = hashlib.sha256(text).hexdigest()
        if name.startswith("sha256:") and name != f"sha256:{found}":
            raise StepError(
                f"{url} is not what was asked for: its sha256 is {found} instead of {name[7:]}",
                remedy="the registry is damaged or not to be trusted; ask who runs it",
                code=Exit.DAMAGED,
            )
        return text

    def blob(self, digest: str) -> str:
        """The address of a part of an image."""
        return f"{self.address}/blobs/{digest}"

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        data: bytes | None = None,
        query: Mapping[str, str | list[str]] | None = None,
    ) -> tuple[requests.Response, bytes]:
        """An answer, whatever it is, with a new token where that is wanted, and its text.

        Raises ``StepError`` if there is none.
        """
        for again in (False, True):
            wanted = {**(headers or {}), **self.headers}
            answer, text = self._get(url, wanted, query, method=method, data=data)
            # Tokens end, and one that lets read may not let write.
            if answer.status_code != 401 or again or "WWW-Authenticate" not in answer.headers:
                break
            self._log_in(answer, url)
        return answer, text

    def renew(self, url: str) -> Mapping[str, str]:
        """The headers for an address that was refused with those known. Raises ``StepError``."""
        answer, _ = self._get(url, {}, most=0)
        self.headers = {}
        if answer.status_code == 401:
            self._log_in(answer, url)
        elif answer.status_code >= 400:
            raise self.refused(answer, url)
        return self.headers

    def _log_in(self, answer: requests.Response, url: str) -> None:
        """Learn the header that a registry's answer asks for: a password, or a token for one."""
        if urlsplit(answer.url).hostname != urlsplit(url).hostname:
            raise self.refused(answer, answer.url)  # who was led elsewhere tells no password there
        challenges = _challenges(answer.headers.get("WWW-Authenticate", ""))
        self.known = credentials(self.host, self.repository)
        if (words := challenges.get("bearer")) and "realm" in words:
            self.headers = self._token(words)
        elif "basic" in challenges and self.known:
            self.headers = self.known.header
        else:
            raise self.refused(answer, url)

    def _token(self, words: Mapping[str, str]) -> dict[str, str]:
        realm = words["realm"]
        scope = words.get("scope") or f"repository:{self.repository}:pull"
        query: dict[str, str | list[str]] = {"scope": scope.split(" ")}  # to mount there are two
        query |= {"service": words["service"]} if words.get("service") else {}
        # Who has no password, or would have to send it in the clear, reads what anybody may.
        safe = realm.startswith("https://") or _is_local(urlsplit(realm).netloc)
        given, text = self._get(realm, self.known.header if self.known and safe else {}, query)
        if given.status_code != 200:
            raise self.refused(given, realm)
        try:
            values = parse_json(text)
            token = values.get("token") or values["access_token"]
        except (ValueError, KeyError, AttributeError):
            token = ""
        if not token:
            raise StepError(
                f"{realm} gives no token for the registry {self.host}",
                remedy="is there a proxy or login page in between? Check the network",
                code=Exit.NETWORK,
            )
        return {"Authorization": f"Bearer {token}"}

    def _get(
        self,
        url: str,
        headers: Mapping[str, str],
        query: Mapping[str, str | list[str]] | None = None,
        most: int = _MOST,
        method: str = "GET",
        data: bytes | None = None,
    ) -> tuple[requests.Response, bytes]:
        """An answer, and as much of what it holds as may be asked for."""
        import requests
        from urllib3.exceptions import HTTPError

        timeout = (fetch.CONNECT, self.patience)
        try:
            with requests.request(
                method,
                url,
                headers=headers,
                params=query,
                data=data,
                timeout=timeout,
                stream=True,
                auth=fetch.as_it_is,
                verify=fetch.certificates(),
            ) as answer:
                return answer, answer.raw.read(most, decode_content=True)
        except (requests.RequestException, HTTPError) as error:
            why = fetch.reason(error, self.patience)
            if self.what != "image":
                raise StepError(
                    f"the registry {self.host} cannot be reached: {why}",
                    remedy="check its name ('tykky config why registries'), the network, proxies",
                    code=Exit.NETWORK,
                ) from error
            raise fetch.unreachable(
                url, why, silent=fetch.is_silence(error), mirrors="registry_mirrors"
            ) from error

    def refused(self, answer: requests.Response, url: str) -> TykkyError:
        """The error for an answer that is not what was asked for."""
        status = answer.status_code
        cause = f"the registry does not give {url}: it answers {status} {answer.reason}"
        remedy, code = f"check the name and the tag of the {self.what}", self.code
        if status not in (401, 403, 404):
            remedy, code = "try again later, or ask who runs the registry", Exit.NETWORK
        elif status != 404 and self.known:
            cause += f" to '{self.known.user}' of {self.known.source}"
            remedy = (
                f"check the name of the {self.what} and whether that user may do that; as "
                f"somebody else, or with a new password: podman login {self.host}"
            )
        elif status != 404:
            remedy = (
                f"the {self.what} is not public, or there is none of that name; if you may use "
                f"it: podman login {self.host} (docker, skopeo or apptainer do, too)"
            )
            if useless := _useless(self.host):
                cause += f", and {useless}"
        return StepError(cause, remedy=remedy, code=code)


def _challenges(text: str) -> dict[str, dict[str, str]]:
    """The ways to log in that a header ``WWW-Authenticate`` offers, with their parameters."""
    return {
        found[1].lower(): {
            name.lower(): quoted or plain
            for name, quoted, plain in re.findall(_PARAMETER, found[2])
        }
        for found in _CHALLENGE.finditer(text)
    }


def _is_local(host: str) -> bool:
    """Whether a registry is on this machine, where plain http is usual and harmless."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


# -- names and passwords ------------------------------------------------------------------


def credentials(host: str, repository: str) -> Credentials | None:
    """What a user has for a repository of a registry, or ``None``."""
    for prefix in ("APPTAINER", "SINGULARITY"):
        user = os.environ.get(f"{prefix}_DOCKER_USERNAME")
        password = os.environ.get(f"{prefix}_DOCKER_PASSWORD")
        if user and password:
            return Credentials(user, password, f"${prefix}_DOCKER_USERNAME")
    for file in _files():
        known = _read(file)
        for key in _keys(host, repository):
            if (entry := known.get(key)) and (found := _decoded(entry, file)):
                return found
    return None


def _files() -> Iterator[Path]:
    environ = os.environ
    home = Path(environ.get("HOME") or "/")
    if given := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(given)
    if session := environ.get("XDG_RUNTIME_DIR"):
        yield Path(session, "containers/auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")
    yield Path(environ.get("APPTAINER_CONFIGDIR") or home / ".apptainer", "docker-config.json")


def _read(file: Path) -> dict[str, Any]:
    """The entries of a file by registry or by repository; none if it is missing or no such file.

    Whoever has a damaged one is told by the registry that a name is wanted.
    """
    try:
        entries = read_json(file)["auths"]
        return {_bare(name): entry for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _useless(host: str) -> str:
    """Why a file that may have a password for a registry is of no use; empty if none is there."""
    for file in _files():
        try:
            settings = read_json(file)
            helpers = {**settings.get("credHelpers", {}), "": settings.get("credsStore")}
            if helpers.get(host) or helpers[""]:
                return f"{file} leaves passwords to a helper program, which is not asked"
            if any(_bare(name) == host for name in settings.get("auths", {})):
                return f"what {file} has for it cannot be understood"
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, AttributeError):
            return f"{file} cannot be read or understood"
    return ""


def _bare(name: str) -> str:
    """``index.docker.io`` for ``https://index.docker.io/v1/``: Docker writes addresses."""
    address = name.partition("://")
    return address[2].partition("/")[0] if address[1] else name.rstrip("/")


def _keys(host: str, repository: str) -> Iterator[str]:
    """Under which names there may be something, the narrowest first."""
    for name in _HUB if host == _HUB[0] else (host,):
        parts = repository.split("/")
        while parts:
            yield "/".join((name, *parts))
            parts.pop()
        yield name


def _decoded(entry: Any, file: Path) -> Credentials | None:
    try:
        text = base64.b64decode(entry["auth"], validate=True).decode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None  # kept by a helper program, or damaged
    user, colon, password = text.partition(":")
    return Credentials(user, password.rstrip("\0"), str(file)) if colon and user else None
