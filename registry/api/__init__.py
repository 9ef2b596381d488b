"""The doors: one package each. They parse, authorise, call one catalog function through the runner, and render."""
