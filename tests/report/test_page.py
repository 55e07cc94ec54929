import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gossipnet.errors import BadInput
from gossipnet.report import Summary, comparison, look, write_page
from gossipnet.report.page import page
from gossipnet.report.run import load_run

MakeRun = Callable[..., Path]
EVIL = "</title></style></script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x1b[31m"


class Tags(HTMLParser):
    """All tags with their attributes, and whether each is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def written(tmp_path: Path, *folders: Path) -> str:
    out = tmp_path / "deep" / "page.html"
    write_page(list(folders), out)
    return out.read_text(encoding="utf-8")


def test_all_tags_are_closed(make_run: MakeRun, tmp_path: Path) -> None:
    assert Tags(written(tmp_path, make_run("a", merge="average"), make_run("b"))).open == []


def test_nothing_is_loaded_from_anywhere(make_run: MakeRun, tmp_path: Path) -> None:
    text = written(tmp_path, make_run())
    for tag, attributes in Tags(text).found:
        assert "src" not in attributes
        assert tag not in ("iframe", "object", "embed", "base", "form")
        if "href" in attributes:
            assert re.fullmatch(r"#\w+|data:,", attributes["href"] or "")
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg|http-equiv", "", text)
    assert "url(" not in text
    assert "@import" not in text


def test_the_same_runs_give_the_same_page(make_run: MakeRun) -> None:
    run = load_run(make_run())
    assert page([run]) == page([run])


def test_hostile_text_stays_text(make_run: MakeRun, tmp_path: Path) -> None:
    import json

    records = [
        {"event": "failed", "node": 0, "round": 1, "time_s": 1, "error": EVIL},
        {"event": "refused", "node": 0, "round": 1, "reason": EVIL, "count": 1},
        {"event": "consensus", "node": None, "round": 1, "variance_ratios": {EVIL: 0.1, "b": 0.2}},
        {"event": "evaluated", "node": 0, "round": 1, "accuracy": 0.5, EVIL: 3.0},
    ]
    folder = make_run("<img src=x onerror=alert(3)>", merge="average", records=records, nodes=2)
    (folder / "config.toml").write_text(
        f"[merge]\nrule = {json.dumps(EVIL)}\n[{json.dumps(EVIL)}]\n{json.dumps(EVIL)} = 1\n"
    )
    (folder / "topology.json").write_text(json.dumps({"name": EVIL, "n": 2, "labels": [EVIL, EVIL], "edges": [[0, 1]]}))
    (folder / "partition.json").write_text(json.dumps({"classes": [EVIL], "counts": [[1], [2]]}))
    summary = Summary(
        nodes=2,
        rounds=1,
        world=EVIL,
        topology=EVIL,
        merge=EVIL,
        messages_refused={EVIL: 1},
        digests={EVIL: EVIL},
        left=(0,),
    )
    (folder / "summary.json").write_text(summary.to_json())
    plain = make_run("plain")
    for text in (written(tmp_path, folder), written(tmp_path, folder, plain), written(tmp_path, plain, folder)):
        tags = Tags(text)
        assert tags.open == []
        assert [t for t, _ in tags.found].count("script") == 1
        assert text.count("<script") == text.count("</script") == text.count("<style") == 1
        assert not {"img", "iframe"} & {t for t, _ in tags.found}
        assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
        assert not set("\x1b\u202e") & set(text)
        assert "alert(1)" in text


def test_only_the_page_s_own_script_may_run(make_run: MakeRun, tmp_path: Path) -> None:
    import base64
    import hashlib

    text = written(tmp_path, make_run())
    policy = next(a["content"] for t, a in Tags(text).found if a.get("http-equiv"))
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    assert script == look.SCRIPT
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in (policy or "")
    assert "script-src 'sha256-" in (policy or "")


@pytest.mark.parametrize("parts", ["metrics", "summary", "config metrics", "metrics topology partition"])
def test_partial_runs_have_a_page(make_run: MakeRun, tmp_path: Path, parts: str) -> None:
    text = written(tmp_path, make_run(parts=parts))
    assert "At a glance" in text
    assert ("Still running, or cut short" in text) == ("summary" not in parts)


def test_a_run_with_nothing_but_a_failure_has_a_page(make_run: MakeRun, tmp_path: Path) -> None:
    records = [{"event": "failed", "node": 2, "round": 0, "time_s": 0.1, "error": "no such device"}]
    assert "no such device" in written(tmp_path, make_run(parts="config metrics", records=records))


def test_one_node_and_one_round(make_run: MakeRun, tmp_path: Path) -> None:
    text = written(tmp_path, make_run(nodes=1, rounds=1))
    assert Tags(text).open == []
    assert "nan" not in re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL).lower()


def test_a_page_about_a_thousand_nodes_is_small(make_run: MakeRun, tmp_path: Path) -> None:
    text = written(tmp_path, make_run(nodes=1000, rounds=8, every=4))
    assert len(text.encode()) < 1_000_000
    assert text.count("<circle") == 1000
    assert text.count('class="mean"') < 40


def test_what_cannot_be_shown_is_bad_input_in_one_line(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (tmp_path / "file").touch()
    for folders, out in (
        ([], tmp_path / "a"),
        ([tmp_path / "no"], tmp_path / "a"),
        ([run], tmp_path),
        ([run], tmp_path / "file" / "a"),
    ):
        with pytest.raises(BadInput) as caught:
            write_page(folders, out)
        assert "\n" not in str(caught.value)


def test_runs_are_compared_in_text_by_what_sets_them_apart(make_run: MakeRun) -> None:
    lines = comparison([make_run("a", merge="average", final=0.5), make_run("b")]).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["merge=average", "merge=variance-corrected"]
