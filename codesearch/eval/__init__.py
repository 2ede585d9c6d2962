"""Measuring search: scores of rankings against judgements. The harnesses that produce rankings live with the tests."""
