"""A sandbox for code that a model wrote: bubblewrap, or the kernel's own namespaces; nothing runs without one."""

from langgraph_ratchet.core.sandbox.box import Ending, Limits, Ran
from langgraph_ratchet.core.sandbox.find import Sandbox, check_sandbox, find_sandbox

__all__ = ["Ending", "Limits", "Ran", "Sandbox", "check_sandbox", "find_sandbox"]
