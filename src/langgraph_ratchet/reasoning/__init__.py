"""The reasoning graph: accept → recall → plan → select_strategy → act ⇄ tools → synthesize → self_check → finish."""
