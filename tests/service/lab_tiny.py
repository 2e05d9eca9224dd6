"""A server as the lab's children are: takes a port, announces itself, echoes, ends on SIGTERM; or fails as told."""

import asyncio
import json
import os
import signal
import sys


async def main(port: int) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", port) as server:
        print("a stray print")
        print(json.dumps({"ready": True, "port": server.sockets[0].getsockname()[1]}), flush=True)
        print("listening", os.environ.get("NETRA_SAYS", ""), file=sys.stderr, flush=True)
        await over.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["fail"]:
        sys.exit("cannot begin: postgresql://u:geheim@h/db is wrong")
    asyncio.run(main(int(sys.argv[1] if sys.argv[1:] else os.environ["NETRA_PORT"])))
