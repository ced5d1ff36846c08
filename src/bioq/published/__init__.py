"""Published models: their files as runs of BioQ, and their published scores.

A module per layout of a file has a `Layout` record; `layouts` collects the records.
`import_model.import_model` makes a run of a file.
"""
