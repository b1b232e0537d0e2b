"""`ratchet traces`: list recorded runs (`ls`), and show one in full (`show`)."""

from langgraph_ratchet.cli.traces.ls import ls
from langgraph_ratchet.cli.traces.show import show
from langgraph_ratchet.cli.verb import new_verb

app = new_verb()
app.command()(ls)
app.command()(show)
