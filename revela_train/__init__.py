"""revela_train: the trainer behind codesearch. Imports codesearch; codesearch never imports it at the top level."""
