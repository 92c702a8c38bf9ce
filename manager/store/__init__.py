"""The database: tables, migrations, queries, and keys sealed at rest."""
