"""What could shut code in that a model wrote: bubblewrap, or the kernel's own namespaces.

Nothing in this version runs such code. The tool that will needs one of the two, so this is looked at beforehand.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence

from langgraph_ratchet.core.finding import Finding, State

_TIMEOUT_S = 5.0
_BUBBLEWRAP = ("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "true")
_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true")


def check_sandbox() -> Finding:
    """Whether each of the two works, found by shutting in a program that does nothing."""
    faults = {command[0]: _fault(command) for command in (_BUBBLEWRAP, _UNSHARE)}
    working = [name for name, fault in faults.items() if fault is None]
    facts = {name: {"works": fault is None, "fault": fault} for name, fault in faults.items()}
    use = "nothing in this version needs one; the python tool that is to come will"
    if "bwrap" in working:
        return Finding("sandbox", "sandbox", State.OK, f"bubblewrap works ({use})", None, facts)
    found = "; ".join(f"{name}: {fault or 'works'}" for name, fault in faults.items())
    fix = "install bubblewrap (apt install bubblewrap, dnf install bubblewrap)"
    if sys.platform != "linux":
        fix = "run Ratchet in a Linux container or virtual machine when the python tool is there"
    elif shutil.which("bwrap"):
        fix = "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1), or run on the host"
    return Finding("sandbox", "sandbox", State.LACK, f"{found} ({use})", fix, facts)


def _fault(command: Sequence[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return "not installed"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip().split("\n")[-1] or f"exit status {done.returncode}"
