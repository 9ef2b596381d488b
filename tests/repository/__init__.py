"""What holds of the repository itself: layout, names, declared dependencies, documents, the developer's commands."""
