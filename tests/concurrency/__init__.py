"""Many real processes at one workspace whose files change meanwhile: nothing is lost, wrong or stuck."""
