"""`ratchet serve`: an OpenAI-compatible server, or a proxy that records; and its API keys (`serve keys`)."""

from langgraph_ratchet.cli.serve.keys import app as keys
from langgraph_ratchet.cli.serve.serve import serve
from langgraph_ratchet.cli.verb import new_verb

app = new_verb()
app.info.no_args_is_help = False  # without arguments it serves
app.callback(invoke_without_command=True)(serve)
app.add_typer(keys, name="keys", help="Make, list and revoke the API keys of this server.")
