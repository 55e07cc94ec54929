"""`gossipnet.join` over real sockets: two nodes or three in this process, each stepped by the test itself."""

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
import torch
from live_swarm import free_ports, until
from torch import nn
from two_lanes import LateLanes

import gossipnet
from gossipnet import BadInput, LocalError, RunFailed
from gossipnet.errors import Diverged
from gossipnet.live.meeting import Card
from gossipnet.merge import merge_rules
from gossipnet.training import merging, staging
from gossipnet.wire import Ask, Message


def net(seed=0, width=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.fixture
def ends(tmp_path):
    return [f"ipc://{tmp_path}/{i}" for i in range(4)]


@pytest.fixture
def joined(ends):
    """join(i, model, ...) as node i of a list of n; whatever is left open is closed."""
    with contextlib.ExitStack() as stack:

        def make(i, model=None, n=2, **options):
            options = {"listen": ends[i], "peers": ends[:n], "local_steps": 1, "merge": "average"} | options
            return stack.enter_context(gossipnet.join(net(i) if model is None else model, **options))

        yield make


def up(*nodes):
    until(lambda: all(n.state == "up" for g in nodes for n in g.status().neighbors), "neighbors")


def step_until(*nodes, condition, what):
    until(lambda: [g.step() for g in nodes] and condition(), what)


def agree(*nodes):
    return all(torch.allclose(nodes[0].vector, g.vector, atol=1e-6) for g in nodes)


# --- exchanging


def test_two_that_run_freely_come_to_agree(joined):
    told, merges = [], []
    a = joined(0, on_neighbor=lambda *news: told.append(news), on_merge=merges.append)
    b = joined(1)
    mean = (a.vector + b.vector) / 2
    up(a, b)
    step_until(a, b, condition=lambda: agree(a, b), what="agreement")
    assert not torch.allclose(a.vector, torch.zeros_like(mean))
    assert told == [(b.listen, "up")]
    assert merges[0].endpoints == (b.listen,)
    seen = a.status()
    assert (seen.running, seen.paused, seen.refused, seen.strangers) == (True, False, {}, 0)
    assert seen.merges == len(merges) == seen.models_merged
    assert seen.steps <= seen.age
    assert seen.bytes_sent > 0
    assert b.listen in str(seen)


def test_in_step_the_mean_is_exact_and_the_same_in_every_run(joined):
    nodes = [joined(i, n=3, quorum="all") for i in range(3)]
    mean = torch.stack([g.vector for g in nodes]).mean(0)
    rounds = [threading.Thread(target=g.step) for g in nodes]
    for thread in rounds:
        thread.start()
    for thread in rounds:
        thread.join(30)
    assert all(torch.allclose(g.vector, mean, atol=1e-6) for g in nodes)
    assert [g.status().merges for g in nodes] == [1, 1, 1]


def test_large_models_are_fetched_in_chunks(joined):
    models = [nn.Linear(100, 100) for _ in range(2)]
    a, b = (joined(i, models[i], push_bytes=1000, chunk_bytes=4096) for i in range(2))
    up(a, b)
    step_until(a, b, condition=lambda: a.status().merges and b.status().merges, what="merges")
    assert a.status().refused == b.status().refused == {}


def test_a_node_that_takes_only_small_messages_is_not_pushed_large_ones(joined):
    models = [nn.Linear(100, 100) for _ in range(2)]
    a = joined(0, models[0], push_bytes=1 << 20)
    b = joined(1, models[1], push_bytes=1000, chunk_bytes=4096)
    up(a, b)
    step_until(a, b, condition=lambda: a.status().merges and b.status().merges, what="merges")
    assert {n.state for n in a.status().neighbors} == {"up"}


def test_only_the_shared_part_is_exchanged(joined):
    models = [net(0), net(1)]
    before = [m[0].weight.clone() for m in models]
    a, b = (joined(i, models[i], share="2") for i in range(2))
    up(a, b)
    step_until(a, b, condition=lambda: agree(a, b), what="agreement")
    assert torch.allclose(models[0][2].weight, models[1][2].weight, atol=1e-6)
    assert all(torch.equal(m[0].weight, w) for m, w in zip(models, before, strict=True))


def test_momentum_is_kept_or_reset_by_a_merge(joined):
    class Remembering:
        def __init__(self):
            self.state = {"velocity": 1.0}

    for after, left in (("keep", 1), ("reset", 0)):
        optimizer = Remembering()
        a, b = joined(0, optimizer=optimizer, after_merge=after), joined(1)
        up(a, b)
        step_until(a, b, condition=lambda a=a: a.status().merges, what="merge")
        assert len(optimizer.state) == left
        a.close()
        b.close()


# --- neighbors that come, go or do not fit


def test_one_that_is_late_goes_and_comes_back_is_no_error(joined):
    told = []
    a = joined(0, on_neighbor=lambda *news: told.append(news[1]))
    for _ in range(5):
        a.step()
    assert a.status().neighbors[0].why == "nobody listens there yet"
    for _ in range(2):
        b = joined(1)
        up(a, b)
        before = a.status().merges
        step_until(a, b, condition=lambda before=before: a.status().merges > before + 2, what="merges")
        b.close()
        step_until(a, condition=lambda: a.status().neighbors[0].state == "down", what="end of the link")
    step_until(a, condition=lambda: told == ["up", "down"] * 2, what="news")


def test_pausing_leaves_the_network_and_resuming_enters_it(joined):
    a, b = joined(0), joined(1)
    up(a, b)
    step_until(a, b, condition=lambda: a.status().merges, what="merge")
    a.pause()
    a.pause()
    seen = a.status()
    assert seen.paused
    until(lambda: b.status().neighbors[0].state == "down", "end of the link")
    for _ in range(20):
        a.step()
    assert a.status().merges == seen.merges
    assert (a.status().steps, a.status().round) == (seen.steps + 20, seen.round)
    assert a.status().bytes_sent >= seen.bytes_sent
    a.resume()
    up(a, b)
    step_until(a, b, condition=lambda: a.status().merges > seen.merges, what="merges")


def test_another_shape_is_a_warning_to_those_who_run_freely(joined):
    a, b = joined(0), joined(1, net(1, width=5))
    with pytest.warns(UserWarning, match="no exchange with ipc:.*another shape"):
        step_until(a, b, condition=lambda: all(refused(g) for g in (a, b)), what="refusal")
    assert a.status().merges == 0


def refused(gossip):
    """And it has said so."""
    return not gossip._diary._news and gossip.status().neighbors[0].state == "refused"


@pytest.mark.parametrize("options", [{"codec": "float16"}, {"model": nn.Linear(2, 2)}])
def test_in_step_a_neighbor_that_does_not_fit_is_an_error_and_no_hang(joined, options):
    a = joined(0, quorum="all")
    joined(1, quorum=0, **options)
    with pytest.raises(BadInput, match=r"^no exchange with ipc:.*; it cannot be waited for") as raised:
        a.step()
    assert "\n" not in str(raised.value)


def test_who_is_not_listed_on_both_sides_takes_no_part(joined):
    a, b = joined(0), joined(1, peers=[])
    until(lambda: "does not list our endpoint" in a.status().neighbors[0].why, "reason")
    for _ in range(3):
        a.step()
        b.step()
    assert a.status().merges == b.status().merges == 0


def test_strangers_are_refused_and_counted(joined):
    a, b = joined(0), joined(1)
    up(a, b)
    b._driver.meetings.own = Card(12345, 1, b._binding.spec.digest, "float32", 1000)
    b._driver.ask(lambda: b._driver._transport.send(1, b._driver._header(Message(0, 1, 1, Ask(0))), None))
    until(lambda: a.status().strangers == 1, "stranger")
    assert a.status().refused == {"stranger": 1}
    assert "1 strangers knock" in str(a.status())


def test_one_s_own_endpoint_in_the_list_by_another_name_is_left_out():
    port = free_ports(1)
    here = f"tcp://127.0.0.1:{port}"
    with (
        gossipnet.join(net(), listen=here, peers=[f"tcp://localhost:{port}"]) as g,
        pytest.warns(UserWarning, match="this is our own endpoint"),
    ):
        step_until(g, condition=lambda: refused(g), what="refusal")


# --- errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"listen": "here"}, "listen: got 'here', expected an endpoint"),
        ({"listen": "tcp://*:7000"}, "insecure=True"),
        ({"peers": "ipc:///tmp/b"}, "write peers="),
        ({"peers": ["tcp://*:70"]}, "nobody can be reached at"),
        ({"peers": ["ipc:///tmp/b"] * 2}, "given twice"),
        ({"merge": "avrage"}, "did you mean 'average'"),
        ({"codec": "float17"}, "did you mean 'float16'"),
        ({"quorum": -1}, "quorum: got -1, expected 'all' or a whole number"),
        ({"local_steps": 0}, "local_steps: got 0"),
        ({"samples": 0}, "samples: got 0"),
        ({"after_merge": "reset"}, "give it with optimizer="),
        ({"after_merge": "rest"}, "did you mean 'reset'"),
        ({"buffers": "recalibrate"}, "buffers: got"),
        ({"share": "3"}, "its parts: 0, 2"),
        ({"chunk_bytes": 5}, "chunk_bytes: got 5"),
    ],
)
def test_bad_input_is_one_line(tmp_path, options, said):
    with pytest.raises(BadInput) as raised:
        gossipnet.join(net(), **({"listen": f"ipc://{tmp_path}/a"} | options))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_port_in_use_is_one_line_and_leaves_nothing():
    before = threading.active_count()
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(other.stdout.readline())
        with pytest.raises(BadInput, match=f"^cannot listen on tcp://127.0.0.1:{port}: .* choose another port$"):
            gossipnet.join(net(), listen=f"tcp://127.0.0.1:{port}")
    finally:
        other.communicate("")
    assert threading.active_count() == before


def test_what_breaks_in_the_io_thread_is_raised_by_the_next_step(joined):
    a = joined(0)

    def broken():
        raise KeyError("gone wrong")

    a._driver.post(broken)
    until(lambda: not a._driver.is_alive(), "end of the thread")
    for _ in range(2):
        with pytest.raises(RunFailed, match="the gossip node failed: KeyError: 'gone wrong'") as raised:
            a.step()
        assert "\n" not in str(raised.value)
    assert not a.status().running
    a.close()
    with pytest.raises(LocalError, match="closed"):
        a.step()


def test_an_exception_of_a_callback_is_the_user_s(joined):
    class Mine(Exception):
        pass

    def refuse(*_):
        raise Mine

    a, b = joined(0, on_merge=refuse), joined(1)
    up(a, b)
    with pytest.raises(Mine):
        step_until(a, b, condition=lambda: False, what="exception")
    a._on_merge = None
    merges = a.status().merges
    step_until(a, b, condition=lambda: a.status().merges > merges, what="merges, as if nothing had been")


def test_an_exception_of_a_merge_rule_changes_nothing_and_stops_nobody(joined, monkeypatch):
    monkeypatch.setattr(merge_rules, "_factories", dict(merge_rules._factories))
    calls = []

    @gossipnet.merge_rule("test-join-broken")
    def broken():
        def merge(group):
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError
            return group.vectors.mean(0)

        return merge

    a, b = joined(0, merge="test-join-broken"), joined(1)
    before = a.vector.clone()
    up(a, b)
    with pytest.raises(ZeroDivisionError):
        step_until(a, b, condition=lambda: False, what="exception")
    assert torch.equal(a.vector, before)
    step_until(a, b, condition=lambda: agree(a, b), what="agreement")


def test_step_inside_of_step_is_an_error(joined):
    nodes = {}
    nodes["a"] = joined(0, on_merge=lambda _: nodes["a"].step())
    nodes["b"] = joined(1)
    up(*nodes.values())
    with pytest.raises(LocalError, match="inside of step"):
        step_until(*nodes.values(), condition=lambda: False, what="error")


def test_a_model_that_is_not_finite_is_not_sent(joined):
    a = joined(0)
    with torch.no_grad():
        a.vector[3] = float("nan")
    with pytest.raises(Diverged, match="no longer finite"):
        step_until(a, condition=lambda: False, what="error")


def test_a_model_that_moved_is_followed(joined):
    models = [net(0), net(1)]
    a, b = (joined(i, models[i]) for i in range(2))
    models[0]._apply(lambda tensor: tensor.clone())  # what .to(device) does
    up(a, b)
    step_until(a, b, condition=lambda: agree(a, b), what="agreement")
    assert torch.equal(models[0][0].weight.flatten(), a.vector[:12])
    models[0][2] = nn.Linear(4, 7)
    with pytest.raises(BadInput, match="changed its shape"):
        step_until(a, condition=lambda: False, what="error")


# --- the end


def test_closing_is_idempotent_and_leaves_a_plain_module(joined):
    model = net()
    a = joined(0, model)
    a.step()
    thread = a._driver
    a.close()
    a.close()
    assert not thread.is_alive()
    assert a.closed
    assert not a.status().running
    model(torch.randn(2, 3)).sum().backward()
    with pytest.raises(LocalError, match="closed"):
        a.step()
    a.pause()
    a.resume()


def test_forgotten_is_closed(ends):
    def forget():
        g = gossipnet.join(net(), listen=ends[0], peers=ends[:2])
        g.step()
        return weakref.ref(g), g._driver

    gone, thread = forget()
    gc.collect()
    assert gone() is None
    until(lambda: not thread.is_alive(), "end of the thread")


def test_a_cell_that_runs_again_closes_the_earlier_one(ends):
    model = net()
    first = gossipnet.join(model, listen=ends[0])
    second = gossipnet.join(model, listen=ends[0])
    assert first.closed
    third = gossipnet.join(model, listen=ends[1])  # the same model, from another place
    assert second.closed
    third.step()
    with gossipnet.join(model, listen=ends[2], share=lambda name: False or name == "0.bias"):
        assert third.closed
    with pytest.raises(LocalError, match="closed"):
        first.step()


PROGRAM = """
import sys, torch, gossipnet
gossip = gossipnet.join(torch.nn.Linear(3, 2), listen=sys.argv[1], peers=[sys.argv[2]], local_steps=1)
gossip.step()
print("stepped", flush=True)
{end}
"""


@pytest.mark.parametrize(("end", "status"), [("", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1)])
def test_a_program_that_ends_without_closing_ends(ends, end, status):
    """As a script without a main guard, and without `with`."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end), *ends[:2]], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.returncode) == ("stepped\n", status), done.stderr
    assert ("Traceback" in done.stderr) == (status == 1)


def test_a_step_that_waits_ends_when_another_thread_closes(joined):
    a, b = joined(0, quorum="all"), joined(1, quorum="all")
    up(a, b)
    caught = []

    def wait():
        with pytest.raises(LocalError, match="closed") as raised:
            a.step()
        caught.append(raised)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: a._train is None, "snapshot")
    a.close()
    thread.join(10)
    assert caught


# --- beside an event loop


def test_beside_an_event_loop(joined):
    a, b = joined(0), joined(1, quorum=1)

    async def elsewhere():  # with a quorum it may wait, so in a thread
        while min(g.status().merges for g in (a, b)) < 3:
            await asyncio.to_thread(b.step)

    async def both():
        other = asyncio.create_task(elsewhere())
        while not other.done():
            a.step()  # free-running: waits for nothing
            await asyncio.sleep(0.001)
        await other

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(asyncio.wait_for(both(), 30))


@pytest.mark.parametrize("width", [3, 100_000], ids=["pushed", "in chunks"])
def test_a_device_whose_copies_are_late_comes_to_the_same(joined, monkeypatch, width):
    """As on a GPU: snapshots leave it, and models come in, beside what is computed."""
    lanes, asked = LateLanes(), []
    for part in (staging, merging):
        monkeypatch.setattr(part, "lanes_of", lambda device: lanes)
    monkeypatch.setattr(staging, "pinned", lambda size: asked.append(size) or np.full(size, 255, np.uint8))
    a, b = joined(0, net(0, width), quorum="all"), joined(1, net(1, width), quorum=0)
    up(a, b)
    mean = (a.vector + b.vector) / 2
    b.step()
    a.step()
    assert torch.allclose(a.vector, mean, atol=1e-6)
    assert len(lanes.copies) >= 2 + 2  # two snapshots, and a block of two models
    assert bool(asked) is (width > 3)
