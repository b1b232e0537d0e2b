"""The registry as a doctor sees it: can it be read, and are the champion's files the ones that were promoted?"""

from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.finding import Finding, State
from langgraph_ratchet.registry.registry import CHAMPION, Registry


def check_registry(registry: Registry) -> Finding:
    """Reads the history and every version, and hashes the champion's files. Nothing is made or changed."""
    facts: dict[str, object] = {"path": str(registry.root), "champion": None, "versions": 0}
    if not registry.root.exists():
        return Finding(
            "registry", "models", State.OK, f"{registry.root}: none yet, the bare base is in use", None, facts
        )
    try:
        facts["versions"] = len(registry.versions())
        champion = registry.champion
        facts["champion"] = champion.id if champion else None
        if champion is not None:
            registry.verify(CHAMPION)
    except (RatchetError, OSError) as error:
        fix = "ratchet models shows which version is damaged; restore its files, or return to another: ratchet rollback"
        return Finding("registry", "models", State.BROKEN, str(error), fix, facts)
    count = facts["versions"]
    said = f"{registry.root}: {count} versions; "
    if champion is None:
        return Finding("registry", "models", State.OK, said + "no champion, the bare base is in use", None, facts)
    said += f"champion {champion.id}, all {len(champion.files)} files with their recorded hash"
    return Finding("registry", "models", State.OK, said, None, facts)
