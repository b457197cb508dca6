"""Two WebSocket clients of one daemon, one for binary frames as docs/frames.md has them, one for JSON.

usage: voxel_client.py ADDRESS

Says `ready` once both have the names of the regions. Then prints, as JSON, what each got until the frame with two values.
"""

import asyncio
import json
import struct
import sys

import numpy as np
import websockets


async def follow(query, ready):
    async with websockets.connect(f"ws://{sys.argv[1]}/ws{query}", max_size=None) as socket:
        got = []
        while json.loads(await socket.recv())["schema"] != "neurod.regions.v1":
            pass
        if await ready.wait() == 0:
            print("ready", flush=True)
        while not got or got[-1]["values"] != 2:
            message = await socket.recv()
            if isinstance(message, str):
                frame = json.loads(message)
                if frame["schema"] == "neurod.region_frame.v1":
                    got.append({"seq": frame["seq"], "values": len(frame["values"]), "t": frame["t_target"]})
                continue
            head = struct.unpack_from("<4sIBBHBBHIIQ6dQ5H2x", message)
            (magic, values_at), (count, seq, t) = head[:2], head[9:12]
            assert magic == b"NRF1" and head[6] & 1
            values = np.frombuffer(message, "<f4", count, values_at)
            skill = np.frombuffer(message, "<f4", count, values_at + 4 * count)
            assert values_at + 8 * count == len(message)
            got.append({"seq": seq, "values": count, "t": t, "sum": float(values.astype(float).sum()), "skill": float(skill.max())})
        return got


async def main():
    ready = asyncio.Barrier(2)
    binary, text = await asyncio.gather(follow("?kind=encoded&format=binary", ready), follow("", ready))
    print(json.dumps({"binary": binary, "json": text}), flush=True)


asyncio.run(main())
