"""`python -m fleet.standing`: the stand-in, in a process of its own. In: Pods, a line of JSON each, and an empty one.
Out: URL and token."""

import asyncio
import json
import resource
import sys

from standin import ApiServer


async def main() -> None:
    """Until it is killed."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    async with ApiServer() as api:
        while pod := json.loads(sys.stdin.readline().strip() or "null"):
            namespace, uid = pod.pop("uid")
            pod["metadata"] |= {"namespace": namespace, "uid": uid}
            api.put_pod(pod)
        print(api.url, api.token, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
