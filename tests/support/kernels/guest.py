"""The emulated machines. In: kernels, the disk image. Out: the guests that the tests boot, and the command
that boots one. Rules: a guest differs from its kernel's plain one in one thing: cgroup v1, more processors, arm64."""

from dataclasses import dataclass
from pathlib import Path

from kernels.architecture import AMD64, ARM64, Architecture
from kernels.image import image
from kernels.kernel import KERNELS, Kernel

MEMORY_MIB = 384


@dataclass(frozen=True)
class Guest:
    """What to boot. numa: two nodes with half of the memory and of the processors each. lockdown: confidentiality, as
    some sites boot: no BPF program may read the kernel's memory, and the agent can only say so."""

    kernel: Kernel
    cgroup: str = "v2"
    cpus: int = 2
    numa: bool = False
    architecture: Architecture = AMD64
    lockdown: bool = False

    @property
    def name(self) -> str:
        """Such as 6.1-v2-4cpus; only what is not usual is named."""
        cpus = f"-{self.cpus}cpus" if self.cpus != 2 else ""
        more = ("-arm64" if self.architecture is ARM64 else "") + ("-lockdown" if self.lockdown else "")
        return f"{self.kernel.name}-{self.cgroup}{cpus}{more}"


GUESTS = (
    *(Guest(kernel) for kernel in KERNELS),
    *(Guest(kernel, cgroup="v1") for kernel in KERNELS if kernel.name in ("5.10", "6.1")),
    *(Guest(kernel, cpus=4, numa=True) for kernel in KERNELS if kernel.name in ("6.1", "backports")),
    *(Guest(kernel, architecture=ARM64) for kernel in KERNELS if kernel.name == "6.12"),
)
#: Not in the table: nothing is killed there.
LOCKED_DOWN = Guest(next(kernel for kernel in KERNELS if kernel.name == "6.12"), lockdown=True)


def command(guest: Guest, cases: tuple[str, ...], log: Path) -> list[str]:
    """The console goes to `log`, the results to standard output."""
    architecture = guest.architecture
    # Its processors take turns in one thread, which costs a tenth more time. In threads of their own kernels panicked,
    # on a busy machine, one run in a few: "Oops: int3" where they had patched their own code a moment before, of which
    # QEMU 7.2, as it seems, ran the state in between. That several processors kill at once is shown on the machine.
    machine = ["-accel", "tcg,thread=single", "-smp", str(guest.cpus), "-m", str(MEMORY_MIB)]
    for node in range(2) if guest.numa else ():
        first, last = node * guest.cpus // 2, (node + 1) * guest.cpus // 2 - 1
        machine += ["-object", f"memory-backend-ram,id=m{node},size={MEMORY_MIB // 2}M"]
        machine += ["-numa", f"node,nodeid={node},memdev=m{node},cpus={first}-{last}"]
    kernel = f"console={architecture.console} loglevel=4 log_buf_len=4M panic=-1 root=/dev/nvme0n1 rw init=/init"
    kernel += f" swapaccount=1 MEMORY={guest.cgroup} RESULTS={architecture.results}"
    kernel += " lsm=lockdown lockdown=confidentiality" if guest.lockdown else ""
    # cache=unsafe on a throw-away layer: nothing that a guest writes is kept.
    disk = f"if=none,id=root,file={image(architecture)},format=raw,snapshot=on,cache=unsafe"
    return [
        *architecture.emulator, *machine, "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot",
        "-serial", f"file:{log}", *architecture.results_port,
        "-drive", disk, "-device", "nvme,drive=root,serial=root",
        "-kernel", str(guest.kernel.image(architecture.name)),
        "-append", kernel + (f" CASES={','.join(cases)}" if cases else ""),
    ]  # fmt: skip
