"""The model card: what a shipped bundle was trained on, how, and what it reached. Written beside the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def card(provenance: dict[str, Any], repositories: Sequence[dict[str, Any]]) -> str:
    """Return the card as Markdown: PROVENANCE as bundle.json has it, then every source with revision and licence."""
    dimensions, precision = provenance["config"]["dimensions"], provenance["precision"]
    config = "\n".join(f"| `{k}` | {v} |" for k, v in provenance["config"].items())
    languages = ", ".join(f"{k} {v}" for k, v in provenance["languages"].items())
    sources = "\n".join(
        f"| {r['github']} | {r['language']} | {r['license']} | `{r['commit'][:12]}` |"
        for r in sorted(repositories, key=lambda r: (r["language"], r["github"].lower()))
    )
    return f"""# The base retriever

A static retriever: {provenance["pieces"]} subword pieces × {dimensions} dimensions in {precision},
each with a learnt weight; a text is the weighted mean of its distinct pieces, normalised. It was trained from scratch
by this project and holds no other model's weights.

- **Objective:** {provenance["objective"]}.
- **Command:** `{provenance["command"]}`
- **Corpus:** {provenance["chunks"]:,} distinct chunks of {provenance["repositories"]} permissively licensed public
  repositories (main language: {languages}), cut by codesearch's own chunker, at most {provenance["most_chunks"]:,} from
  one. Repositories kept for measuring stay out in all their copies: by folder name, and by equal function bodies.
- **Training:** {provenance["training_seconds"]} s on {provenance["machine"]}.
- **Development figure:** a doc comment finds its function among those of its repository (comment removed from the code;
  repositories that training left out) with a mean reciprocal rank of {provenance["development_mrr"]}.
- **Intended use:** finding code of one repository from a question in English. It knows words, not their order; it is
  weak where a question needs reasoning, and on human languages other than English.

| configuration | |
|---|---|
{config}

## Sources

| repository | main language | licence | revision |
|---|---|---|---|
{sources}
"""
