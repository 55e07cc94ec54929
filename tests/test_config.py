"""Experiment: the TOML form, settings and options are the same values; whatever is wrong is refused in one line."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipnet.config import SECTIONS, Experiment, fields_of, options, read_toml
from gossipnet.errors import BadInput

EXPERIMENTS = st.builds(
    Experiment,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    nodes=st.integers(1, 1_000_000),
    seed=st.integers(0, 2**63 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:3", "mps"]),
    topology=st.sampled_from(["ring", "regular:d=4", "small-world:k=4,p=0.2", '/a b/é".edges']),
    mixing=st.sampled_from(["uniform", "keep:own=0.25"]),
    rounds=st.integers(1, 2**31 - 1),
    lr=st.floats(1e-300, 1e9),
    quorum=st.just("all") | st.integers(0, 100),
    patience=st.just("learnt") | st.floats(1e-6, 1e6),
    latency_s=st.floats(0, 1e9),
    on_failure=st.sampled_from(["stop", "continue"]),
    tensorboard=st.booleans(),
)


@given(experiment=EXPERIMENTS)
def test_the_toml_form_holds_everything(experiment):
    text = experiment.to_toml()
    assert Experiment.from_toml(text) == experiment
    assert Experiment.from_toml(text).to_toml() == text


@given(experiment=EXPERIMENTS)
def test_settings_as_text_are_the_same_values(experiment):
    others = ("addresses", "cuts", "model", "speed", "churn", "step_s", "start_s")  # lists, and empty texts
    texts = {o.dotted: str(getattr(experiment, o.name)) for o in options() if o.name not in others}
    assert Experiment().with_settings(texts) == experiment


def test_every_field_is_in_the_file_once():
    text = Experiment().to_toml()
    assert set(re.findall(r"^\[(\w+)\]$", text, re.M)) == set(SECTIONS)
    assert len(re.findall(r"^\w+ = ", text, re.M)) == len(options()) == len({o.dotted for o in options()})
    assert {o.section for o in options()} == set(SECTIONS)


def test_fields_of_a_section_are_those_in_its_table():
    assert fields_of("topology", "merge") == ("topology", "mixing", "merge", "buffers")
    assert sorted(fields_of(*SECTIONS)) == sorted(field.name for field in dataclasses.fields(Experiment))


def test_every_default_passes_its_own_check():
    for known in options():
        admitted = known.admit(known.default, known.name)
        assert admitted == known.default
        assert type(admitted) is type(known.default)


def test_every_field_says_what_it_means():
    for known in options():
        assert known.help[0].isupper()
        assert not known.help.endswith(".")
        assert known.check.expected


def test_the_defaults_are_the_contract():
    e = Experiment()
    assert (e.nodes, e.topology, e.mixing, e.merge, e.task, e.model) == (
        8, "ring", "metropolis", "variance-corrected", "digits", "",
    )  # fmt: skip
    assert (e.rounds, e.local_steps, e.batch_size, e.lr, e.optimizer) == (20, 20, 64, 0.05, "sgd")
    assert (e.partition, e.init, e.quorum, e.codec, e.device, e.seed) == ("iid", "same", "all", "float32", "auto", 0)
    assert (e.on_failure, e.train, e.transport, e.port) == ("stop", "auto", "ipc", 21000)


def test_what_a_file_leaves_out_has_its_default():
    assert Experiment.from_toml("[swarm]\nnodes = 3\n") == Experiment(nodes=3)
    assert Experiment.from_toml("\n") == Experiment()


def test_an_experiment_is_frozen_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().nodes = 9
    assert len({Experiment(), Experiment(), Experiment(nodes=9)}) == 2


def test_whole_numbers_do_for_numbers():
    assert Experiment.from_toml("[training]\nlr = 1\n").lr == 1.0
    assert isinstance(Experiment(lr=1).lr, float)


WRONG = {
    "[swarm]\nnodes = 8.0": "line 2: swarm.nodes: got 8.0, expected a whole number",
    "[swarm]\nnodes = '8'": "line 2: swarm.nodes: got '8', expected a whole number",
    "[swarm]\nnodes = true": "line 2: swarm.nodes: got True",
    "[swarm]\n\n# more\nnodes = 0": "line 4: swarm.nodes: got 0",
    "[swarm]\nseed = -1": "swarm.seed: got -1",
    "[swarm]\nname = '../x'": "swarm.name: got '../x'",
    "[swarm]\ndevice = 'gpu'": "expected auto, cpu, cuda",
    "[swarm]\nnods = 8": "did you mean 'swarm.nodes'",
    "[swrm]\nnodes = 8": "line 1: no section 'swrm'; did you mean 'swarm'",
    "[swrm]": "no section 'swrm'; did you mean 'swarm'",
    "nodes = 8": "did you mean 'swarm.nodes'",
    "swarm = 8": r"swarm is a section: write \[swarm\]",
    "[exchange]\nrounds = 8": "did you mean 'training.rounds'",
    "[training]\nlr = nan": "training.lr: got nan, expected a finite number > 0",
    "[training]\nlr = inf": "training.lr: got inf",
    "[training]\nlr = 0": "training.lr: got 0",
    "[training]\nlr = -0.1": "training.lr: got -0.1",
    "[training]\nrounds = 0": "training.rounds: got 0",
    "[training]\nlocal_steps = 0": "training.local_steps: got 0",
    "[training]\nbatch_size = []": r"training.batch_size: got list \[\]",
    "[task]\ninit = 'smae'": "did you mean 'same'",
    "[exchange]\ndepth = 0": "exchange.depth: got 0",
    "[exchange]\nport = 65536": "exchange.port: got 65536",
    "[exchange]\nquorum = 'most'": "exchange.quorum: got 'most', expected 'all' or a whole number",
    "[exchange]\npatience = 0": "expected 'learnt' or a finite number > 0",
    "[exchange]\ntransport = 'tcp'\nport = 65530": "expected a port <= 65528",
    "[exchange]\naddresses = ['tcp://a:1']": "got 1 endpoints for 8 nodes",
    "[swarm]\nnodes = 2\n[exchange]\naddresses = ['tcp://a:1', 'tcp://a:1']": "an endpoint twice",
    "[swarm]\nnodes = 1\n[exchange]\naddresses = ['a:1']": "expected an endpoint",
    "[topology]\ngraph = 'rign'": "did you mean 'ring'",
    "[topology]\nmixing = 'metropolsi'": "did you mean 'metropolis'",
    "[topology]\nmixing = 'keep:own=lots'": "got 'lots', expected float",
    "[network]\nlatency_s = -1.0": "network.latency_s: got -1.0",
    "[network]\npreset = 'wann'": "did you mean 'wan'",
    "[network]\njitter_s = 'some'": "network.jitter_s: got 'some', expected 'preset' or a finite number >= 0",
    "[network]\nbandwidth_bytes_per_s = -1": "network.bandwidth_bytes_per_s: got -1",
    "[network]\ndrop_rate = 1.5": "network.drop_rate: got 1.5, expected 'preset' or a number >= 0 and <= 1",
    "[network]\nduplicate_rate = nan": "network.duplicate_rate: got nan",
    "[network]\nreorder_rate = true": "network.reorder_rate: got True",
    "[network]\nspeed = 'stragler'": "did you mean 'stragglers'",
    "[network]\nspeed = 2.0": "network.speed: got 2.0",
    "[network]\nchurn = 'crashs'": "did you mean 'crashes'",
    "[network]\nchurn = 'crashes:often=1'": "option of churn 'crashes' called 'often'",
    "[network]\ncuts = ['5-8 0']": "network.cuts: got '5-8 0', expected FROM..TO NODES",
    "[network]\npartitions = ['5..8 0']": "no option 'network.partitions'; did you mean 'network.cuts'",
    "[network]\nstep_s = [0.1, 0.2]": "network.step_s: got 2 times for 8 nodes, expected one per node",
    "[network]\nstep_s = [0.0]": "network.step_s: got 0.0, expected a finite number > 0",
    "[network]\nstep_s = 0.1": "network.step_s: got 0.1, expected a list of numbers > 0, one per node",
    "[swarm]\nnodes = 1\n[network]\nstart_s = [-1]": "network.start_s: got -1",
    "[network]\nspread = 11": "network.spread: got 11",
    "[network]\nnotice_s = 0": "network.notice_s: got 0",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda t: t.replace("\n", " "))
def test_a_wrong_file_is_refused_in_one_line(text, tmp_path):
    with pytest.raises(BadInput, match=WRONG[text]) as caught:
        Experiment.from_toml(text + "\n")
    assert "\n" not in str(caught.value)
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match=re.escape(str(file))):
        Experiment.from_toml(file)


@given(text=st.text())
def test_any_text_is_an_experiment_or_refused(text):
    try:
        said = repr(Experiment.from_toml(text + "\n"))
    except BadInput as error:
        said = str(error)
    assert "\n" not in said


def test_ports_matter_to_nodes_that_have_ports():
    assert Experiment(nodes=100_000, port=65535).port == 65535
    addresses = tuple(f"tcp://10.0.0.{i}:7000" for i in range(2))
    assert Experiment(nodes=2, transport="tcp", port=65535, addresses=addresses).addresses == addresses


def test_a_list_of_addresses_becomes_a_tuple():
    assert Experiment(nodes=1, addresses=["tcp://[::1]:7000"]).addresses == ("tcp://[::1]:7000",)


def test_replace_names_the_nearest_field():
    assert Experiment().replace(nodes=3, lr=1).nodes == 3
    with pytest.raises(BadInput, match=r"did you mean 'training\.rounds'"):
        Experiment().replace(rouns=3)
    with pytest.raises(BadInput, match=r"^rounds: got 0"):
        Experiment().replace(rounds=0)


def test_settings_keep_values_that_are_no_text():
    assert Experiment().with_settings({"exchange.port": "22000", "swarm.nodes": 3}) == Experiment(port=22000, nodes=3)
    with pytest.raises(BadInput, match=r"^swarm.nodes: got 3.0"):
        Experiment().with_settings({"swarm.nodes": 3.0})


def test_a_file_may_be_half_an_experiment():
    """So that options of a command can complete it before it must make sense as a whole."""
    values = read_toml("[exchange]\naddresses = ['tcp://a:1', 'tcp://b:1']\n")
    assert Experiment(**values, nodes=2).nodes == 2
