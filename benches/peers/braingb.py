"""BrainGB's node edge concat, two layers, concat pooling, in PyTorch: dense forms, and edge by edge as released.

braingb.py NODES HIDDEN GRAPHS: a line of JSON a command on standard input, a line of JSON out.
{"load": FOLDER}: connectivity.npy and weights (NAME.npy) -> {"loss": the mean loss of all graphs before learning, of the dense form,
"explicit": that of the explicit form on the first graph, "dense": that of the dense form there}
{"epoch": THREADS} -> {"seconds": of one training epoch of the dense form}
{"explicit": BATCH, "threads": THREADS} -> {"seconds": of one training step of the explicit form on so many graphs}
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

NODES, HIDDEN, GRAPHS = (int(v) for v in sys.argv[1:4])


class Conv(nn.Module):
    def __init__(self, inputs, hidden, explicit):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, hidden))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.message = nn.Linear(2 * hidden + 1, hidden)
        self.explicit = explicit

    def forward(self, x, e):
        h = x @ self.weight
        b, n, f = h.shape
        if self.explicit:
            # PyTorch Geometric gathers both ends of every edge, and scatters the messages.
            source = torch.arange(n).repeat_interleave(n)
            target = torch.arange(n).repeat(n)
            offset = (torch.arange(b) * n).repeat_interleave(n * n)
            source, target = source.repeat(b) + offset, target.repeat(b) + offset
            flat, weight = h.reshape(b * n, f), e.transpose(1, 2).reshape(-1, 1)
            messages = self.message(torch.cat([flat[target], flat[source], weight], -1))
            out = torch.zeros(b * n, messages.shape[-1]).index_add_(0, target, messages)
            return out.reshape(b, n, -1) + self.bias
        own, other, edge = self.message.weight[:, :f], self.message.weight[:, f : 2 * f], self.message.weight[:, 2 * f :]
        out = n * (h @ own.T + self.message.bias) + (h.sum(1, keepdim=True) @ other.T) + e.sum(-1, keepdim=True) @ edge.T
        return out + self.bias


class Norm(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class Net(nn.Module):
    def __init__(self, explicit=False):
        super().__init__()
        self.conv0, self.linear0, self.norm0 = Conv(NODES, HIDDEN, explicit), nn.Linear(HIDDEN, HIDDEN), Norm(HIDDEN)
        self.conv1, self.linear1 = Conv(HIDDEN, HIDDEN, explicit), nn.Linear(HIDDEN, 64)
        self.narrow1, self.norm1 = nn.Linear(64, 8), Norm(8)
        self.head = nn.ModuleList([nn.Linear(8 * NODES, 256), nn.Linear(256, 32), nn.Linear(32, 2)])

    def forward(self, a):
        act = nn.functional.leaky_relu
        w = a.abs()
        d = w.sum(-1)
        e = w / torch.sqrt(d[:, :, None] * d[:, None, :])
        x = self.norm0(act(self.linear0(self.conv0(a, e)), 0.2))
        x = act(self.linear1(self.conv1(x, e)), 0.2)
        x = self.norm1(act(self.narrow1(x), 0.2)).reshape(a.shape[0], -1)
        return self.head[2](act(self.head[1](act(self.head[0](x), 0.2)), 0.2))

    def load(self, folder):
        def put(parameter, name, transposed=False):
            values = torch.from_numpy(np.load(folder / f"{name}.npy")).float()
            parameter.data.copy_((values.T if transposed else values).reshape(parameter.shape))

        def linear(layer, name):
            put(layer.weight, f"{name}.weight", True)
            put(layer.bias, f"{name}.bias")

        for layer, (conv, lin) in enumerate([(self.conv0, self.linear0), (self.conv1, self.linear1)]):
            put(conv.weight, f"layers.{layer}.weight")
            put(conv.bias, f"layers.{layer}.bias")
            linear(conv.message, f"layers.{layer}.message")
            linear(lin, f"layers.{layer}.linear")
        linear(self.narrow1, "layers.1.narrow")
        for layer, norm in enumerate([self.norm0, self.norm1]):
            put(norm.weight, f"layers.{layer}.norm.weight")
            put(norm.bias, f"layers.{layer}.norm.bias")
        for layer, lin in enumerate(self.head):
            linear(lin, f"head.{layer}")


def loss(net, a, y):
    return nn.functional.nll_loss(nn.functional.log_softmax(net(a), -1), y)


def step(net, adam, a, y):
    adam.zero_grad()
    value = loss(net, a, y)
    value.backward()
    adam.step()


nets = {False: Net(False), True: Net(True)}
adams = {kind: torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4) for kind, net in nets.items()}
a, y = None, torch.arange(GRAPHS) % 2
for line in sys.stdin:
    asked = json.loads(line)
    if "load" in asked:
        folder = Path(asked["load"])
        a = torch.from_numpy(np.load(folder / "connectivity.npy")).float()
        for net in nets.values():
            net.load(folder)
        with torch.no_grad():
            # In training mode, as the first step has it.
            answer = {"loss": loss(nets[False], a[:16], y[:16]).item()}
            one = {name: loss(nets[kind], a[:1], y[:1]).item() for name, kind in [("dense", False), ("explicit", True)]}
        answer.update(one)
    elif "epoch" in asked:
        torch.set_num_threads(asked["epoch"])
        began = time.perf_counter()
        for start in range(0, GRAPHS, 16):
            step(nets[False], adams[False], a[start : start + 16], y[start : start + 16])
        answer = {"seconds": time.perf_counter() - began}
    else:
        torch.set_num_threads(asked["threads"])
        count = asked["explicit"]
        began = time.perf_counter()
        step(nets[True], adams[True], a[:count], y[:count])
        answer = {"seconds": time.perf_counter() - began}
    print(json.dumps(answer), flush=True)
