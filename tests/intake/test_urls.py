"""What URLs of clients say, and that odd ones are refused before anything is connected to or decoded."""

import pytest

from vl2.intake import urls
from vl2.intake.errors import IntakeError
from vl2.intake.urls import MAX_URL, Place, read_data_url, read_url


@pytest.mark.parametrize(
    ("url", "place", "header"),
    [("http://Example.com", Place(False, "example.com", 80, "/"), "example.com"),
     ("https://example.com./a?x=1#y", Place(True, "example.com", 443, "/a?x=1"), "example.com"),
     ("HTTPS://example.com:8443/ü?q=é%20", Place(True, "example.com", 8443, "/%C3%BC?q=%C3%A9%20"), "example.com:8443"),
     ("http://[2606:4700::1]:80/", Place(False, "2606:4700::1", 80, "/"), "[2606:4700::1]"),
     ("http://bücher.example/", Place(False, "xn--bcher-kva.example", 80, "/"), "xn--bcher-kva.example"),
     ("http://①②⑦.0.0.1/", Place(False, "127.0.0.1", 80, "/"), "127.0.0.1")],
)  # fmt: skip
def test_read_url(url, place, header):
    assert read_url(url, "image_url") == place
    assert place.host_header == header


@pytest.mark.parametrize(
    "url",
    ["", "example.com/a.png", "/etc/passwd", "file:///etc/passwd", "ftp://example.com/", "gopher://example.com/_x",
     "http://", "http:///a", "http://[::1", "http://[fe80::1%25eth0]/", "http://a:b/", "http://a:99999/", "http://-a/",
     "http://user@example.com/", "http://user:word@example.com/", "http://good.example\\@evil.example/",
     "http://example.com/\r\nX: y", "http://exam\tple.com/", " http://example.com/", "http://example.com/a b",
     "http://ex%61mple.com/", "http://exa$mple.com/", "http://" + "a" * 300 + "/", "http://a/" + "b" * MAX_URL,
     "http://" + "ü" * 80 + "/", "http://a..ü/"],
)  # fmt: skip
def test_bad_urls(url):
    with pytest.raises(IntakeError, match=r"^image_url: ") as caught:
        read_url(url, "image_url")
    assert caught.value.code == "bad_url"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["data:image/png;base64,aGVsbG8=", "data:;base64,aGVsbG8", "DATA:image/png;BASE64,aGVs%62G8%3D", "data:,hello",
     "data:text/plain,h%65llo", "data:image/png;base64,aGVs\nbG8=", "data:image/png;charset=x;base64,aGVsbG8="],
)  # fmt: skip
def test_data_urls(url):
    assert read_data_url(url, 5, "image_url") == b"hello"
    with pytest.raises(IntakeError, match="more than 4 bytes") as caught:
        read_data_url(url, 4, "image_url")
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("url", ["data:", "data:image/png;base64", "data:;base64,!!!!", "data:;base64,a", "data:,ü"])
def test_bad_data_urls(url):
    with pytest.raises(IntakeError, match="image_url") as caught:
        read_data_url(url, 100, "image_url")
    assert caught.value.code == "bad_url"


def test_size_is_known_before_decoding(monkeypatch):
    monkeypatch.setattr(urls, "unquote_to_bytes", None)
    for text in ("data:;base64," + "A" * 10_000, "data:," + "%41" * 10_000):
        with pytest.raises(IntakeError, match="more than 1000 bytes"):
            read_data_url(text, 1000, "image_url")
