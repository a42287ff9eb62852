"""What differs between processors. In: Debian's name of one. Out: how to emulate it and build for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """machine: as uname and wheels name it. emulator: the QEMU program and its machine; console: the first serial port,
    for kernel and init; results: the second one, and results_port what makes it."""

    name: str
    machine: str
    package: str
    compiler: str
    emulator: tuple[str, ...]
    console: str
    results: str
    results_port: tuple[str, ...]


AMD64 = Architecture(
    name="amd64",
    machine="x86_64",
    package="qemu-system-x86",
    compiler="gcc",
    # Without cx16=off about one boot in three ends in a double fault: QEMU 7.2's cmpxchg16b leaves garbage in EFLAGS.
    emulator=("qemu-system-x86_64", "-cpu", "max,cx16=off"),
    console="ttyS0",
    results="ttyS1",
    results_port=("-serial", "stdio"),
)
ARM64 = Architecture(
    name="arm64",
    machine="aarch64",
    package="qemu-system-arm",
    compiler="aarch64-linux-gnu-gcc",
    # Pointer authentication by QEMU's own quick hash: the architected one takes half of the emulator's time.
    emulator=("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on"),
    console="ttyAMA0",
    results="ttyS0",
    results_port=("-chardev", "stdio,id=results,signal=off", "-device", "pci-serial,chardev=results"),
)
