"""Where a server may send a download: what `files.download` follows, and with which headers."""

import http.client
import urllib.parse
import urllib.request
from typing import IO, Any

from bioq.errors import BioqError
from bioq.files.web_address import require_web_address, without_query


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to http or https, and from https to https only; to another server without
    the headers that the caller gave."""

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (ValueError, BioqError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        is_encrypted = req.full_url.startswith("https://")
        if not newurl.startswith("https://" if is_encrypted else ("http://", "https://")):
            raise BioqError(
                f"{without_query(req.full_url)}: the server redirects to {without_query(newurl)}, "
                f"which BioQ does not read ({'https' if is_encrypted else 'http or https'} only); "
                "check the address"
            )
        require_web_address(newurl)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _server(newurl) != _server(req.full_url):
            for name in {*request.headers} - {"User-agent", "Range", "If-range"}:
                request.remove_header(name)
        return request


def _server(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()
