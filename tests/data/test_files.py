import hashlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gossipnet.data.files import Remote, cache_folder, folders, locate, own_file
from gossipnet.errors import BadInput

CONTENT = b"some data" * 1000
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def test_the_users_folder_comes_before_the_cache(data_folder: Path) -> None:
    assert folders() == [data_folder, data_folder / "cache" / "gossipnet"]
    for folder in reversed(folders()):
        (folder / "set").mkdir(parents=True)
        (folder / "set" / "b").touch()
        assert locate("set", ["a", "b"]) == folder / "set" / "b"


def test_the_first_name_comes_first(data_folder: Path) -> None:
    (data_folder / "set").mkdir()
    (data_folder / "set" / "b").touch()
    (data_folder / "set" / "a").touch()
    assert locate("set", ["a", "b"]).name == "a"


def test_without_settings_the_cache_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOSSIPNET_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders() == [cache_folder()] == [tmp_path / ".cache" / "gossipnet"]


def test_a_missing_file_is_asked_for_by_name_and_place(data_folder: Path) -> None:
    with pytest.raises(BadInput, match=r"no file 'a' in .*: put it there, or set GOSSIPNET_DATA") as caught:
        locate("set", ["a", "b"])
    assert str(data_folder / "set") in str(caught.value)


def test_without_the_extra_a_missing_file_names_it(data_folder: Path) -> None:
    with pytest.raises(BadInput, match=r"put it there from http://x/a, .* pip install 'gossipnet\[data\]'"):
        locate("set", ["a"], Remote("http://x/a", CHECKSUM))


def test_own_files_are_found_by_path_or_below_the_data_folders(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = data_folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (data_folder / "a.txt").touch()
    assert own_file("a.txt") == data_folder / "a.txt"
    (here / "a.txt").touch()
    assert own_file("a.txt") == Path("a.txt")
    assert own_file(str(here / "a.txt")) == here / "a.txt"
    with pytest.raises(BadInput, match=r"no file 'b\.txt'"):
        own_file("b.txt")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a web site, on this machine, that has one file."""
    monkeypatch.delitem(sys.modules, "pooch")
    pytest.importorskip("pooch")
    pytest.importorskip("tqdm")
    (data_folder / "site").mkdir()
    (data_folder / "site" / "file").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=data_folder / "site")) as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()
        thread.join()


def test_a_file_is_downloaded_once_into_the_cache(site: str, data_folder: Path) -> None:
    threads = threading.active_count()
    file = locate("set", ["a", "b"], Remote(f"{site}/file", CHECKSUM))
    assert file == cache_folder() / "set" / "a"
    assert file.read_bytes() == CONTENT
    assert locate("set", ["a", "b"], Remote("http://127.0.0.1:1/", CHECKSUM)) == file
    assert threading.active_count() <= threads + 1  # the site's own thread for the request, maybe


@pytest.mark.parametrize(
    ("address", "checksum"),
    [("/file", "sha256:" + "0" * 64), ("/none", CHECKSUM), (":1/file", CHECKSUM)],
    ids=["wrong checksum", "not found", "no connection"],
)
def test_a_failed_download_leaves_nothing_and_says_what_to_do(site: str, address: str, checksum: str) -> None:
    url = f"http://127.0.0.1{address}" if address.startswith(":") else site + address
    with pytest.raises(BadInput, match=r"cannot be had from http.*: put it there") as caught:
        locate("set", ["a"], Remote(url, checksum))
    assert "\n" not in str(caught.value)
    assert not (cache_folder() / "set" / "a").exists()
