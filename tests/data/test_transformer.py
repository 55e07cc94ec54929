import pytest
import torch
from torch import nn

from gossipnet.data import Samples, Task, make_model
from gossipnet.data.task import classification
from gossipnet.data.transformer import Layer
from gossipnet.errors import BadInput


def task_of(*inputs: int, outputs: int = 5) -> Task:
    samples = Samples([[0]], [0])
    return classification("sequences", samples, samples, inputs=inputs, outputs=outputs, model="transformer")


@pytest.mark.parametrize("inputs", [(7, 11), (1, 8, 8), (3, 6, 10)])
def test_reads_sequences_and_images(inputs: tuple[int, ...]) -> None:
    assert make_model("transformer", task_of(*inputs))(torch.rand(3, *inputs)).shape == (3, 5)


def test_an_image_is_read_row_by_row() -> None:
    torch.manual_seed(0)
    on_images = make_model("transformer", task_of(2, 4, 3))
    torch.manual_seed(0)
    on_rows = make_model("transformer", task_of(4, 6))
    images = torch.rand(5, 2, 4, 3)
    rows = torch.stack([torch.cat([image[0], image[1]], dim=1) for image in images])
    assert torch.allclose(on_images(images), on_rows(rows))


def test_a_layer_is_torchs_own_encoder_layer() -> None:
    """Same weights, same answer as nn.TransformerEncoderLayer(norm_first=True) without dropout."""
    layer = Layer(12, 3)
    oracle = nn.TransformerEncoderLayer(12, 3, 48, dropout=0.0, batch_first=True, norm_first=True)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    pairs = {
        "norm1": layer.norm1,
        "norm2": layer.norm2,
        "self_attn.out_proj": layer.mix,
        "linear1": layer.hidden,
        "linear2": layer.out,
    }
    weights = {f"{name}.{k}": v for name, part in pairs.items() for k, v in part.state_dict().items()}
    weights |= {f"self_attn.in_proj_{k}": v for k, v in layer.query_key_value.state_dict().items()}
    oracle.load_state_dict(weights)
    x = torch.randn(4, 6, 12)
    assert torch.allclose(layer(x), oracle(x), atol=1e-4)


def test_positions_matter() -> None:
    model = make_model("transformer", task_of(4, 3))
    x = torch.rand(1, 4, 3)
    swapped = x[:, [1, 0, 2, 3]]
    assert not torch.allclose(model(x), model(swapped))


@pytest.mark.parametrize(
    ("text", "inputs", "complaint"),
    [
        ("transformer", (9,), "takes sequences .* got inputs of shape"),
        ("transformer:heads=5", (4, 3), "width=64, layers=2, heads=5"),
        ("transformer:layers=0", (4, 3), "layers=0"),
    ],
)
def test_what_it_cannot_read_is_refused(text: str, inputs: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        make_model(text, task_of(*inputs))
