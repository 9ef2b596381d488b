"""GraphQL at `/graphql`: what the UI, the demo and the CLI read. The SDL that is served is graphql/schema.graphql."""
