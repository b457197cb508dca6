"""What do plain PyTorch modules make of the same weights? Writes network_models.json (python3, torch 1.13, numpy 1.24).

Each network is written as its authors release it (graphs as lists of edges, convolutions as convolutions, torch's own encoder
layer), with the differences that docs/network-baselines.md names. Weights, running statistics and samples are sines that
tests/network_models.rs computes as well, so that the file holds only what comes out: the losses of five steps of Adam on all
samples, and the logits after one pass that learns nothing but the running statistics.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

N, S, CLASSES = 12, 14, 2


def sines(name, count):
    i = np.arange(count, dtype=np.float64)
    return np.sin(sum(name.encode()) + 0.7 * i + 0.013 * i * i)


def weight(name, *shape):
    """As our parameter of this name: inputs × outputs."""
    s = sines(name, int(np.prod(shape)))
    if len(shape) == 2:
        s = 1.5 * s / np.sqrt(shape[0])
    elif "norm" in name and name.endswith("weight"):
        s = 1 + 0.3 * s
    else:
        s = 0.3 * s
    return torch.tensor(s.reshape(shape), dtype=torch.float32)


def samples():
    draw = iter(sines("samples", S * N * N))
    x = np.zeros((S, N, N))
    for s in range(S):
        for i in range(N):
            for j in range(i):
                v = 0.5 * next(draw)
                v = 0.0 if abs(v) < 0.1 else v + (0.4 if s % 2 == 1 and i < N // 3 else 0.0)
                x[s, i, j] = x[s, j, i] = v
            x[s, i, i] = 1.0
    return torch.tensor(x, dtype=torch.float32), torch.arange(S) % 2


def put(parameter, values):
    assert parameter.shape == values.shape, (parameter.shape, values.shape)
    with torch.no_grad():
        parameter.copy_(values)


def linear(name, inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    put(layer.weight, weight(f"{name}.weight", inputs, outputs).T)
    put(layer.bias, weight(f"{name}.bias", outputs))
    return layer


def batch_norm(name, columns):
    layer = nn.BatchNorm1d(columns)
    put(layer.weight, weight(f"{name}.weight", columns))
    put(layer.bias, weight(f"{name}.bias", columns))
    put(layer.running_mean, torch.tensor(0.1 * sines(f"{name}.mean", columns), dtype=torch.float32))
    put(layer.running_var, torch.tensor(1 + 0.3 * sines(f"{name}.variance", columns), dtype=torch.float32))
    return layer


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = linear("first", N * N, 8), batch_norm("norm", 8)
        self.second, self.last = linear("head.0", 8, 4), linear("head.1", 4, CLASSES)

    def forward(self, x, _y):
        x = self.norm(F.leaky_relu(self.first(x.flatten(1)), 0.2))
        return self.last(F.leaky_relu(self.second(x), 0.2)), 0.0


class EdgeToEdge(nn.Module):
    def __init__(self, name, inputs, outputs):
        super().__init__()
        self.rows, self.columns = nn.Conv2d(inputs, outputs, (1, N)), nn.Conv2d(inputs, outputs, (N, 1))
        for part, conv in (("rows", self.rows), ("columns", self.columns)):
            w = weight(f"{name}.{part}.weight", N * inputs, outputs).reshape(N, inputs, outputs).permute(2, 1, 0)
            put(conv.weight, w.reshape(conv.weight.shape))
            put(conv.bias, weight(f"{name}.{part}.bias", outputs))

    def forward(self, x):
        return torch.cat([self.rows(x)] * N, 3) + torch.cat([self.columns(x)] * N, 2)


class BrainNetCnn(nn.Module):
    """32, 64, 1, 256, 128 and 30 features are 3, 4, 2, 8, 6 and 5 here."""

    def __init__(self):
        super().__init__()
        self.one, self.two = EdgeToEdge("edge_to_edge.0", 1, 3), EdgeToEdge("edge_to_edge.1", 3, 4)
        self.node, self.graph = nn.Conv2d(4, 2, (1, N)), nn.Conv2d(2, 8, (N, 1))
        put(self.node.weight, weight("edge_to_node.weight", N * 4, 2).reshape(N, 4, 2).permute(2, 1, 0)[:, :, None])
        put(self.node.bias, weight("edge_to_node.bias", 2))
        put(self.graph.weight, weight("node_to_graph.weight", N * 2, 8).reshape(N, 2, 8).permute(2, 1, 0)[..., None])
        put(self.graph.bias, weight("node_to_graph.bias", 8))
        self.dense = nn.ModuleList([linear("head.0", 8, 6), linear("head.1", 6, 5), linear("head.2", 5, CLASSES)])

    def forward(self, x, _y):
        x = x[:, None]
        for layer in (self.one, self.two, self.node, self.graph):
            x = F.leaky_relu(layer(x), 0.33)
        x = x.flatten(1)
        for layer in self.dense[:-1]:
            x = F.leaky_relu(layer(x), 0.33)
        return self.dense[-1](x), 0.0


class Transformer(nn.Module):
    """Five centres, 16 units of the encoder layers, 5 of the readout's encoder, 3, 7 and 6 of the head."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(2):
            layer = nn.TransformerEncoderLayer(N, 4, 16, dropout=0.0, batch_first=True)
            name = f"layers.{i}"
            put(layer.self_attn.in_proj_weight, weight(f"{name}.attention.in.weight", N, 3 * N).T)
            put(layer.self_attn.in_proj_bias, weight(f"{name}.attention.in.bias", 3 * N))
            put(layer.self_attn.out_proj.weight, weight(f"{name}.attention.out.weight", N, N).T)
            put(layer.self_attn.out_proj.bias, weight(f"{name}.attention.out.bias", N))
            layer.linear1 = linear(f"{name}.feedforward.0", N, 16)
            layer.linear2 = linear(f"{name}.feedforward.1", 16, N)
            for place, norm in ((0, layer.norm1), (1, layer.norm2)):
                put(norm.weight, weight(f"{name}.norm.{place}.weight", N))
                put(norm.bias, weight(f"{name}.norm.{place}.bias", N))
            self.layers.append(layer)
        sizes = [N * N, 5, 5, N * N]
        encoder = [linear(f"readout.{i}", *sizes[i : i + 2]) for i in range(3)]
        self.encoder = nn.Sequential(encoder[0], nn.LeakyReLU(), encoder[1], nn.LeakyReLU(), encoder[2])
        centres = np.linalg.qr(sines("readout.centres", N * 5).reshape(N, 5))[0]
        self.centres = torch.tensor(centres.T, dtype=torch.float32)
        self.reduced = nn.Sequential(linear("reduced", N, 3), nn.LeakyReLU())
        sizes = [15, 7, 6, CLASSES]
        head = [linear(f"head.{i}", *sizes[i : i + 2]) for i in range(3)]
        self.head = nn.Sequential(head[0], nn.LeakyReLU(), head[1], nn.LeakyReLU(), head[2])

    def forward(self, x, _y):
        for layer in self.layers:
            x = layer(x)
        encoded = self.encoder(x.reshape(len(x), -1)).reshape(len(x) * N, N)
        share = torch.pow(encoded @ self.centres.T, 2) / torch.norm(self.centres, p=2, dim=-1)
        share = torch.softmax(share, -1).reshape(len(x), N, -1)
        x = torch.bmm(share.transpose(1, 2), encoded.reshape(len(x), N, N))
        return self.head(self.reduced(x).reshape(len(x), -1)), 0.0


class RegionalConv(nn.Module):
    """Edges as a list, as PyTorch Geometric has them."""

    def __init__(self, name, inputs, outputs, communities):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.own = nn.Sequential(
            nn.Linear(N, communities, bias=False), nn.ReLU(), nn.Linear(communities, inputs * outputs)
        )
        put(self.own[0].weight, weight(f"{name}.communities", N, communities).T)
        bases = weight(f"{name}.bases", inputs, communities * outputs).reshape(inputs, communities, outputs)
        put(self.own[2].weight, bases.permute(0, 2, 1).reshape(inputs * outputs, communities))
        put(self.own[2].bias, weight(f"{name}.base", inputs, outputs).flatten())
        self.bias = nn.Parameter(weight(f"{name}.bias", outputs))

    def forward(self, x, edges, weights, places):
        """`edges` without loops; each region's loop weighs 1."""
        loops = torch.arange(len(x))
        to = torch.cat([edges[0], loops])
        source = torch.cat([edges[1], loops])
        weights = torch.cat([weights, torch.ones(len(x))])
        each = self.own(F.one_hot(places, N).float()).view(-1, self.inputs, self.outputs)
        x = torch.matmul(x[:, None], each)[:, 0]
        out = []
        for region in range(len(x)):
            heard = to == region
            out.append((torch.softmax(weights[heard], 0)[:, None] * x[source[heard]]).sum(0) + self.bias)
        return torch.stack(out)


class Pool(nn.Module):
    def __init__(self, name, columns):
        super().__init__()
        self.weight = nn.Parameter(weight(f"{name}.direction", columns, 1)[:, 0])

    def forward(self, x):
        score = x @ self.weight / self.weight.norm(p=2)
        score = (score - score.mean()) / torch.sqrt(score.var(unbiased=False) + 1e-10)
        kept = torch.argsort(score, descending=True)[: -(-len(x) // 2)]
        chance = torch.sigmoid(score)
        return (x * chance[:, None])[kept], kept, chance


def top_loss(s, ratio=0.5, eps=1e-10):
    s = s.sort(dim=1).values
    some = int(s.size(1) * ratio)
    return -torch.log(s[:, -some:] + eps).mean() - torch.log(1 - s[:, :some] + eps).mean()


def consistency_loss(s):
    laplacian = len(s) * torch.eye(len(s)) - torch.ones(len(s), len(s))
    return torch.trace(s.T @ laplacian @ s) / len(s) ** 2


class BrainGnn(nn.Module):
    """Three communities, 5 and 4 columns, 6 units."""

    def __init__(self):
        super().__init__()
        self.conv1, self.pool1 = RegionalConv("convolutions.0", N, 5, 3), Pool("pools.0", 5)
        self.conv2, self.pool2 = RegionalConv("convolutions.1", 5, 4, 3), Pool("pools.1", 4)
        self.fc1, self.fc2, self.fc3 = linear("head.0", 18, 4), linear("head.1", 4, 6), linear("head.2", 6, CLASSES)
        self.bn1, self.bn2 = batch_norm("norm.0", 4), batch_norm("norm.1", 6)

    def one(self, network):
        weights = network.abs().fill_diagonal_(0.0)
        edges = weights.nonzero().T
        places = torch.arange(N)
        x = self.conv1(network, edges, weights[edges[0], edges[1]], places)
        x, kept, first = self.pool1(x)
        one = torch.cat([x.max(0).values, x.mean(0)])
        weights = weights[kept][:, kept] + torch.eye(len(kept))
        weights = (weights @ weights).fill_diagonal_(0.0)
        edges = weights.nonzero().T
        x = self.conv2(x, edges, weights[edges[0], edges[1]], places[kept])
        x, _, second = self.pool2(x)
        return torch.cat([one, x.max(0).values, x.mean(0)]), first, second

    def forward(self, x, y):
        read, first, second = (torch.stack(part) for part in zip(*[self.one(network.clone()) for network in x]))
        out = self.bn2(F.relu(self.fc2(self.bn1(F.relu(self.fc1(read))))))
        penalty = 0.1 * top_loss(first) + 0.1 * top_loss(second)
        penalty = penalty + 0.1 * sum(consistency_loss(first[y == c]) for c in range(CLASSES))
        units = [(pool.weight.norm(p=2) - 1) ** 2 for pool in (self.pool1, self.pool2)]
        return self.fc3(out), penalty + 0.05 * sum(units)


def outcome(make):
    x, y = samples()
    model = make()
    adam = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    losses = []
    for _ in range(5):
        adam.zero_grad()
        out, penalty = model(x, y)
        loss = F.cross_entropy(out, y) + penalty
        loss.backward()
        adam.step()
        losses.append(loss.item())
    model = make()
    with torch.no_grad():
        model(x, y)
        model.eval()
        logits = model(x, y)[0]
    return {"losses": losses, "logits": logits.tolist()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    models = {"mlp": Mlp, "brainnetcnn": BrainNetCnn, "brain-network-transformer": Transformer, "braingnn": BrainGnn}
    found = {name: outcome(make) for name, make in models.items()}
    found["centres"] = Transformer().centres.T.double().tolist()
    Path(__file__).with_name("network_models.json").write_text(json.dumps(found) + "\n")
