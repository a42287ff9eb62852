"""Whose engine it is, and where it listens. In: a container's cgroup, the configured endpoint, if any. Out: a Socket,
and a way to connect to it.

Rules: a container below a user's systemd manager is that user's engine's (rootless), and nobody else's: one of the
machine's, asked by that ID, would lend its names to whoever makes such a cgroup. Below /run/user/UID all belongs to
that user, so nothing there is followed: no symbolic link, no mount of another file system (one of the user's own could
hang whoever looks), no socket of another owner. It is opened as a place (O_PATH) and connected to by that, so that what
was looked at is what is connected to.

Sources: Docker, "Rootless mode" (XDG_RUNTIME_DIR/docker.sock); podman-system-service(1); pam_systemd(8) for
/run/user/UID; user@.service(5) for the cgroup.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator

from msgspec import Struct

from oomeventer.engine.errors import EngineError

#: The machine's engines.
USUAL = {"docker": "run/docker.sock", "podman": "run/podman/podman.sock"}
#: Those of a user, below /run/user/UID.
_OF_USER = {"docker": ("docker.sock",), "podman": ("podman", "podman.sock")}
_USERS = "run/user"
#: Users whose sockets are listed.
_MOST_USERS = 8
#: systemd makes it, at the root, outside of the user's reach; what the user makes lies below it.
_USER_MANAGER = re.compile(r"/user\.slice/user-(?P<uid>[0-9]{1,10})\.slice/user@(?P=uid)\.service(?=/)")


class Socket(Struct, frozen=True):
    """Where an engine listens. uid: the user's that it has to belong to; None for the machine's, or one that was
    set."""

    engine: str
    path: str
    uid: int | None = None

    def __str__(self) -> str:
        return self.path


def user(cgroup: str) -> int | None:
    """The user below whose systemd manager a cgroup lies; None for none, and for root, whose are the machine's."""
    found = _USER_MANAGER.match(cgroup)
    return int(found["uid"]) or None if found else None


def whose(engine: str, cgroup: str, endpoint: str | None, root: str) -> Socket:
    """The socket to ask about a container. cgroup: the container's. endpoint: "unix:///path", which then wins. root:
    where the node's file system is; it does not apply to endpoint."""
    if endpoint is not None:
        return Socket(engine, endpoint.removeprefix("unix://"))
    uid = user(cgroup)
    return Socket(engine, os.path.join(root, USUAL[engine])) if uid is None else _of_user(engine, uid, root)


def there(root: str) -> list[Socket]:
    """Those in the usual places that exist: the machine's, and those of the first users by their numbers. Nothing of a
    user's is looked into."""
    found = [
        Socket(engine, path) for engine, usual in USUAL.items() if os.path.exists(path := os.path.join(root, usual))
    ]
    try:
        names = os.listdir(os.path.join(root, _USERS))
    except OSError:
        return found
    uids = sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,9}", name))
    of_users: dict[int, list[Socket]] = {}
    for uid in uids:
        if ones := [one for engine in USUAL if _is_there(one := _of_user(engine, uid, root), uid)]:
            of_users[uid] = ones
        if len(of_users) == _MOST_USERS:
            break
    return [*found, *(one for ones in of_users.values() for one in ones)]


@contextlib.contextmanager
def opened(socket: Socket) -> Iterator[str]:
    """The path to connect to, while in the context. Raises EngineError where a user's socket is not what it has to be,
    OSError where there is none."""
    if socket.uid is None:
        yield socket.path
        return
    with _opened_of_user(socket, socket.uid) as place:
        found = os.fstat(place)
        if not stat.S_ISSOCK(found.st_mode):
            raise EngineError(f"{socket}: not a socket, or a link to one, which is not followed in a user's directory")
        if found.st_uid != socket.uid:
            raise EngineError(f"{socket}: it belongs to user {found.st_uid}, not to {socket.uid}")
        yield f"/proc/self/fd/{place}"


def _of_user(engine: str, uid: int, root: str) -> Socket:
    return Socket(engine, os.path.join(root, _USERS, str(uid), *_OF_USER[engine]), uid)


def _is_there(socket: Socket, uid: int) -> bool:
    """Also where it is not what it has to be."""
    try:
        with _opened_of_user(socket, uid):
            return True
    except (FileNotFoundError, PermissionError):
        return False
    except (OSError, EngineError):
        return True


@contextlib.contextmanager
def _opened_of_user(socket: Socket, uid: int) -> Iterator[int]:
    """What lies there, as a place. Raises OSError, also for what is no directory on the way."""
    parts = _OF_USER[socket.engine]
    home = socket.path.removesuffix("/" + "/".join(parts))
    place = os.open(home, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mount = _mount(place)
        for index, part in enumerate(parts):
            directory = os.O_DIRECTORY if index + 1 < len(parts) else 0
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | directory, dir_fd=place)
            os.close(place)
            place = below
            if _mount(place) != mount:
                raise EngineError(f"{socket}: {part} is mounted there by somebody, and is not looked at")
        yield place
    finally:
        os.close(place)


def _mount(place: int) -> str:
    """The mount's number. By the file's own data it would be asked of the file system."""
    with open(f"/proc/self/fdinfo/{place}") as lines:
        return next(line for line in lines if line.startswith("mnt_id:"))
