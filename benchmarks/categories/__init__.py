"""Judge the category classifier and the language detectors on prompts that nothing was trained on."""
