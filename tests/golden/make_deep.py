"""Makes tests/golden/deep.json: BrainGB's node edge concat with concat pooling, written plainly in PyTorch.

Messages are made edge by edge, as the released code makes them: a complete graph with its loops, |A| normalised by degrees.
Weights in, logits out (in evaluation mode, after one pass in training mode), the losses of five Adam steps on all samples (in training mode), and
the logits after them. Needs torch (1.13 and later give these numbers); run it with the Python that has it:

    python3 tests/golden/make_deep.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

NODES, SAMPLES, HIDDEN, CLASSES = 10, 12, 8, 2
torch.manual_seed(0)
torch.set_num_threads(1)


class Conv(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, hidden))
        nn.init.xavier_uniform_(self.weight)
        # GCNConv begins its bias at zero; not here, so that it is seen.
        self.bias = nn.Parameter(torch.randn(hidden) * 0.1)
        self.message = nn.Linear(2 * hidden + 1, hidden)

    def forward(self, x, a):
        h = x @ self.weight
        w = a.abs()
        d = w.sum(-1)
        e = w / torch.sqrt(d[:, :, None] * d[:, None, :])
        b, n, f = h.shape
        i = h[:, :, None, :].expand(b, n, n, f)
        j = h[:, None, :, :].expand(b, n, n, f)
        return self.message(torch.cat([i, j, e[..., None]], -1)).sum(2) + self.bias


class Norm(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0, self.linear0, self.norm0 = Conv(NODES, HIDDEN), nn.Linear(HIDDEN, HIDDEN), Norm(HIDDEN)
        self.conv1, self.linear1 = Conv(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 64)
        self.narrow1, self.norm1 = nn.Linear(64, 8), Norm(8)
        self.head = nn.ModuleList([nn.Linear(8 * NODES, 256), nn.Linear(256, 32), nn.Linear(32, CLASSES)])

    def forward(self, a):
        act = nn.functional.leaky_relu
        x = self.norm0(act(self.linear0(self.conv0(a, a)), 0.2))
        x = act(self.linear1(self.conv1(x, a)), 0.2)
        x = self.norm1(act(self.narrow1(x), 0.2)).reshape(a.shape[0], -1)
        x = act(self.head[0](x), 0.2)
        x = act(self.head[1](x), 0.2)
        return self.head[2](x)


def learned(net):
    """Each parameter as neurod calls it, inputs × outputs."""
    out = {}

    def linear(name, layer, row=False):
        out[f"{name}.weight"] = layer.weight.T
        out[f"{name}.bias"] = layer.bias[None] if row else layer.bias

    for layer, (conv, lin) in enumerate([(net.conv0, net.linear0), (net.conv1, net.linear1)]):
        out[f"layers.{layer}.weight"] = conv.weight
        out[f"layers.{layer}.bias"] = conv.bias[None]
        linear(f"layers.{layer}.message", conv.message, row=True)
        linear(f"layers.{layer}.linear", lin, row=True)
    linear("layers.1.narrow", net.narrow1)
    for layer, norm in enumerate([net.norm0, net.norm1]):
        out[f"layers.{layer}.norm.weight"], out[f"layers.{layer}.norm.bias"] = norm.weight, norm.bias
    for layer, lin in enumerate(net.head):
        linear(f"head.{layer}", lin)
    return out


def numbers(t):
    t = t.detach()
    return {"shape": list(t.shape), "values": [float(f"{v:.9g}") for v in t.reshape(-1).tolist()]}


rng = np.random.default_rng(1)
a = rng.uniform(-1, 1, (SAMPLES, NODES, NODES))
a = (a + a.transpose(0, 2, 1)) / 2
a[:, np.arange(NODES), np.arange(NODES)] = 1
a = torch.tensor(a, dtype=torch.float32)
y = torch.arange(SAMPLES) % CLASSES
net = Net()
golden = {"connectivity": numbers(a), "classes": y.tolist()}
golden["learned"] = {name: numbers(t) for name, t in learned(net).items()}
# One pass lets the running statistics see the batch, as one epoch of steps of no length does.
net(a)
net.eval()
golden["logits"] = numbers(net(a))
for norm in (net.norm0, net.norm1):
    norm.reset_running_stats()
net.train()
adam = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
golden["losses"] = []
for _ in range(5):
    adam.zero_grad()
    loss = nn.functional.nll_loss(nn.functional.log_softmax(net(a), -1), y)
    loss.backward()
    adam.step()
    golden["losses"].append(loss.item())
net.eval()
golden["after"] = numbers(net(a))
(Path(__file__).parent / "deep.json").write_text(json.dumps(golden) + "\n")
