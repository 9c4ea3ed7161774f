"""What the documentation is generated from.

In: the repository's files and the recordings. Out: Markdown and HTML fragments, before MkDocs sees them.
"""
