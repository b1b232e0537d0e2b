"""The improvement graph: practise, curate, train, measure, decide, promote and remember, round after round."""
