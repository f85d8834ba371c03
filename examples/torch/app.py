"""A forward pass through a scripted PyTorch model, on the CPU."""

import runtime_shim  # noqa: F401 - first: streams the pack into place while the rest is imported

import torch  # isort: skip


class ExclusiveOr(torch.nn.Module):
    """Two layers that compute the exclusive or of two bits."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(2, 2)
        self.out = torch.nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
            self.hidden.bias.copy_(torch.tensor([0.0, -1.0]))
            self.out.weight.copy_(torch.tensor([[1.0, -2.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.hidden(x)))


# TorchScript compiles from source text, the model's and PyTorch's own: the pack serves both.
model = torch.jit.script(ExclusiveOr().eval())


def handler(event, context):
    with torch.inference_mode():
        answer = model(torch.tensor(event["inputs"], dtype=torch.float32))
    return {"outputs": answer.flatten().tolist(), "torch": torch.__version__}
