"""The emulated machines. Flows in: kernels, the disk image. Flows out: the guests that the tests boot, and the command
that boots one. Rules: a guest differs from its kernel's plain one in one thing: cgroup v1, or more processors."""

from dataclasses import dataclass

from kernels.image import image
from kernels.kernel import KERNELS, Kernel

MEMORY_MIB = 384


@dataclass(frozen=True)
class Guest:
    """What to boot. numa: two nodes with half of the memory and of the processors each."""

    kernel: Kernel
    cgroup: str = "v2"
    cpus: int = 2
    numa: bool = False

    @property
    def name(self) -> str:
        return f"{self.kernel.name}-{self.cgroup}" + (f"-{self.cpus}cpus" if self.cpus != 2 else "")


GUESTS = (
    *(Guest(kernel) for kernel in KERNELS),
    *(Guest(kernel, cgroup="v1") for kernel in KERNELS if kernel.name in ("5.10", "6.1")),
    *(Guest(kernel, cpus=4, numa=True) for kernel in KERNELS if kernel.name in ("6.1", "backports")),
)


def command(guest: Guest, cases: tuple[str, ...]) -> list[str]:
    # Without cx16=off about one boot in three ends in a double fault: QEMU 7.2's cmpxchg16b leaves garbage in EFLAGS.
    machine = ["-accel", "tcg,thread=multi", "-cpu", "max,cx16=off", "-smp", str(guest.cpus), "-m", str(MEMORY_MIB)]
    for node in range(2) if guest.numa else ():
        first, last = node * guest.cpus // 2, (node + 1) * guest.cpus // 2 - 1
        machine += ["-object", f"memory-backend-ram,id=m{node},size={MEMORY_MIB // 2}M"]
        machine += ["-numa", f"node,nodeid={node},memdev=m{node},cpus={first}-{last}"]
    kernel = f"console=ttyS0 loglevel=4 log_buf_len=4M panic=-1 root=/dev/nvme0n1 rw init=/init MEMORY={guest.cgroup}"
    # cache=unsafe on a throw-away layer: nothing that a guest writes is kept.
    disk = f"if=none,id=root,file={image()},format=raw,snapshot=on,cache=unsafe"
    return [
        "qemu-system-x86_64", *machine, "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot",
        "-drive", disk, "-device", "nvme,drive=root,serial=root",
        "-kernel", str(guest.kernel.image()),
        "-append", kernel + " swapaccount=1" + (f" CASES={','.join(cases)}" if cases else ""),
    ]  # fmt: skip
