"""The improvement graph: diagnose, propose, roll_out, grade, curate, train, evaluate, gate, approve, promote."""
